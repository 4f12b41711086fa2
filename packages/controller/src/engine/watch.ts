import { durationText } from "@slipway/shared";
import type { StepRef } from "../domain/events.ts";
import type { AgentTask, EffectRef } from "../domain/fleet.ts";
import type { Run, StepRecord } from "../domain/run.ts";
import { isStage, type StepName, steps } from "../domain/words.ts";
import { budgetDenial, type OutHost, outTogether } from "./budget.ts";
import type { Desk } from "./desk.ts";
import { dutiesOf } from "./evacuate/duties.ts";
import { CANNOT_EMPTY, rehearseTurn } from "./evacuate/empty.ts";
import { hasNoPlatform, pictureOf, staleness } from "./evacuate/pictures.ts";
import { windowWait, windowWakeT } from "./rolling/window.ts";
import { WITHDRAWN } from "./turn.ts";

/** A host that is not connected when its first check is due is waited for at most this long: nothing has been changed yet. */
export const PREFLIGHT_CONNECT_MS = 10_000;

/** The gate's question, asked again and again until it is answered with a yes. */
export function watchGate(desk: Desk, s: StepRecord): void {
  const { run, host, fleet } = desk;
  if (run.abort || host.directed || run.state === "stopping") {
    abandon(desk, s, WITHDRAWN, "the question was withdrawn");
    return;
  }
  const out = outTogether(run, host, fleet);
  const shut = windowWait(run, host, fleet);
  if (shut) desk.expired(windowWakeT(run, fleet, desk.now));
  const denial = budgetDenial(run, host, out, fleet) ?? shut;
  if (denial) {
    desk.wait(denial);
    desk.unknown(denial);
    return;
  }
  const rehearsal = rehearseTurn(desk);
  if (rehearsal.kind === "unknown") {
    desk.wait(rehearsal.reason);
    desk.unknown(rehearsal.reason);
    return;
  }
  if (rehearsal.kind === "blocked") {
    const others = run.schedule ? out.filter((o) => o.isTurn && o.cluster === host.cluster).map((o) => o.name) : [];
    if (others.length > 0) {
      // With them back there is more room.
      const text = `${host.name} cannot be emptied while ${others.join(", ")} ${others.length === 1 ? "is" : "are"} out: ${rehearsal.text}`;
      desk.wait({ rule: "cannot-empty-yet", subject: host.name, text, fix: "" });
      return;
    }
    abandon(desk, s, CANNOT_EMPTY, rehearsal.text);
    return;
  }
  askGate(desk, s, out);
  const reason = host.gateReasons[0];
  if (reason) {
    const waiting = { ...reason, rule: "gate-unknown" };
    desk.wait(waiting);
    desk.unknown(waiting);
  }
}

/**
 * An empty host: may it still go? A host that is back: is everything whole again that it has members of? Asked until the answer is
 * a yes; meanwhile the run holds, its services are left alone, and it counts as out.
 */
export function watchSystems(desk: Desk, s: StepRecord): void {
  const { run, host } = desk;
  if (run.abort || host.directed) {
    abandon(desk, s, WITHDRAWN, "the question was withdrawn");
    return;
  }
  const out = outTogether(run, host, desk.fleet);
  askGate(desk, s, out);
  const reason = host.gateReasons[0];
  if (!reason) return;
  const waiting = {
    rule: s.step,
    subject: host.name,
    text: `${host.name} ${s.step === "heal" ? "is held back" : "stays up"}: ${host.gateReasons.map((r) => r.text).join("; ")}`,
    fix:
      reason.fix || `it goes on once that is well; or slipway run override ${run.spec.run} ${host.name} --reason TEXT`,
  };
  desk.wait(waiting);
  desk.unknown(waiting);
}

/**
 * Has something been started on an empty host whose agent has not taken the step yet that takes it down? It may have been away since
 * the step was resolved on, so its present picture counts, and until there is one the step is not sent.
 */
function isFilledAgain(desk: Desk, s: StepRecord): boolean {
  if (s.step !== "Maintenance" && s.step !== "reboot") return false;
  const { run, host, fleet, now } = desk;
  const picture = pictureOf(fleet, host.cluster, host.name);
  if (hasNoPlatform(picture)) return false;
  const stale = staleness(host.name, picture, now);
  if (stale || picture === undefined) {
    if (stale) desk.wait(stale);
    desk.expired(now + 1_000);
    return true;
  }
  const duty = dutiesOf(picture, fleet.pool, run.spec.options).find((d) => d.how !== "stay" || d.problem !== undefined);
  if (duty === undefined) return false;
  const filled = {
    rule: "started-meanwhile",
    subject: host.name,
    text: `${host.name} was empty, and instance ${duty.instance.name} has been started there before ${s.step}`,
    fix: `stop it or move it away; or settle the host: slipway run skip ${run.spec.run} ${host.name}`,
  };
  desk.wait(filled);
  desk.unknown(filled);
  return true;
}

