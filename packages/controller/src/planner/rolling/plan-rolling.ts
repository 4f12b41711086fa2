import { make } from "./make.ts";
import { planOf } from "./plan-of.ts";
import { relaxationsOf } from "./relax.ts";
import type { RollingResult } from "./result.ts";
import type { PoolSnapshot, RollingOptions } from "./snapshot.ts";

/**
 * Plans the maintenance of every host in scope before anything is touched: waves, targets for every instance, and a
 * schedule without needless waiting; or says why there is no plan, and the least changes that make one possible. Equal
 * input gives the equal plan. Errors: `bad-input`, `not-found` where snapshot or options name what is not there.
 */
export function planRolling(snapshot: PoolSnapshot, options: RollingOptions): RollingResult {
  const made = make(snapshot, options);
  return made.feasible ? planOf(made) : { ...made, relaxations: relaxationsOf(snapshot, options, made) };
}
