// Parts of the agent for who runs it in a simulated world: the same core, with other things behind its ports. Nothing of it touches
// the machine or needs a database. Nothing that anybody else may rely on.

export { MemoryJournal } from "./journal/memory.ts";
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
export { AgentCore, type AgentIdentity } from "./steps/core.ts";
export type {
  Executor,
  JobLook,
  JobResult,
  Jobs,
  Journal,
  Look,
  Platform,
  Ports,
  Progress,
  RawResult,
  Task,
} from "./steps/ports.ts";
export { parseRequests } from "./steps/requests.ts";
export type { HookInventory, Incoming, InstanceSpec, Outgoing, ServiceSpec } from "./steps/types.ts";
export { noRequests } from "./steps/verdict.ts";
