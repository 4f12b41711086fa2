export { basisOf } from "./basis.ts";
export { scheduleDifference } from "./difference.ts";
export type { Scheduled, ScheduleInput, ScopedHost, ScopeState } from "./input.ts";
export { scheduleOf } from "./schedule-of.ts";
export { type Pictured, snapshotOf } from "./snapshot.ts";