function askGate(desk: Desk, { host, step, attempt }: StepRecord, out: readonly OutHost[]): void {
  const { options, run } = desk.run.spec;
  desk.effect({
    do: "ask-gate",
    ref: { run, host, step, attempt },
    cluster: desk.host.cluster,
    out: out.map((o) => o.name),
    everyMs: options.pingIntervalMs,
  });
}

/** What a step that an agent does needs: to be asked for, asked after, ended or given up. */
export function watchAgent(desk: Desk, s: StepRecord): void {
  const { host, run } = desk;
  const { options } = run.spec;
  const ref: EffectRef = { run: run.spec.run, host: s.host, step: s.step, attempt: s.attempt };
  const fact = desk.fleet.host(s.host);
  const connected = fact?.connected === true;
  if (connected) {
    if (s.acceptedT === undefined) {
      if (!isFilledAgain(desk, s)) desk.effect({ do: "start-step", ref, task: taskOf(run, s.step) });
    } else desk.effect({ do: "query-step", ref, everyMs: options.pingIntervalMs });
    if (s.acceptedT !== undefined && isStage(s.step) && (run.abort?.now || host.directed))
      desk.effect({
        do: "cancel-step",
        ref,
        reason: run.abort ? "the run was aborted" : "an operator settled the host",
      });
  } else {
    desk.wait({
      rule: "unreachable",
      subject: s.host,
      text: `${s.host}: its agent is not connected (${fact?.lastSeen ?? "never seen"}); ${s.step} is ${s.acceptedT === undefined ? "not confirmed" : "in hand"}`,
      fix: `start slipway-agent on ${s.host}`,
    });
  }
  const patience =
    run.state === "preflight" && s.acceptedT === undefined
      ? Math.min(options.agentWaitMs, PREFLIGHT_CONNECT_MS)
      : options.agentWaitMs;
  const silentSince = connected ? undefined : Math.max(s.startedT, fact?.sinceT ?? s.startedT);
  if (s.step === "reboot") {
    const limit = (s.acceptedT ?? s.startedT) + options.rebootWaitMs;
    if (desk.expired(limit))
      abandon(
        desk,
        s,
        "reboot-timed-out",
        `reboot: not back within ${durationText(options.rebootWaitMs)}; ${fact?.lastSeen ?? "never seen"}`,
      );
    return;
  }
  const overdue =
    s.acceptedT === undefined
      ? s.startedT + patience
      : isStage(s.step)
        ? s.acceptedT + options.timeoutMs + options.graceMs + options.agentWaitMs
        : s.acceptedT + patience;
  const limit = Math.min(overdue, silentSince === undefined ? Infinity : silentSince + patience);
  if (!desk.expired(limit)) return;
  const away = `the agent is not connected (${fact?.lastSeen ?? "never seen"})`;
  const isTaken = s.acceptedT !== undefined;
  const text = connected
    ? `${s.step} on ${s.host}: the agent is connected but has not ${isTaken ? "told its end" : "taken the step"}`
    : `${s.step} on ${s.host}: ${isTaken ? "its verdict is not known" : "it is not confirmed"}, ${away}`;
  const harmless = s.step === "inspect" || s.step === "PreFlight";
  if (harmless || options.forced || host.directed || run.abort) {
    abandon(desk, s, harmless ? "unreachable" : "unknown-verdict", text);
    return;
  }
  desk.unknown({
    rule: "unknown-verdict",
    subject: s.host,
    text,
    fix: `bring the agent back, or settle the host: slipway run skip|mark-done ${run.spec.run} ${s.host}`,
  });
}

function abandon(desk: Desk, { host, step, attempt }: StepRef, code: string, reason: string): void {
  desk.record({ type: "step-abandoned", host, step, attempt, code, reason });
}

function taskOf(run: Run, step: StepName): AgentTask {
  const { args, timeoutMs, graceMs, rebootWaitMs } = run.spec.options;
  if (step === "reboot") return { kind: "reboot", timeoutMs: rebootWaitMs };
  if (isStage(step)) return { kind: "hook", stage: step, args, timeoutMs, graceMs };
  if (steps[step].by !== "agent") throw new Error(`${step} is no step of an agent`);
  return { kind: "inspect" };
}
