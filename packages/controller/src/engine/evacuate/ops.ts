import { type InstanceVerb, verdicts } from "@slipway/shared";
import type { ActionRecord, ActionSpec, InstanceAction, Purpose, Settlement } from "../../domain/action.ts";
import type { RunEvent } from "../../domain/events.ts";
import type { HostRun, Run } from "../../domain/run.ts";
import type { Desk } from "../desk.ts";

/** Bound on admission, looks and the removal of leftovers, in milliseconds. */
export const QUICK_MS = 30_000;

/** What is wanted with one instance and not settled yet: the actions that belong to it, in order of start. */
export interface Op {
  readonly kind: "move" | "stop" | "save" | "start" | "resume";
  readonly uuid: string;
  readonly name: string;
  readonly purpose: Purpose;
  readonly generation: number;
  /** Where it is; of a move also where it goes. */
  readonly from: string;
  readonly to: string;
  readonly by?: "policy" | "consent";
  readonly actions: readonly ActionRecord[];
}

const known = new WeakMap<HostRun, readonly Op[]>();

/** What is open in the turn of a host. */
export function opsOf(host: HostRun): readonly Op[] {
  let ops = known.get(host);
  if (ops === undefined) {
    const open = host.actions.filter((a) => !a.settled && a.spec.kind === "instance");
    ops = [...Map.groupBy(open, (a) => a.subject).values()].map(opOf).filter((op) => op !== undefined);
    known.set(host, ops);
  }
  return ops;
}

function opOf(actions: readonly ActionRecord[]): Op | undefined {
  const [first] = actions;
  if (first === undefined) return undefined;
  const { verb, subject: uuid, spec } = first;
  const { name, purpose, generation, from = first.on, to = "", by } = spec;
  const kind = verb === "stop" || verb === "save" || verb === "start" || verb === "resume" ? verb : "move";
  return { kind, uuid, name, purpose, generation, from, to, ...(by ? { by } : {}), actions };
}

/** Open in any turn of the run: migrations of several hosts share targets and the network. */
export function opsOfRun(run: Run): readonly Op[] {
  return run.hosts.flatMap((h) => (h.actions.length === 0 ? [] : opsOf(h)));
}

/** Is the migration itself under way, or was it? Until then its target has at most been asked for room. */
export function hasBegun(op: Op): boolean {
  return op.actions.some((a) => a.verb === "move");
}

export function isOpen(a: ActionRecord): boolean {
  return a.result === undefined && a.abandoned === undefined;
}

/** The next execution of a verb on an instance by an agent, whoever's turn it is: keys are never used twice in a run. */
export function startAction(
  desk: Desk,
  verb: InstanceVerb,
  on: string,
  uuid: string,
  spec: Omit<InstanceAction, "kind">,
): void {
  const earlier = desk.run.hosts.flatMap((h) =>
    h.actions.filter((a) => a.on === on && a.verb === verb && a.subject === uuid),
  );
  const attempt = Math.max(0, ...earlier.map((a) => a.attempt)) + 1;
  const full: ActionSpec = { kind: "instance", ...spec };
  desk.record({ type: "action-started", host: desk.host.name, on, verb, subject: uuid, attempt, spec: full });
}

/** What every action of an operation has in common. */
export function baseOf(op: Op, timeoutMs: number): Omit<InstanceAction, "kind"> {
  const { name, generation, purpose, from, to, by } = op;
  return { name, generation, timeoutMs, purpose, from, ...(to ? { to } : {}), ...(by ? { by } : {}) };
}

export function settleOp(
  desk: Desk,
  op: Op,
  outcome: Settlement["outcome"],
  more: { reason?: string; durationMs?: number; at?: string } = {},
): void {
  const { uuid, name, purpose, generation, to } = op;
  const event: RunEvent = {
    type: "instance-settled",
    host: desk.host.name,
    ...{ uuid, name, purpose, outcome, from: more.at ?? op.from },
    ...(to ? { to } : {}),
    ...{ generation, reason: more.reason ?? "", durationMs: more.durationMs ?? 0 },
  };
  desk.record(event);
}

export function whyNotDone(a: ActionRecord): string {
  if (a.abandoned) return a.abandoned.reason;
  if (a.result === undefined) return "it has not ended";
  return a.result.reason || verdicts[a.result.verdict];
}
