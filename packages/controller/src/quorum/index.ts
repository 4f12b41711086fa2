export { type GateAnswer, type GateQuestion, mayGoOut } from "./gate.ts";
export { mergeViews } from "./merge.ts";
export { largestSafeSet, notHealed, standing } from "./safe-set.ts";
export { seenText } from "./seen.ts";
export { spareGroups } from "./spare.ts";
export type { Member, MemberSet, System, View, Whereabouts } from "./system.ts";
