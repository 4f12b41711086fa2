import { type ServiceVerb, verdicts } from "@slipway/shared";
import {
  type ActionRecord,
  actionName,
  type ServiceAction,
  type ServiceOutcome,
  type ServiceTurn,
} from "../../domain/action.ts";
import type { EffectRef } from "../../domain/fleet.ts";
import type { LedgerRecord, StepRecord } from "../../domain/run.ts";
import type { Desk } from "../desk.ts";
import { isFresh } from "../fresh.ts";
import { controllerResult, endOf, pausedReason } from "../result.ts";
import { WITHDRAWN } from "../turn.ts";
import { concernOf, leftBehind, serviceName, standingOf, toStop } from "./concern.ts";
import { notElsewhere, withFailover } from "./failover.ts";

type Direction = "stop" | "start";
type ServiceRecord = ActionRecord<ServiceAction>;

/** How often a service is stopped, or started, in one step when it is not known what became of the time before. */
const ATTEMPTS = 2;
/** Bound on a look, in milliseconds. */
const CHECK_MS = 60_000;
/** Between two looks at something that does not say what it is, in milliseconds. */
const LOOK_EVERY_MS = 5_000;

/**
 * Stops the services of an empty host one after another, or starts in the opposite order what stands in the ledger as stopped. What
 * is laid down at the step's beginning holds until its end, whatever becomes of the pool file. The first that fails ends the step.
 */
export function workServices(desk: Desk, step: StepRecord, direction: Direction): void {
  const { run, host } = desk;
  if (direction === "start") takeOver(desk);
  if (desk.hasRecords) return;
  const isCalledOff = direction === "stop" && (run.abort !== undefined || host.directed !== undefined);
  if (host.services === undefined) {
    const planned = direction === "stop" ? toStop(desk.fleet, host.name) : toStart(desk);
    const services =
      direction === "stop" && !isCalledOff && !("rule" in planned) ? withFailover(desk, planned) : planned;
    if ("rule" in services && isCalledOff) withdraw(desk, step, "nothing has been stopped");
    else if ("rule" in services) {
      desk.unknown(services);
      desk.wait(services);
      desk.expired(desk.now + LOOK_EVERY_MS);
    } else desk.record({ type: "services-planned", host: host.name, services });
    return;
  }
  const failed = host.services.find((s) => s.outcome === "failed");
  if (failed) {
    const reason = `${serviceName(failed.service)}: ${failed.reason}`;
    desk.record(endOf(step, controllerResult("failed", reason, step.startedAt, desk.now - step.startedT)));
    return;
  }
  const next = host.services.find((s) => s.outcome === undefined);
  if (next === undefined) {
    desk.record(endOf(step, controllerResult("ok", "", step.startedAt, desk.now - step.startedT)));
    return;
  }
  const actions = (host.serviceActions ?? []).filter((a) => a.subject === next.subject && !a.settled);
  if (actions.length > 0) {
    advance(desk, next, actions, direction, isCalledOff);
    return;
  }
  if (isCalledOff) {
    withdraw(desk, step, "what was stopped is started again");
    return;
  }
  if (run.paused && !run.abort) {
    desk.wait(pausedReason(run));
    return;
  }
  if (direction === "stop" && isStale(desk)) withdraw(desk, step, "is asked again whether it may go");
  else begin(desk, next, direction);
}

/** The gate's yes has grown old meanwhile: by the time that one service has stopped, a member elsewhere may have died. */
function isStale({ run, host, fleet, now }: Desk): boolean {
  const yes = host.steps.findLast((s) => s.step === "recheck");
  return concernOf(run, host, fleet).isWatched && (yes === undefined || !isFresh(yes, fleet, now));
}

function withdraw(desk: Desk, { host, step, attempt }: StepRecord, reason: string): void {
  desk.record({ type: "step-abandoned", host, step, attempt, code: WITHDRAWN, reason });
}

