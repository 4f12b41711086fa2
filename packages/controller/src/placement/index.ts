export { type Duties, duties, type Stop } from "./duties.ts";
export { whyNot } from "./obstacles.ts";
export { pictureProblem } from "./picture.ts";
export { place } from "./place.ts";
export { type Rebalance, rebalance } from "./rebalance.ts";
export { type HostTurn, type Rehearsal, type RehearsalOptions, rehearse } from "./rehearse.ts";
export { type Returns, returnsOf } from "./returns.ts";
export { memoryOf, type Settled, settle } from "./settle.ts";
export type { Blocker, InFlight, Move, Mover, Placement, Question, Role } from "./types.ts";
