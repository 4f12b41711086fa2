import type { Reason } from "../../domain/words.ts";
import { Board, type Step } from "./board.ts";
import { boundsOf } from "./bounds.ts";
import { dispatchOrder } from "./dispatch.ts";
import { notSpare, rollPairs } from "./drbd.ts";
import { Gate } from "./gate.ts";
import { notAtHome } from "./plan-of.ts";
import { compile, type Pool } from "./pool.ts";
import { refusals } from "./refusals.ts";
import type { Bounds, Infeasible } from "./result.ts";
import { Roll, type Rolled } from "./roll.ts";
import { search } from "./search.ts";
import type { PoolSnapshot, RollingOptions } from "./snapshot.ts";

/** A complete roll in indices, its steps in the order in which they should start. */
export interface Made {
  readonly feasible: true;
  readonly pool: Pool;
  readonly gate: Gate;
  readonly bounds: Bounds;
  readonly rolled: Rolled;
  readonly options: RollingOptions;
}

/** Waves and targets for a pool, or why there are none; quickly, less is tried for it. Errors: as `compile`. */
export function make(snapshot: PoolSnapshot, options: RollingOptions, isQuick = false): Made | Infeasible {
  const pool = compile(snapshot, options);
  const gate = new Gate(pool, options);
  const reasons = [...refusals(pool, gate), ...(pool.hasSecondaries ? notSpare(pool) : [])];
  if (reasons.length > 0) return { feasible: false, proven: true, reasons, relaxations: [] };
  const bounds = boundsOf(pool, gate, options);
  const board = new Board(pool);
  const rolled = pool.hasSecondaries
    ? rollPairs(pool, board, gate, bounds, options)
    : search(pool, new Roll(pool, board, gate, options), bounds, options, isQuick);
  if (rolled.stuck.length > 0)
    return { feasible: false, proven: rolled.proven, reasons: stuckReasons(pool, rolled), relaxations: [] };
  const lost = options.return === "exact" ? notAtHome(pool, rolled) : [];
  if (lost.length > 0) {
    const fix = "ask for a preferred return instead of an exact one";
    const why = (subject: string) => ({ rule: "return", subject, text: `${subject} could not be brought home`, fix });
    return { feasible: false, proven: false, reasons: lost.map(why), relaxations: [] };
  }
  const perSource = options.migrationsPerSource ?? 1;
  const perTarget = options.migrationsPerTarget ?? 1;
  const steps = rolled.steps.map((group) =>
    dispatchOrder(pool, group, perSource, perTarget).map((i) => group[i] as Step),
  );
  return { feasible: true, pool, gate, bounds, rolled: { ...rolled, steps }, options };
}

function stuckReasons(pool: Pool, rolled: Rolled): Reason[] {
  return rolled.stuck.map((h) => {
    const name = pool.hosts[h]?.name ?? "";
    const text = `${name}: ${rolled.proven ? "there is no way" : "no way was found"} to empty it, not even by rearranging the other hosts`;
    return { rule: "no-room", subject: name, text, fix: `stop instances of ${name}, or leave it out` };
  });
}
