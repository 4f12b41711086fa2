import type { Step } from "./board.ts";
import type { Gate } from "./gate.ts";
import type { Pool } from "./pool.ts";
import type { RollingOptions } from "./snapshot.ts";

export interface Times {
  /** Per wave group, in the order of its steps. */
  readonly starts: readonly Float64Array[];
  readonly ends: readonly Float64Array[];
  /** Per host. */
  readonly start: Float64Array;
  readonly out: Float64Array;
  readonly back: Float64Array;
  readonly waitsFor: readonly string[];
  readonly makespan: number;
}

export interface ScheduleInput {
  readonly pool: Pool;
  readonly options: RollingOptions;
  readonly gate: Gate;
  readonly waves: readonly (readonly number[])[];
  readonly steps: readonly (readonly Step[])[];
  /** Expected time from empty to back in service, per host. */
  readonly away: Float64Array;
}

/**
 * When everything happens if nothing waits without need: a host starts when its targets are back, what was to arrive on it
 * has, and the gate lets it go although every host before it in the plan that is not back counts as out. Migrations take
 * their source's and their target's slots in the order of the plan.
 *
 * Every start is the latest of some ends before it, so an earlier end never makes anything later. A barrier only adds to
 * what is waited for; therefore the rolling schedule is never longer than the one with barriers, whatever durations turn
 * out to be.
 */
export function schedule(input: ScheduleInput, withBarriers: boolean): Times {
  const { pool, options, gate, waves, steps, away } = input;
  const n = pool.hosts.length;
  const start = new Float64Array(n);
  const out = new Float64Array(n);
  const back = new Float64Array(n);
  const waitsFor = new Array<string>(n).fill("");
  const unitEnd = new Float64Array(pool.units);
  const departed = new Float64Array(n);
  const arrived = new Float64Array(n);
  const source = new Slots(n, options.migrationsPerSource ?? 1);
  const target = new Slots(n, options.migrationsPerTarget ?? 1);
  const turns = new Turns(gate);
  const starts: Float64Array[] = [];
  const ends: Float64Array[] = [];
  const canary = options.canary ? pool.hostIndex.get(options.canary.host) : undefined;
  let bakedAt = 0;
  let barrier = 0;
  let makespan = 0;
  for (const [w, group] of steps.entries()) {
    const wave = waves[w] ?? [];
    const inWave = new Map<number, Step[]>(wave.map((h) => [h, []]));
    for (const step of group) if (step.kind === "drain") inWave.get(step.from)?.push(step);
    // What a host needs before it may start: room and targets that are there.
    const begin = new Float64Array(group.length);
    const end = new Float64Array(group.length);
    for (const h of wave) {
      if (pool.state[h] === "out") {
        back[h] = away[h] as number;
        turns.begins(h, 0, back[h] as number);
        makespan = Math.max(makespan, back[h] as number);
        if (h === canary) bakedAt = (back[h] as number) + (options.canary?.bakeMs ?? 0);
        continue;
      }
      let at = Math.max(barrier, bakedAt);
      let why = at === 0 ? "" : at === bakedAt ? `${options.canary?.host} to prove itself` : "the wave before";
      if ((arrived[h] as number) > at) {
        at = arrived[h] as number;
        why = "instances on their way to it";
      }
      let last = -1;
      for (const step of inWave.get(h) ?? [])
        if ((back[step.to] as number) > at) {
          at = back[step.to] as number;
          last = step.to;
        }
      if (last >= 0) why = `${pool.hosts[last]?.name ?? ""} to be back`;
      const gated = turns.from(h, at);
      if (gated.at > at) {
        at = gated.at;
        why = gated.reason;
      }
      start[h] = at;
      out[h] = at;
      waitsFor[h] = why;
      // Until its end is known nobody behind it may count on its place.
      turns.begins(h, at, Number.POSITIVE_INFINITY);
    }
    for (const [i, step] of group.entries()) {
      const { unit: u, from, to } = step;
      const ready = Math.max(
        barrier,
        unitEnd[u] as number,
        back[to] as number,
        departed[to] as number,
        step.kind === "drain" ? (start[from] as number) : bakedAt,
        source.free(from),
        target.free(to),
      );
      const done = ready + (pool.migrateMs[u] as number);
      source.take(from, done);
      target.take(to, done);
      begin[i] = ready;
      end[i] = done;
      unitEnd[u] = done;
      departed[from] = Math.max(departed[from] as number, done);
      arrived[to] = Math.max(arrived[to] as number, done);
      if (step.kind === "drain") out[from] = Math.max(out[from] as number, done);
      makespan = Math.max(makespan, done);
    }
    for (const h of wave) {
      if (pool.state[h] === "out") continue;
      back[h] = Math.max(out[h] as number, departed[h] as number) + (away[h] as number);
      out[h] = Math.max(out[h] as number, departed[h] as number);
      turns.begins(h, start[h] as number, back[h] as number);
      makespan = Math.max(makespan, back[h] as number);
      if (h === canary) bakedAt = (back[h] as number) + (options.canary?.bakeMs ?? 0);
    }
    if (withBarriers) barrier = makespan;
    starts.push(begin);
    ends.push(end);
  }
  return { starts, ends, start, out, back, waitsFor, makespan };
}

/** The times at which the slots of each host become free; jobs take the earliest one, in the order in which they come. */
class Slots {
  readonly #free: Float64Array;
  readonly #width: number;

  constructor(hosts: number, width: number) {
    this.#width = Math.max(1, width);
    this.#free = new Float64Array(hosts * this.#width);
  }

  free(h: number): number {
    const from = h * this.#width;
    let least = this.#free[from] as number;
    for (let i = from + 1; i < from + this.#width; i++) least = Math.min(least, this.#free[i] as number);
    return least;
  }

  take(h: number, until: number): void {
    const from = h * this.#width;
    let least = from;
    for (let i = from + 1; i < from + this.#width; i++)
      if ((this.#free[i] as number) < (this.#free[least] as number)) least = i;
    this.#free[least] = until;
  }
}

/** Hosts in the order of the plan with the times until which they are away, against the gate. */
class Turns {
  readonly #gate: Gate;
  readonly #back = new Map<number, number>();

  constructor(gate: Gate) {
    this.#gate = gate;
  }

  begins(h: number, _at: number, back: number): void {
    if (!this.#gate.isOpen) this.#back.set(h, back);
  }

  /** The first moment from `at` on when the gate lets a host go beside all before it that are not back, and the reason. */
  from(h: number, at: number): { at: number; reason: string } {
    if (this.#gate.isOpen) return { at, reason: "" };
    const others = [...this.#back].filter(([, back]) => back > at).sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    this.#gate.reset(false);
    for (const [other] of others) this.#gate.force(other);
    let reason = "";
    let time = at;
    for (let refusal = this.#gate.refusal(h); refusal !== ""; refusal = this.#gate.refusal(h)) {
      const next = others.pop();
      // Hosts of the same wave go together, so what is left in the way is never one of them.
      if (next === undefined || !Number.isFinite(next[1])) break;
      reason = refusal;
      time = next[1];
      this.#gate.remove(next[0]);
    }
    return { at: time, reason };
  }
}
