// The pure core, its ports and what a simulator or a bench needs. The agent itself is started by main.ts.
export { DirectExecutor } from "./executors/direct/direct.ts";
export { HooksDirectory } from "./hooks/directory.ts";
export { RealMachine } from "./host/machine.ts";
export { type JournalWrite, MemoryJournal } from "./journal/memory.ts";
export { openSqliteJournal, type SqliteJournal } from "./journal/sqlite.ts";
export { fromWire, toWire } from "./session/convert.ts";
export { Session, type SessionOptions } from "./session/session.ts";
export { AgentCore, type AgentIdentity } from "./steps/core.ts";
export type {
  Executor,
  FoundHook,
  Hooks,
  Journal,
  Log,
  Look,
  Machine,
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
  OutboxEntry,
  Outgoing,
  Report,
  StepResult,
  StepRow,
  StepSpec,
} from "./steps/types.ts";
export { noRequests } from "./steps/verdict.ts";
