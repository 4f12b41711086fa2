// Parts of the controller for who runs it in a simulated world: the same code, with other things behind its ports. Nothing of it
// listens, connects or needs a database. Nothing that anybody else may rely on.

export { planView } from "./api/plan-views.ts";
export { optionsFrom } from "./api/views.ts";
export { Coordinator, type CoordinatorPorts } from "./coordinator/coordinator.ts";
export { MemoryStore } from "./coordinator/memory-store.ts";
export type { AgentCommand, GateAnswer, GateQuestion, LogEntry, Store } from "./coordinator/ports.ts";
export { type ActionRecord, type ActionSpec, isActionName } from "./domain/action.ts";
export type { DurationSample } from "./domain/durations.ts";
export type { PlannedHost, Recorded, RunEvent, StepResult } from "./domain/events.ts";
export type { EffectRef } from "./domain/fleet.ts";
export type { HostInventory } from "./domain/inventory.ts";
export { defaultPool, type PoolConfig } from "./domain/pool.ts";
export { noQuorum, type QuorumConfig } from "./domain/quorum.ts";
export {
  type HostRun,
  hostOf,
  type LedgerRecord,
  type Run,
  recordOf,
  type StepRecord,
  stepInHand,
} from "./domain/run.ts";
export type { Schedule, ScheduledMove, ScheduledTurn } from "./domain/schedule.ts";
export { parseWindows } from "./domain/window.ts";
export { isStepName, type RunOptions, type Scope, type StepName, steps } from "./domain/words.ts";
export type { Command } from "./engine/commands.ts";
export { describe } from "./engine/describe.ts";
export { GATE_FRESH_MS } from "./engine/fresh.ts";
export { reduce, replay } from "./engine/reduce.ts";
export { reportOf } from "./engine/report.ts";
export { pausedReason } from "./engine/result.ts";
export { commandTo, keyFrom, platformFrom, resultFrom, stateFrom, type ToAgent } from "./fleet/convert.ts";
export { CordonMarks } from "./fleet/cordons.ts";
export { InventoryBook } from "./fleet/inventories.ts";
export type { FleetEntry } from "./fleet/registry.ts";
export type { Session } from "./fleet/session.ts";
export { pictureProblem } from "./placement/index.ts";
export { type KnownHost, optionsOf, type Plan, planRun, scopeOf } from "./planner/plan.ts";
export { type CheckAnswer, groupSystem } from "./quorum/groups.ts";
export { mayGoOut, notHealed, type System, seenText, type View } from "./quorum/index.ts";
export { checkAnswer, checkedFrom, stopsWithHost, systemSeen, systemsToHeal, viewpointsOf } from "./quorum/reading.ts";
export type { InventoryRecord } from "./store/hosts.ts";
