import type { MessageInitShape } from "@bufbuild/protobuf";
import type { operatorWire } from "@slipway/shared/wire";
import type { ActionRecord, Settlement } from "../domain/action.ts";
import type { HostRun } from "../domain/run.ts";

export type InstanceActionView = MessageInitShape<typeof operatorWire.InstanceActionSchema>;

/** What is worth showing while it is in hand; the rest belongs to a move or takes no time. */
const shown = new Set(["move", "stop", "save", "start", "resume"]);

/** How far a step has come, as its agent told; undefined when it does not tell. */
export type PercentOf = (on: string, step: string) => number | undefined;

/** What is done to instances for the turn of a host right now. */
export function actionsInHand(host: HostRun, percentOf: PercentOf): InstanceActionView[] {
  return host.actions
    .filter((a) => shown.has(a.verb) && a.result === undefined && a.abandoned === undefined && !a.settled)
    .map((a) => {
      const percent = percentOf(a.on, `${a.verb}:${a.subject}`);
      return {
        uuid: a.subject,
        name: a.spec.name,
        verb: a.verb,
        purpose: a.spec.purpose,
        from: a.spec.from ?? a.on,
        to: a.spec.to ?? "",
        outcome: "running",
        startedAtMs: BigInt(Math.round(a.startedAt)),
        attempt: attemptsAt(host, a),
        ...(percent === undefined ? {} : { percent }),
      };
    });
}

/** What became of instances in the turn of a host, in order. */
export function settledActions(host: HostRun): InstanceActionView[] {
  return host.settled.map((s) => {
    const last = lastOf(host, s);
    const look = last?.result?.instance;
    return {
      uuid: s.uuid,
      name: s.name,
      verb: last?.verb ?? "",
      purpose: s.purpose,
      from: s.from,
      to: s.to ?? "",
      outcome: s.outcome,
      reason: s.reason,
      startedAtMs: BigInt(Math.round(last?.startedAt ?? 0)),
      durationMs: BigInt(Math.round(s.durationMs)),
      downtimeMs: look?.downtimeMs ?? 0,
      bytes: BigInt(look?.bytes ?? 0),
      attempt: last ? attemptsAt(host, last) : 0,
    };
  });
}

/** Instances that the drain of a host is through with, and those that it is not. */
export function countsOf(host: HostRun): { instancesDone: number; instancesLeft: number } {
  const todo = host.evacuees.filter((e) => e.how !== "stay");
  const through = new Set(
    host.settled.filter((s) => s.purpose === "drain" && !["stayed", "failed"].includes(s.outcome)).map((s) => s.uuid),
  );
  const done = todo.filter((e) => through.has(e.uuid)).length;
  return { instancesDone: done, instancesLeft: todo.length - done };
}

/** The action that a settlement is the end of: the last one with the instance that did something and was started before it. */
function lastOf(host: HostRun, s: Settlement & { readonly t: number }): ActionRecord | undefined {
  return host.actions.findLast(
    (a) => a.subject === s.uuid && shown.has(a.verb) && a.spec.purpose === s.purpose && a.startedT <= s.t,
  );
}

/** How often this was tried by then, over all targets. */
function attemptsAt(host: HostRun, action: ActionRecord): number {
  return host.actions.filter(
    (a) =>
      a.subject === action.subject &&
      a.verb === action.verb &&
      a.spec.purpose === action.spec.purpose &&
      a.startedT <= action.startedT,
  ).length;
}
