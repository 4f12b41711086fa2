import { boundsOf } from "./bounds.ts";
import { differenceOf, type PlanDifference } from "./difference.ts";
import { type Made, make } from "./make.ts";
import { planOf } from "./plan-of.ts";
import { planRolling } from "./plan-rolling.ts";
import { LIVE, type Pool } from "./pool.ts";
import type { RollingResult } from "./result.ts";
import { Routes, routed, withRoom } from "./routes.ts";
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

/** The plan with one instance more or less; undefined where that takes more than a few other targets. */
function repair(made: Made, change: PoolChange): Made | undefined {
  if (made.pool.hasSecondaries || change.kind === "pool-changed") return undefined;
  return change.kind === "instance-started" ? withInstance(made, change.instance) : without(made, change.name);
}

function withInstance(made: Made, it: PoolInstance): Made | undefined {
  const { pool } = made;
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
  const base = withRoom(made, it, h);
  const hops = base && new Routes(base).from(h, it);
  if (!hops) return undefined;
  const next = extended(pool, it, h);
  return { ...routed(base, pool.units, hops), pool: next, bounds: boundsOf(next, made.gate, made.options) };
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
