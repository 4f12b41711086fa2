import type { Reason } from "../../domain/words.ts";
import { Board, type Step } from "./board.ts";
import { boundsOf } from "./bounds.ts";
import { dispatchOrder } from "./dispatch.ts";
import { notSpare, rollPairs } from "./drbd.ts";
import { Gate } from "./gate.ts";
import { compile, type Pool, STOP } from "./pool.ts";
import { refusals } from "./refusals.ts";
import type { Bounds, PlannedMove, PlannedTurn, RollingPlan, RollingResult } from "./result.ts";
import { Roll, type Rolled } from "./roll.ts";
import { schedule } from "./schedule.ts";
import { search } from "./search.ts";
import type { PoolSnapshot, RollingOptions } from "./snapshot.ts";

/**
 * Plans the maintenance of every host in scope before anything is touched: waves, targets for every instance, and a
 * schedule without needless waiting; or says why there is no plan, and the least change that makes one possible. Equal
 * input gives the equal plan. Errors: `bad-input`, `not-found` where snapshot or options name what is not there.
 */
export function planRolling(snapshot: PoolSnapshot, options: RollingOptions): RollingResult {
  const pool = compile(snapshot, options);
  const gate = new Gate(pool, options);
  const reasons = [...refusals(pool, gate), ...(pool.hasSecondaries ? notSpare(pool) : [])];
  if (reasons.length > 0) return { feasible: false, proven: true, reasons };
  const bounds = boundsOf(pool, gate, options);
  const board = new Board(pool);
  const rolled = pool.hasSecondaries
    ? rollPairs(pool, board, gate, bounds, options)
    : search(pool, new Roll(pool, board, gate, options), bounds, options);
  if (rolled.stuck.length > 0) return { feasible: false, proven: rolled.proven, reasons: stuckReasons(pool, rolled) };
  const lost = options.return === "exact" ? notAtHome(pool, rolled) : [];
  if (lost.length > 0)
    return {
      feasible: false,
      proven: false,
      reasons: lost.map((name) => ({
        rule: "return",
        subject: name,
        text: `${name} could not be brought home`,
        fix: "ask for a preferred return instead of an exact one",
      })),
    };
  return planOf(pool, gate, bounds, rolled, options);
}

function stuckReasons(pool: Pool, rolled: Rolled): Reason[] {
  return rolled.stuck.map((h) => {
    const name = pool.hosts[h]?.name ?? "";
    const text = `${name}: ${rolled.proven ? "there is no way" : "no way was found"} to empty it, not even by rearranging the other hosts`;
    return { rule: "no-room", subject: name, text, fix: `stop instances of ${name}, or leave it out` };
  });
}

export function planOf(pool: Pool, gate: Gate, bounds: Bounds, rolled: Rolled, options: RollingOptions): RollingPlan {
  const { waves } = rolled;
  const perSource = options.migrationsPerSource ?? 1;
  const perTarget = options.migrationsPerTarget ?? 1;
  const steps = rolled.steps.map((group) =>
    dispatchOrder(pool, group, perSource, perTarget).map((i) => group[i] as Step),
  );
  const name = (h: number) => pool.hosts[h]?.name ?? "";
  const expected = Float64Array.from(pool.hosts, (h) => h.durationMs);
  const input = { pool, options, gate, waves, steps };
  const times = schedule({ ...input, away: expected }, false);
  const barriers = schedule({ ...input, away: expected }, true);
  const late = schedule({ ...input, away: Float64Array.from(pool.hosts, (h) => h.p95Ms ?? h.durationMs) }, false);
  const moves: PlannedMove[] = [];
  for (const [w, group] of steps.entries())
    for (const [i, step] of group.entries()) {
      const startMs = times.starts[w]?.[i] ?? 0;
      const endMs = times.ends[w]?.[i] ?? 0;
      for (const member of pool.members[step.unit] as readonly number[]) {
        const instance = pool.snapshot.instances[member]?.name ?? "";
        moves.push({ instance, from: name(step.from), to: name(step.to), kind: step.kind, wave: w, startMs, endMs });
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
    barrierMakespanMs: barriers.makespan,
    p95Ms: late.makespan,
    consentsNeeded,
    notReturned: (options.return ?? "none") === "none" ? [] : notAtHome(pool, rolled),
    balance: balanceOf(pool, steps),
  };
}

/** Instances with a home that are elsewhere after these moves. */
function notAtHome(pool: Pool, rolled: Rolled): string[] {
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
