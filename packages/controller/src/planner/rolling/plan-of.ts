import type { Step } from "./board.ts";
import type { Made } from "./make.ts";
import { type Pool, STOP } from "./pool.ts";
import type { PlannedMove, PlannedTurn, RollingPlan } from "./result.ts";
import type { Rolled } from "./roll.ts";
import { schedule } from "./schedule.ts";

/** A roll in the words of a result, with its schedule. Moves that are those of the plan before are kept as they are. */
export function planOf({ pool, gate, bounds, rolled, options }: Made, before?: RollingPlan): RollingPlan {
  const { waves, steps } = rolled;
  const name = (h: number) => pool.hosts[h]?.name ?? "";
  const expected = Float64Array.from(pool.hosts, (h) => h.durationMs);
  const input = { pool, options, gate, waves, steps };
  const times = schedule({ ...input, away: expected }, false);
  const slow = Float64Array.from(pool.hosts, (h) => h.p95Ms ?? h.durationMs);
  // These two are asked for by people only, who wait less often than plans are made.
  let barrierMakespanMs: number | undefined;
  let p95Ms: number | undefined = slow.some((ms, h) => ms !== expected[h]) ? undefined : times.makespan;
  const moves: PlannedMove[] = [];
  let next = 0;
  for (const [w, group] of steps.entries()) {
    const starts = times.starts[w] as Float64Array;
    const ends = times.ends[w] as Float64Array;
    for (let i = 0; i < group.length; i++) {
      const step = group[i] as Step;
      const from = name(step.from);
      const to = name(step.to);
      const startMs = starts[i] as number;
      const endMs = ends[i] as number;
      for (const member of pool.members[step.unit] as readonly number[]) {
        const instance = pool.snapshot.instances[member]?.name ?? "";
        let old = before?.moves[next];
        if (old?.instance !== instance && before?.moves[next + 1]?.instance === instance) old = before.moves[++next];
        if (
          old?.instance === instance &&
          old.from === from &&
          old.to === to &&
          old.wave === w &&
          old.kind === step.kind
        ) {
          next++;
          if (old.startMs === startMs && old.endMs === endMs) {
            moves.push(old);
            continue;
          }
        }
        moves.push({ instance, from, to, kind: step.kind, wave: w, startMs, endMs });
      }
    }
  }
  const stops = new Map<number, string[]>();
  const consented = new Set(options.consented);
  const consentsNeeded: string[] = [];
  for (let u = 0; u < pool.units; u++) {
    const h = pool.at[u] as number;
    if (pool.movability[u] !== STOP || pool.state[h] !== "in-scope") continue;
    for (const i of pool.members[u] as readonly number[]) {
      const instance = pool.snapshot.instances[i]?.name ?? "";
      stops.set(h, [...(stops.get(h) ?? []), instance]);
      if (!consented.has(instance)) consentsNeeded.push(instance);
    }
  }
  const turns: PlannedTurn[] = waves.flatMap((wave, w) =>
    wave.map((h) => ({
      host: name(h),
      wave: w,
      startMs: times.start[h] as number,
      outMs: times.out[h] as number,
      backMs: times.back[h] as number,
      waitsFor: times.waitsFor[h] ?? "",
      stops: stops.get(h) ?? [],
    })),
  );
  return {
    feasible: true,
    waves: waves.map((wave) => wave.map(name)),
    moves,
    turns,
    bounds,
    makespanMs: times.makespan,
    get barrierMakespanMs() {
      barrierMakespanMs ??= schedule({ ...input, away: expected }, true).makespan;
      return barrierMakespanMs;
    },
    get p95Ms() {
      p95Ms ??= schedule({ ...input, away: slow }, false).makespan;
      return p95Ms;
    },
    consentsNeeded,
    notReturned: (options.return ?? "none") === "none" ? [] : notAtHome(pool, rolled),
    balance: balanceOf(pool, steps),
  };
}

/** Instances with a home that are elsewhere after these moves. */
export function notAtHome(pool: Pool, rolled: Rolled): string[] {
  const at = pool.at.slice();
  for (const group of rolled.steps) for (const step of group) at[step.unit] = step.to;
  const out: string[] = [];
  for (let u = 0; u < pool.units; u++)
    for (const i of pool.members[u] as readonly number[]) {
      const it = pool.snapshot.instances[i];
      if (it?.home !== undefined && pool.hostIndex.get(it.home) !== at[u]) out.push(it.name);
    }
  return out;
}

function balanceOf(pool: Pool, steps: Rolled["steps"]): RollingPlan["balance"] {
  const at = pool.at.slice();
  for (const group of steps) for (const step of group) at[step.unit] = step.to;
  const used = new Float64Array(pool.hosts.length);
  for (let u = 0; u < pool.units; u++)
    used[at[u] as number] = (used[at[u] as number] as number) + (pool.mem[u] as number);
  let total = 0;
  let capacity = 0;
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (let h = 0; h < used.length; h++) {
    if (pool.state[h] === "unavailable") continue;
    total += used[h] as number;
    capacity += pool.memCap[h] as number;
    const share = (used[h] as number) / Math.max(1, pool.memCap[h] as number);
    least = Math.min(least, share);
    most = Math.max(most, share);
  }
  return { mean: total / Math.max(1, capacity), least: Number.isFinite(least) ? least : 0, most };
}
