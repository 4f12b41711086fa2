import type { Step } from "./board.ts";
import { boundsOf } from "./bounds.ts";
import { differenceOf, type PlanDifference } from "./difference.ts";
import { type Made, make } from "./make.ts";
import { planOf } from "./plan-of.ts";
import { planRolling } from "./plan-rolling.ts";
import { LIVE, type Pool } from "./pool.ts";
import type { RollingResult } from "./result.ts";
import type { PoolInstance, PoolSnapshot, RollingOptions } from "./snapshot.ts";

/** One thing that changed since the plan was made. */
export type PoolChange =
  | { readonly kind: "instance-started"; readonly instance: PoolInstance }
  | { readonly kind: "instance-gone"; readonly name: string }
  /** Anything else: a host died, a capacity or a state changed. */
  | { readonly kind: "pool-changed"; readonly snapshot: PoolSnapshot };

export interface Replanned {
  readonly result: RollingResult;
  /** `repaired`: the old plan with what the change calls for; `anew`: planned from the start. */
  readonly how: "repaired" | "anew";
  /** Against the plan before; undefined where there is none before or after. */
  readonly difference: PlanDifference | undefined;
}

/**
 * A plan that is kept up with its pool. What one instance changes is worked into the plan at hand as long as there is room
 * where the plan leaves it; the rest of the plan stays as it was accepted. Otherwise everything is planned anew.
 */
export class LivePlan {
  readonly #options: RollingOptions;
  #snapshot: PoolSnapshot;
  #made: Made | undefined;
  #result: RollingResult;

  constructor(snapshot: PoolSnapshot, options: RollingOptions) {
    this.#snapshot = snapshot;
    this.#options = options;
    this.#result = this.#anew();
  }

  get snapshot(): PoolSnapshot {
    return this.#snapshot;
  }

  get result(): RollingResult {
    return this.#result;
  }

  replan(change: PoolChange): Replanned {
    const before = this.#result;
    const repaired = this.#made && repair(this.#made, change);
    this.#snapshot = changed(this.#snapshot, change);
    if (repaired) {
      this.#made = repaired;
      this.#result = planOf(repaired, before.feasible ? before : undefined);
    } else this.#result = this.#anew();
    const after = this.#result;
    const difference = before.feasible && after.feasible ? differenceOf(before, after) : undefined;
    return { result: after, how: repaired ? "repaired" : "anew", difference };
  }

