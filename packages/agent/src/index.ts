// The pure core, its ports and what a simulator or a bench needs. The agent itself is started by main.ts.
export { DirectExecutor } from "./executors/direct/direct.ts";
export { HooksDirectory } from "./hooks/directory.ts";
export { RealMachine } from "./host/machine.ts";
export { type JournalWrite, MemoryJournal } from "./journal/memory.ts";
export { openSqliteJournal, type SqliteJournal } from "./journal/sqlite.ts";
export { type Clock, SimulatedHypervisor } from "./platform/simulated/hypervisor.ts";
export { SimulatedPlatform } from "./platform/simulated/platform.ts";
export {
  findIn,
  MemoryWorld,
  plainHost,
  plainInstance,
  type SimulatedHost,
  type SimulatedInstance,
  type SimulatedWorld,
} from "./platform/simulated/world.ts";
export { fromWire, toWire } from "./session/convert.ts";
export { Session, type SessionOptions } from "./session/session.ts";
export { AgentCore, type AgentIdentity } from "./steps/core.ts";
export type {
  CordonMark,
  Executor,
  FoundHook,
  Hooks,
  JobLook,
  JobResult,
  Jobs,
  Journal,
  Log,
  Look,
  Machine,
  Platform,
  Ports,
  Progress,
  RawResult,
  Task,
} from "./steps/ports.ts";
export { parseRequests } from "./steps/requests.ts";
export type {
  Hello,
  Hook,
  HookInventory,
  HookRequests,
  Incoming,
  InstanceSpec,
  OutboxEntry,
  Outgoing,
  ProbeSpec,
  Report,
  ServiceSpec,
  StepResult,
  StepRow,
  StepSpec,
} from "./steps/types.ts";
export { noRequests } from "./steps/verdict.ts";
