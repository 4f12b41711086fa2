import {
  type Instance,
  type InstanceLook,
  type InstanceVerb,
  instanceVerbs,
  type MoveOptions,
  type ServiceVerb,
  serviceVerbs,
  type Verdict,
} from "@slipway/shared";
import type { ServiceConfig } from "./quorum.ts";

/** What an agent does for the turn of a host besides its stages. */
export type ActionVerb = InstanceVerb | ServiceVerb | "probe";

/** Step name of an action's key, "move:UUID". */
export type ActionName = `${ActionVerb}:${string}`;

/** Which execution of which action. */
export interface ActionRef {
  /** The host whose turn it is done for. */
  readonly host: string;
  /** The host whose agent does it: the host itself, a target, or a source. */
  readonly on: string;
  readonly verb: ActionVerb;
  /** Uuid of an instance, name of a service or a probe. */
  readonly subject: string;
  /** Counts from 1 per run, `on`, verb and subject, whoever's turn it is. */
  readonly attempt: number;
}

/** What an action is done for. */
export const purposes = {
  drain: "the host is emptied",
  restore: "what was stopped for the host's turn is started",
  return: "an instance comes back to the host",
  move: "an operator moves it",
  "make-room": "it makes room where it was, for what has to leave the host",
} as const satisfies Record<string, string>;
export type Purpose = keyof typeof purposes;

/** An instance as its host described it; what a target must offer. Without the one field that JSON cannot carry. */
export type InstanceNeeds = Omit<Instance, "startedAtMs">;

/** Everything about an action on an instance that is fixed when it is recorded. */
export interface InstanceAction {
  readonly kind: "instance";
  readonly name: string;
  /** What this life of the instance is to be known by; a move and a start raise it. */
  readonly generation: number;
  /** Bound on the whole step, in milliseconds of the agent's monotonic clock. */
  readonly timeoutMs: number;
  readonly purpose: Purpose;
  /** Of a move, and of the admission and the looks that belong to it: source and target. */
  readonly from?: string;
  readonly to?: string;
  /** Of admit: what it needs. */
  readonly instance?: InstanceNeeds;
  /** Of admit: disks, by their names in the guest, that the migration is to copy along. */
  readonly copies?: readonly string[];
  /** Of move. */
  readonly move?: MoveOptions;
  /** Of stop and save: who allows it. */
  readonly by?: "policy" | "consent";
}

/** Everything about an action on a service that is fixed when it is recorded. */
export interface ServiceAction {
  readonly kind: "service";
  readonly service: ServiceConfig;
  /** Bound on the whole step, in milliseconds of the agent's monotonic clock. */
  readonly timeoutMs: number;
}

export type ActionSpec = InstanceAction | ServiceAction;

/** What a platform says of an instance at the end of a step. */
export type Look = Omit<InstanceLook, "bytes"> & { readonly bytes: number };

/** How an action ended, as its agent knows it. */
export interface ActionResult {
  readonly verdict: Verdict;
  readonly reason: string;
  /** Wall clock of the agent, milliseconds since the epoch; for people only. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly durationMs: number;
  readonly output: string;
  readonly instance?: Look;
}

/** One execution of an action, from the log; by default one on an instance. */
export interface ActionRecord<Spec extends ActionSpec = InstanceAction> extends ActionRef {
  readonly spec: Spec;
  /** Engine time of the intent, of the agent's confirmation, and of the end or the giving up. */
  readonly startedT: number;
  readonly acceptedT?: number;
  readonly endedT?: number;
  /** Wall clock of the intent, for people. */
  readonly startedAt: number;
  readonly result?: ActionResult;
  /** Given up by the controller: why. */
  readonly abandoned?: { readonly code: string; readonly reason: string };
  /** What was wanted with its instance has been settled; it decides nothing any more. */
  readonly settled: boolean;
}

/** What became of what was wanted with an instance. */
export const settlements = {
  moved: "it runs on the target",
  stayed: "it runs where it was",
  stopped: "it was shut down",
  saved: "its memory was saved and it stopped",
  started: "it was started",
  resumed: "it runs on after a pause",
  failed: "it was not done",
  ended: "it stopped by itself",
} as const satisfies Record<string, string>;
export type SettlementOutcome = keyof typeof settlements;

/** A service that a step stops or starts, and what became of it. */
export interface ServiceTurn {
  /** Subject of its actions, unique on its host: "gluster", "systemd@nfs-server.service". */
  readonly subject: string;
  readonly service: ServiceConfig;
  /** Instances that stop with it and that their platform then starts elsewhere; absent: none. */
  readonly failsOver?: readonly { readonly uuid: string; readonly name: string }[];
  readonly outcome?: ServiceOutcome;
  readonly reason?: string;
}
export type ServiceOutcome = "stopped" | "started" | "failed";

export interface Settlement {
  /** The host whose turn it is. */
  readonly host: string;
  readonly uuid: string;
  readonly name: string;
  readonly purpose: Purpose;
  readonly outcome: SettlementOutcome;
  /** Where it was; of a move also where it was to go. */
  readonly from: string;
  readonly to?: string;
  readonly generation: number;
  /** Why, where it was not done; else empty. */
  readonly reason: string;
  /** Of the migration, the stop or the start, as its agent measured it; 0 when not known. */
  readonly durationMs: number;
}

/** An instance that a drain found, and what it means to do with it. */
export interface Evacuee {
  readonly uuid: string;
  readonly name: string;
  readonly how: "move" | "stop" | "save" | "stay";
}

/** Step name of an action. */
export function actionName(ref: { readonly verb: ActionVerb; readonly subject: string }): ActionName {
  return `${ref.verb}:${ref.subject}`;
}

/** Verb and subject of a step name; undefined when it is not an action's. For names that come over the wire. */
export function actionOf(name: string): { verb: ActionVerb; subject: string } | undefined {
  const colon = name.indexOf(":");
  const verb = name.slice(0, Math.max(0, colon));
  const isVerb = Object.hasOwn(instanceVerbs, verb) || Object.hasOwn(serviceVerbs, verb) || verb === "probe";
  return isVerb ? { verb: verb as ActionVerb, subject: name.slice(colon + 1) } : undefined;
}

export function isActionName(name: string): name is ActionName {
  return actionOf(name) !== undefined;
}
