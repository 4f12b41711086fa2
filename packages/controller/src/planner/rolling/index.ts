export { differenceOf, type PlanDifference } from "./difference.ts";
export { LivePlan, type PoolChange, type Replanned } from "./live.ts";
export { planRolling } from "./plan-rolling.ts";
export { type Actual, playPlan } from "./play.ts";
export type {
  Balance,
  Bounds,
  Infeasible,
  MoveKind,
  PlannedMove,
  PlannedTurn,
  Relaxation,
  RollingPlan,
  RollingResult,
} from "./result.ts";
export type {
  DomainLimit,
  Limit,
  Movability,
  PoolHost,
  PoolHostState,
  PoolInstance,
  PoolSnapshot,
  QuorumGroup,
  RollingOptions,
} from "./snapshot.ts";