  #anew(): RollingResult {
    const made = make(this.#snapshot, this.#options);
    this.#made = made.feasible ? made : undefined;
    return made.feasible ? planOf(made) : planRolling(this.#snapshot, this.#options);
  }
}

function changed(snapshot: PoolSnapshot, change: PoolChange): PoolSnapshot {
  if (change.kind === "pool-changed") return change.snapshot;
  const instances =
    change.kind === "instance-started"
      ? [...snapshot.instances, change.instance]
      : snapshot.instances.filter((it) => it.name !== change.name);
  return { ...snapshot, instances };
}

/** The plan with one instance more or less; undefined where that takes more than one target. */
function repair(made: Made, change: PoolChange): Made | undefined {
  if (made.pool.hasSecondaries || change.kind === "pool-changed") return undefined;
  return change.kind === "instance-started" ? withInstance(made, change.instance) : without(made, change.name);
}

function withInstance(made: Made, it: PoolInstance): Made | undefined {
  const { pool, rolled } = made;
  const h = pool.hostIndex.get(it.host);
  const isPlain =
    it.movability === "live" &&
    it.memoryMiB >= 0 &&
    it.vcpus >= 0 &&
    it.migrateMs >= 0 &&
    !it.hugepagesMiB &&
    it.requires === undefined &&
    it.allowed === undefined &&
    it.affinity === undefined &&
    it.secondary === undefined &&
    it.home === undefined &&
    (it.antiAffinity ?? []).length === 0;
  if (h === undefined || !isPlain || pool.state[h] === "out" || pool.state[h] === "unavailable") return undefined;
  const waveOf = new Int32Array(pool.hosts.length).fill(-1);
  for (const [w, wave] of rolled.waves.entries()) for (const x of wave) waveOf[x] = w;
  const next = extended(pool, it, h);
  const hops = routeOf(made, waveOf, it, h);
  if (!hops) return undefined;
  const steps = rolled.steps.map((group, w) => [
    ...group,
    ...hops
      .filter((hop) => hop.wave === w)
      .map(({ from, to }): Step => ({ unit: pool.units, from, to, kind: "drain", dead: false })),
  ]);
  const bounds = boundsOf(next, made.gate, made.options);
  return { ...made, pool: next, bounds, rolled: { ...rolled, steps, moves: rolled.moves + hops.length } };
}

interface Hop {
  readonly wave: number;
  readonly from: number;
  readonly to: number;
}

/**
 * The moves of a newcomer: to a final host with its host's turn, else to a host whose turn comes later, and on from there.
 * It moves last in each wave, into room that the plan does not use until then or ever.
 */
function routeOf(made: Made, waveOf: Int32Array, it: PoolInstance, h: number): Hop[] | undefined {
  const { pool, rolled } = made;
  const fits = ([mem, cpu]: Room, x: number) => (mem[x] as number) >= it.memoryMiB && (cpu[x] as number) >= it.vcpus;
  const hops: Hop[] = [];
  let here = h;
  let wave = waveOf[h] as number;
  if (!fits(roomOf(pool, rolled.steps, waveOf, 0).untilTurn, h)) return undefined;
  while (wave >= 0) {
    const room = roomOf(pool, rolled.steps, waveOf, wave);
    let to = -1;
    for (let x = 0; x < pool.hosts.length; x++) {
      const own = waveOf[x] as number;
      const state = pool.state[x];
      if (x === here || pool.cluster[x] !== pool.cluster[h] || own === wave || state === "unavailable") continue;
      const isFinal = own >= 0 ? own < wave : true;
      if (!fits(isFinal ? room.toTheEnd : room.untilTurn, x)) continue;
      // A final host before a waiting one; of those the last to go, of these the emptiest.
      const isBetter =
        to < 0 ||
        order(waveOf, wave, x) < order(waveOf, wave, to) ||
        (order(waveOf, wave, x) === order(waveOf, wave, to) &&
          (room.toTheEnd[0][x] as number) > (room.toTheEnd[0][to] as number));
      if (isBetter) to = x;
    }
    if (to < 0) return undefined;
    hops.push({ wave, from: here, to });
    here = to;
    wave = (waveOf[to] as number) > wave ? (waveOf[to] as number) : -1;
  }
  return hops;
}

function order(waveOf: Int32Array, wave: number, x: number): number {
  const own = waveOf[x] as number;
  return own < wave ? Number.NEGATIVE_INFINITY : -own;
}

type Room = readonly [mem: Int32Array, cpu: Int32Array];

/** The least memory and virtual CPUs free on each host after the moves of a wave: until its own turn, and to the end. */
function roomOf(pool: Pool, groups: readonly (readonly Step[])[], waveOf: Int32Array, wave: number) {
  const mem = pool.memCap.slice();
  const cpu = pool.cpuCap.slice();
  const add = (u: number, x: number, sign: 1 | -1) => {
    mem[x] = (mem[x] as number) + sign * (pool.mem[u] as number);
    cpu[x] = (cpu[x] as number) + sign * (pool.cpu[u] as number);
  };
  for (let u = 0; u < pool.units; u++) add(u, pool.at[u] as number, -1);
  let untilTurn: Room = [mem.slice(), cpu.slice()];
  let toTheEnd: Room = [mem.slice(), cpu.slice()];
  const lower = ([least, leastCpu]: Room, x: number) => {
    least[x] = Math.min(least[x] as number, mem[x] as number);
    leastCpu[x] = Math.min(leastCpu[x] as number, cpu[x] as number);
  };
  for (const [w, group] of groups.entries()) {
    for (const { unit, from, to } of group) {
      add(unit, to, -1);
      add(unit, from, 1);
      lower(toTheEnd, to);
      const own = waveOf[to] as number;
      if (own < 0 || own > w) lower(untilTurn, to);
    }
    if (w === wave && wave > 0) {
      untilTurn = [mem.slice(), cpu.slice()];
      toTheEnd = [mem.slice(), cpu.slice()];
    }
  }
  return { untilTurn, toTheEnd };
}

function extended(pool: Pool, it: PoolInstance, h: number): Pool {
  const grown = <T extends Int32Array | Uint8Array | Float64Array>(from: T, value: number): T => {
    const to = new (from.constructor as new (n: number) => T)(from.length + 1);
    to.set(from as never);
    to[from.length] = value;
    return to;
  };
  const instances = [...pool.snapshot.instances, it];
  return {
    ...pool,
    snapshot: { ...pool.snapshot, instances },
    units: pool.units + 1,
    mem: grown(pool.mem, it.memoryMiB),
    cpu: grown(pool.cpu, it.vcpus),
    huge: grown(pool.huge, 0),
    at: grown(pool.at, h),
    members: [...pool.members, [instances.length - 1]],
    movability: grown(pool.movability, LIVE),
    profile: grown(pool.profile, -1),
    groupsOf: [...pool.groupsOf, []],
    secondary: grown(pool.secondary, -1),
    home: grown(pool.home, -1),
    migrateMs: grown(pool.migrateMs, it.migrateMs),
    rank: grown(pool.rank, pool.units),
  };
}

function without(made: Made, name: string): Made | undefined {
  const { pool, rolled } = made;
  const index = pool.snapshot.instances.findIndex((it) => it.name === name);
  const u = pool.members.findIndex((members) => members.includes(index));
  if (index < 0 || u < 0 || pool.members[u]?.length !== 1) return undefined;
  // A member of a quorum group that is gone may be one too many.
  if ((pool.snapshot.quorumGroups ?? []).some((group) => group.members.includes(name))) return undefined;
  const mem = pool.mem.slice();
  const cpu = pool.cpu.slice();
  const huge = pool.huge.slice();
  const movability = pool.movability.slice();
  mem[u] = cpu[u] = huge[u] = 0;
  movability[u] = LIVE;
  const members = [...pool.members];
  members[u] = [];
  const next = { ...pool, mem, cpu, huge, movability, members };
  const steps = rolled.steps.map((group) =>
    group.some((s) => s.unit === u) ? group.filter((s) => s.unit !== u) : group,
  );
  const moves = steps.reduce((sum, group) => sum + group.reduce((n, s) => n + (members[s.unit]?.length ?? 0), 0), 0);
  return { ...made, pool: next, bounds: boundsOf(next, made.gate, made.options), rolled: { ...rolled, steps, moves } };
}
