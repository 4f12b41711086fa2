export { init } from "./commands/init.ts";
export { makeOperator } from "./commands/operator.ts";
export { makeToken } from "./commands/token.ts";
export { type ControllerOptions, type RunningController, startController } from "./controller.ts";
export { Coordinator, type CoordinatorPorts, type RunUpdate } from "./coordinator/coordinator.ts";
export { MemoryStore } from "./coordinator/memory-store.ts";
export type {
  AgentCommand,
  AgentLink,
  Clock,
  Gate,
  GateAnswer,
  GateQuestion,
  LogEntry,
  OpenEntry,
  Roster,
  Store,
} from "./coordinator/ports.ts";
export {
  type ActionName,
  type ActionRecord,
  type ActionRef,
  type ActionResult,
  type ActionSpec,
  type ActionVerb,
  actionName,
  actionOf,
  type InstanceNeeds,
  isActionName,
  type Look,
  type Settlement,
} from "./domain/action.ts";
export type { PlannedHost, Recorded, RunEvent, RunSpec, StepRef, StepResult } from "./domain/events.ts";
export type { AgentTask, Effect, EffectRef, FleetView, HostFact, Wait } from "./domain/fleet.ts";
export { type HostInventory, INVENTORY_FRESH_MS } from "./domain/inventory.ts";
export { defaultPool, type PoolConfig } from "./domain/pool.ts";
export {
  type GroupConfig,
  noQuorum,
  type ProbeConfig,
  type QuorumConfig,
  type ServiceConfig,
} from "./domain/quorum.ts";
export {
  type HostRun,
  hostOf,
  type LedgerRecord,
  type Run,
  recordOf,
  type StepRecord,
  stepInHand,
} from "./domain/run.ts";
export {
  defaultOptions,
  isStepName,
  type Reason,
  type RunOptions,
  type Scope,
  type StepName,
  steps,
} from "./domain/words.ts";
export { type Command, commandEvents } from "./engine/commands.ts";
export { type Decision, decide } from "./engine/decide.ts";
export { describe, hostState, type Line } from "./engine/describe.ts";
export { reduce, replay } from "./engine/reduce.ts";
export { type RunReport, reportOf } from "./engine/report.ts";
export { clusterOf, type KnownHost, optionsOf, type Plan, planRun, scopeOf } from "./planner/plan.ts";
export { type ControllerStore, openStore } from "./store/store.ts";
