export type { HookRun } from "./executor.ts";
export { isAlive, memoryOf } from "./guests.ts";
export type { HostScript } from "./host.ts";
export type { ServiceFate } from "./services.ts";
export type { GroupScript, Sight, SystemScript } from "./systems.ts";
export { type Chance, type LogLine, type Variant, World } from "./world.ts";
