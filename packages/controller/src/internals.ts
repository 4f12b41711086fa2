// Parts of the controller for who runs it in a simulated world: the same code, with other things behind its ports. Nothing that anybody else may rely on.

export { GATE_FRESH_MS } from "./engine/fresh.ts";
export { commandTo, keyFrom, platformFrom, resultFrom, stateFrom, type ToAgent } from "./fleet/convert.ts";
export { CordonMarks } from "./fleet/cordons.ts";
export { InventoryBook } from "./fleet/inventories.ts";
export type { FleetEntry } from "./fleet/registry.ts";
export type { Session } from "./fleet/session.ts";
export { pictureProblem } from "./placement/index.ts";
export { type CheckAnswer, groupSystem } from "./quorum/groups.ts";
export { mayGoOut, notHealed, type System, type View } from "./quorum/index.ts";
export { checkAnswer, checkedFrom, stopsWithHost, systemSeen, systemsToHeal, viewpointsOf } from "./quorum/reading.ts";
export type { InventoryRecord } from "./store/hosts.ts";