function toStart({ run, host }: Desk): readonly ServiceTurn[] {
  const turn = ({ subject, service }: LedgerRecord): ServiceTurn[] => (service ? [{ subject, service }] : []);
  const all = standingOf(run, host).flatMap(turn).reverse();
  // One that was drained twice stands twice.
  return all.filter((s, i) => all.findIndex((other) => other.subject === s.subject) === i);
}

/** What earlier runs, now over, have left stopped on the host is this run's to start. */
function takeOver(desk: Desk): void {
  const { run, host, fleet } = desk;
  for (const standing of leftBehind(run, host, fleet)) {
    const { kind, subject, change, undo, name, service } = standing.entry;
    const id = `${run.spec.run}:${host.name}:${subject}:from-${standing.run}`;
    if (!service || run.ledger.some((l) => l.id === id)) continue;
    desk.record({ type: "ledger-opened", id, host: host.name, change, undo, kind, subject, name, service });
    desk.takeOver(standing);
  }
}

/** The ledger first: what is stopped is to be started again, whatever becomes of the run. */
function begin(desk: Desk, turn: ServiceTurn, direction: Direction): void {
  const { run, host } = desk;
  const { subject, service } = turn;
  const entries = run.ledger.filter((l) => l.kind === "service" && l.subject === subject && l.host === host.name);
  if (direction === "stop" && entries.every((l) => l.closedAt !== undefined))
    desk.record({
      type: "ledger-opened",
      id: `${run.spec.run}:${host.name}:${subject}:${entries.length + 1}`,
      ...{ host: host.name, change: "service-stop", undo: "service-start", kind: "service" },
      ...{ subject, name: serviceName(service), service },
    });
  start(desk, turn, `service-${direction}`);
}

function start(desk: Desk, { subject, service }: ServiceTurn, verb: ServiceVerb): void {
  const { name, serviceActions = [] } = desk.host;
  const attempt = serviceActions.filter((a) => a.verb === verb && a.subject === subject).length + 1;
  const timeoutMs = verb === "service-check" ? Math.min(CHECK_MS, service.timeoutMs) : service.timeoutMs;
  const spec = { kind: "service", service, timeoutMs } as const;
  desk.record({ type: "service-action-started", host: name, on: name, verb, subject, attempt, spec });
}

/** What became of one service is what its agent says; where that does not say it, the service is looked at. */
function advance(
  desk: Desk,
  turn: ServiceTurn,
  actions: readonly ServiceRecord[],
  direction: Direction,
  isCalledOff: boolean,
): void {
  const last = actions.at(-1) as ServiceRecord;
  if (last.result === undefined && last.abandoned === undefined) {
    watch(desk, turn, last, isCalledOff);
    return;
  }
  const done = direction === "stop" ? "stopped" : "started";
  const { verdict } = last.result ?? {};
  const reason = whyNot(last);
  const tries = actions.filter((a) => a.verb !== "service-check").length;
  if (last.verb !== "service-check") {
    if (verdict === "ok") {
      const lost = direction === "stop" && !isCalledOff && notElsewhere(desk, turn, last.endedT ?? last.startedT);
      if (!lost) settle(desk, turn, done, last.result?.reason ?? "", last.result?.durationMs);
      else if (lost.isOver) settle(desk, turn, "failed", `${lost.reason.text}; ${lost.reason.fix}`);
      else desk.wait(lost.reason);
    } else if (verdict === "failed") settle(desk, turn, "failed", reason);
    else if (givesUp(desk) && last.abandoned !== undefined) settle(desk, turn, "failed", reason);
    else start(desk, turn, "service-check");
    return;
  }
  const before = actions.findLast((a) => a.verb !== "service-check") as ServiceRecord;
  if (verdict === "ok") {
    if (direction === "start") settle(desk, turn, done, "it was found well");
    else if (tries < ATTEMPTS && !isCalledOff) start(desk, turn, "service-stop");
    else settle(desk, turn, "failed", `${whyNot(before)}; it runs`);
    return;
  }
  if (verdict === "failed") {
    // It is not well: stopping what is stopped, and starting what is started, changes nothing.
    if (tries < ATTEMPTS && !isCalledOff) start(desk, turn, `service-${direction}`);
    else settle(desk, turn, "failed", `${whyNot(before)}; ${reason}`);
    return;
  }
  if (givesUp(desk)) {
    settle(desk, turn, "failed", `${whyNot(before)}; ${reason}`);
    return;
  }
  isUnknown(desk, turn, reason);
  if (desk.expired((last.endedT ?? last.startedT) + LOOK_EVERY_MS)) start(desk, turn, "service-check");
}

