export { scheduleDifference } from "./difference.ts";
export type { Scheduled, ScheduleInput, ScopedHost, ScopeState } from "./input.ts";
export { scheduleOf } from "./schedule-of.ts";
