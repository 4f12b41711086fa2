import type { InstanceVerb } from "@slipway/shared";
import { type ActionRecord, type ActionRef, actionName } from "../../domain/action.ts";
import type { AgentTask, EffectRef } from "../../domain/fleet.ts";
import type { Course, Desk } from "../desk.ts";
import type { Op } from "./ops.ts";

/** An agent that is away is waited for this long when nothing depends on it yet, in milliseconds. */
const ADMIT_PATIENCE_MS = 10_000;

/** What an action in hand needs: to be asked for, asked after, ended or given up. */
export function watchAction(desk: Desk, op: Op, a: ActionRecord, course: Course): void {
  const { options, run } = desk.run.spec;
  const ref: EffectRef = { run, host: a.on, step: actionName(a), attempt: a.attempt };
  const fact = desk.fleet.host(a.on);
  const connected = fact?.connected === true;
  const isTaken = a.acceptedT !== undefined;
  const away = `its agent is not connected (${fact?.lastSeen ?? "never seen"})`;
  if (connected) {
    desk.effect(
      isTaken ? { do: "query-step", ref, everyMs: options.pingIntervalMs } : { do: "start-step", ref, task: taskOf(a) },
    );
    if (course.cancel !== undefined && isTaken && !isTidying(a))
      desk.effect({ do: "cancel-step", ref, reason: course.cancel });
  } else {
    desk.wait({
      rule: "unreachable",
      subject: a.on,
      text: `instance ${op.name}: ${a.verb} on ${a.on} is ${isTaken ? "in hand" : "not confirmed"}, and ${away}`,
      fix: `start slipway-agent on ${a.on}`,
    });
  }
  const since = Math.max(a.startedT, fact?.sinceT ?? a.startedT);
  // Nothing depends on them: one that is not let in does not move, and a promise of room ends by itself.
  const isSlight = a.verb === "admit" || a.verb === "withdraw";
  const patience = isSlight ? Math.min(options.agentWaitMs, ADMIT_PATIENCE_MS) : options.agentWaitMs;
  if (!connected) {
    if (!desk.expired(since + patience)) return;
    if (isSlight || course.givesUp) abandon(desk, a, "unreachable", `${a.on}: ${away}`);
    else
      desk.unknown({
        rule: "instance-unknown",
        subject: a.on,
        text: `instance ${op.name}: whether its ${a.verb} on ${a.on} was done is not known, ${away}`,
        fix: `bring ${a.on} back, or settle the host: slipway run skip|mark-done ${run} ${desk.host.name}`,
      });
    return;
  }
  const limit =
    a.acceptedT === undefined ? since + patience : Math.max(since, a.acceptedT + a.spec.timeoutMs) + patience;
  if (desk.expired(limit))
    abandon(desk, a, "no-answer", `${a.on} has not ${isTaken ? "told its end" : "taken it"} in time`);
}

/** What only asks or clears up is not ended by an abort. */
function isTidying({ verb }: ActionRecord): boolean {
  return verb === "look" || verb === "discard" || verb === "withdraw";
}

function abandon(desk: Desk, a: ActionRecord, code: string, reason: string): void {
  const { host, on, verb, subject, attempt }: ActionRef = a;
  desk.record({ type: "action-abandoned", host, on, verb, subject, attempt, code, reason });
}

export function taskOf(a: ActionRecord): AgentTask {
  const { name, generation, timeoutMs, move, from, instance } = a.spec;
  return {
    kind: "instance",
    ...{ verb: a.verb as InstanceVerb, uuid: a.subject, name, generation, timeoutMs },
    ...(move ? { move } : {}),
    ...(a.verb === "admit" ? { from: from ?? "", ...(instance ? { instance } : {}) } : {}),
  };
}