function settle(desk: Desk, turn: ServiceTurn, outcome: ServiceOutcome, reason: string, durationMs = 0): void {
  const { run, host } = desk;
  const { subject } = turn;
  const name = serviceName(turn.service);
  desk.record({ type: "service-settled", host: host.name, subject, name, outcome, reason, durationMs });
  if (outcome !== "started") return;
  for (const l of standingOf(run, host))
    if (l.subject === subject) desk.record({ type: "ledger-closed", id: l.id, host: l.host, note: "it runs again" });
}

/** What an action in hand needs: to be asked for, asked after, ended or given up. */
function watch(desk: Desk, turn: ServiceTurn, a: ServiceRecord, isCalledOff: boolean): void {
  const { options, run } = desk.run.spec;
  const ref: EffectRef = { run, host: a.on, step: actionName(a), attempt: a.attempt };
  const fact = desk.fleet.host(a.on);
  const isTaken = a.acceptedT !== undefined;
  const since = Math.max(a.startedT, fact?.sinceT ?? a.startedT);
  if (fact?.connected !== true) {
    const away = `its agent is not connected (${fact?.lastSeen ?? "never seen"})`;
    const text = `${a.verb} ${serviceName(turn.service)} on ${a.on} is ${isTaken ? "in hand" : "not confirmed"}, and ${away}`;
    desk.wait({ rule: "unreachable", subject: a.on, text, fix: `start slipway-agent on ${a.on}` });
    if (!desk.expired(since + options.agentWaitMs)) return;
    if (givesUp(desk)) abandon(desk, a, "unreachable", `${a.on}: ${away}`);
    else isUnknown(desk, turn, away);
    return;
  }
  if (isTaken) desk.effect({ do: "query-step", ref, everyMs: options.pingIntervalMs });
  else
    desk.effect({
      ...{ do: "start-step", ref },
      task: { kind: "service", verb: a.verb as ServiceVerb, service: turn.service, timeoutMs: a.spec.timeoutMs },
    });
  if (isTaken && isCalledOff && (desk.run.abort?.now || desk.host.directed))
    desk.effect({ do: "cancel-step", ref, reason: "its stop was called off" });
  const limit = isTaken ? Math.max(since, (a.acceptedT ?? 0) + a.spec.timeoutMs) : since;
  if (desk.expired(limit + options.agentWaitMs))
    abandon(desk, a, "no-answer", `${a.on} has not ${isTaken ? "told its end" : "taken it"} in time`);
}

function isUnknown(desk: Desk, turn: ServiceTurn, why: string): void {
  const { host, run } = desk;
  const reason = {
    rule: "service-unknown",
    subject: host.name,
    text: `service ${serviceName(turn.service)} of ${host.name}: whether it runs is not known, ${why}`,
    fix: `bring slipway-agent on ${host.name} back, or settle the host: slipway run skip|mark-done ${run.spec.run} ${host.name}`,
  };
  desk.unknown(reason);
  desk.wait(reason);
}

/** An operator's word, or a forced run, does not wait for ever for an agent; what was stopped stays in the ledger. */
function givesUp({ run, host }: Desk): boolean {
  return run.spec.options.forced || run.abort !== undefined || host.directed !== undefined;
}

function abandon(desk: Desk, { host, on, verb, subject, attempt }: ServiceRecord, code: string, reason: string): void {
  desk.record({ type: "action-abandoned", host, on, verb, subject, attempt, code, reason });
}

function whyNot({ result, abandoned }: ServiceRecord): string {
  if (abandoned) return abandoned.reason;
  return result ? result.reason || verdicts[result.verdict] : "";
}
