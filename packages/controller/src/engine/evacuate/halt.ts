import type { Instance } from "@slipway/shared";
import { type ActionRecord, actionName } from "../../domain/action.ts";
import type { EffectRef } from "../../domain/fleet.ts";
import type { HostRun } from "../../domain/run.ts";
import type { Course, Desk } from "../desk.ts";
import { LOOK_EVERY_MS } from "./move.ts";
import { baseOf, isOpen, type Op, QUICK_MS, settleOp, startAction, whyNotDone } from "./ops.ts";
import { generationOf } from "./pictures.ts";
import { watchAction } from "./watch.ts";

/** A guest that does not shut down, or is not up, within this time is given up, in milliseconds. */
export const STOP_TIMEOUT_MS = 300_000;

/** Opens the entry of the ledger first: what is stopped is to be started again, whatever becomes of the run. */
export function beginStop(desk: Desk, instance: Instance, verb: "stop" | "save", by: "policy" | "consent"): void {
  const { host, run, fleet } = desk;
  const { uuid, name } = instance;
  const entries = run.ledger.filter((l) => l.kind === "instance" && l.subject === uuid && l.host === host.name);
  const id = `${run.spec.run}:${host.name}:${uuid}:${entries.length + 1}`;
  // One that was started by other hands since this run stopped it still stands there.
  if (entries.every((l) => l.closedAt !== undefined))
    desk.record({
      type: "ledger-opened",
      ...{ id, host: host.name, change: verb, undo: "start", kind: "instance", subject: uuid, name },
    });
  startAction(desk, verb, host.name, uuid, {
    ...{ name, generation: generationOf(run, fleet.inventoriesOf(host.cluster), uuid) },
    timeoutMs: verb === "save" ? fleet.pool.migration.timeoutMs : STOP_TIMEOUT_MS,
    ...{ purpose: "drain", from: host.name, by },
  });
}

export function beginStart(desk: Desk, uuid: string, name: string): void {
  const { host, run, fleet } = desk;
  const generation = generationOf(run, fleet.inventoriesOf(host.cluster), uuid) + 1;
  const timeoutMs = STOP_TIMEOUT_MS;
  startAction(desk, "start", host.name, uuid, { name, generation, timeoutMs, purpose: "restore", from: host.name });
}

export type Halt = Op & { readonly kind: keyof typeof done };

const done = { stop: "stopped", save: "saved", start: "started", resume: "resumed" } as const;

/** A stop or a start; one whose end does not say it is looked at until the host does. */
export function advanceHalt(desk: Desk, op: Halt, course: Course): void {
  for (const a of op.actions) if (isOpen(a)) watchAction(desk, op, a, course);
  const [first] = op.actions;
  if (first === undefined || isOpen(first)) return;
  const durationMs = first.result?.durationMs ?? 0;
  if (first.result?.verdict === "ok") {
    finish(desk, op, true, "", durationMs);
    return;
  }
  const look = op.actions.findLast((a) => a.verb === "look");
  if (look === undefined) {
    // One that no agent has confirmed may still be on its way; below this generation its host does it no more.
    const overtakes = first.abandoned !== undefined && first.acceptedT === undefined;
    const base = baseOf(op, QUICK_MS);
    startAction(desk, "look", op.from, op.uuid, { ...base, generation: op.generation + (overtakes ? 1 : 0) });
    return;
  }
  if (isOpen(look)) return;
  const seen = look.result?.verdict === "ok" ? look.result.instance : undefined;
  const runs = seen?.present === true && (seen.state === "running" || seen.state === "paused");
  const isOff = seen?.present === true && seen.state === "shutoff";
  if (seen?.problem === "" && seen.job === "" && (runs || isOff)) {
    const isDone = op.kind === "stop" || op.kind === "save" ? isOff : runs;
    finish(desk, op, isDone, whyNotDone(first), durationMs);
    return;
  }
  const reason = {
    rule: "instance-unknown",
    subject: op.from,
    text: `instance ${op.name}: ${op.from} does not say whether it runs (${seen?.problem || whyNotDone(look)})`,
    fix: `look at the platform of ${op.from}, or settle the host: slipway run skip ${desk.run.spec.run} ${desk.host.name}`,
  };
  if (course.givesUp) {
    finish(desk, op, false, reason.text, durationMs);
    return;
  }
  desk.unknown(reason);
  desk.wait(reason);
  if (desk.expired((look.endedT ?? look.startedT) + LOOK_EVERY_MS))
    startAction(desk, "look", op.from, op.uuid, baseOf(op, QUICK_MS));
}

/**
 * Only a start closes the entry: a guest that did not shut down in time may still do so, and whoever restores the host sees
 * whether it runs.
 */
function finish(desk: Desk, op: Halt, isDone: boolean, reason: string, durationMs: number): void {
  settleOp(desk, op, isDone ? done[op.kind] : "failed", isDone ? { durationMs } : { reason });
  if (isDone && (op.kind === "start" || op.kind === "resume")) closeEntry(desk, op.uuid, "it runs again");
}

/** A stop that was given up and of which its agent has told nothing since: the guest may still shut down. */
export function pendingStop(host: HostRun, uuid: string): ActionRecord | undefined {
  return host.actions.findLast(
    (a) => a.subject === uuid && (a.verb === "stop" || a.verb === "save") && a.abandoned && a.result === undefined,
  );
}

/** Has its agent end it, and tell how it ended. */
export function recallStop(desk: Desk, a: ActionRecord): void {
  const { options, run } = desk.run.spec;
  const ref: EffectRef = { run, host: a.on, step: actionName(a), attempt: a.attempt };
  desk.effect({ do: "cancel-step", ref, reason: "it was given up" });
  desk.effect({ do: "query-step", ref, everyMs: options.pingIntervalMs });
  desk.wait({
    rule: "stop-pending",
    subject: a.on,
    text: `instance ${a.spec.name}: whether ${a.on} still shuts it down is not known`,
    fix: `look at slipway-agent on ${a.on}`,
  });
}

/** Closes what stands of an instance in this run's ledger. */
export function closeEntry(desk: Desk, uuid: string, note: string): void {
  for (const l of desk.run.ledger)
    if (l.kind === "instance" && l.subject === uuid && l.host === desk.host.name && l.closedAt === undefined)
      desk.record({ type: "ledger-closed", id: l.id, host: l.host, note });
}
