import type { ActionRecord, ActionRef, ActionSpec } from "../domain/action.ts";
import type { Recorded, StepRef } from "../domain/events.ts";
import type { HostRun, Run, StepRecord } from "../domain/run.ts";
import { defaultOptions, type Reason, type RunOptions, type StepName } from "../domain/words.ts";
import { controllerResult } from "./result.ts";
import { approved, replanned } from "./rolling/fold.ts";

/**
 * Folds one event into the state of a run. Total and pure: an event that says nothing new (a repeated verdict, a repeated
 * acceptance) leaves the state as it is, so messages may come twice.
 */
export function reduce(run: Run | undefined, recorded: Recorded): Run {
  const { event, t, at, seq } = recorded;
  if (event.type === "run-started") {
    // A log from before an option has not got it.
    const spec = { ...event.spec, options: { ...defaultOptions, ...event.spec.options } };
    return {
      spec,
      ...(spec.schedule ? { schedule: spec.schedule } : {}),
      ...{ scheduledT: t, approvedWave: 1, forgiven: [] },
      state: "preflight",
      details: "",
      hosts: event.spec.hosts.map((h) => ({
        ...h,
        steps: [],
        checked: false,
        began: false,
        cordoned: false,
        from: 0,
        code: "",
        reason: "",
        gateReasons: [],
        actions: [],
        settled: [],
        evacuees: [],
        notes: [],
      })),
      ledger: [],
      startedAt: at,
      startedT: t,
      lastSeq: seq,
    };
  }
  if (run === undefined) throw new Error(`event ${event.type} before run-started`);
  return { ...apply(run, recorded), lastSeq: seq };

  function apply(current: Run, { event: e }: Recorded): Run {
    switch (e.type) {
      case "run-started":
        return current;
      case "run-state":
        // A run that stopped and goes on after all has a turn for those whom it had left untouched.
        return current.state === "stopping" && e.to === "rolling"
          ? { ...current, state: e.to, hosts: current.hosts.map((h) => (h.outcome === "untouched" ? reset(h) : h)) }
          : { ...current, state: e.to };
      case "run-ended": {
        const { held: _h, paused: _p, ...rest } = current;
        return { ...rest, state: "ended", outcome: e.outcome, details: e.details, endedAt: at };
      }
      case "run-paused":
        return {
          ...current,
          paused: { who: e.who, reason: e.reason, ...(e.finishes ? { finishes: true } : {}) },
        };
      case "run-replanned":
        return replanned(current, e.schedule, t);
      case "run-approved":
        return approved(current, e);
      case "run-resumed": {
        const { paused: _, ...rest } = current;
        const fresh = failedIn(current).filter((name) => !current.forgiven.includes(name));
        const { maxFailures } = current.spec.options;
        // A pause for another reason leaves the budget of failures as it is.
        const isOverBudget = current.paused?.finishes === true || fresh.length >= maxFailures;
        return e.reason === undefined && isOverBudget ? { ...rest, forgiven: failedIn(current) } : rest;
      }
      case "run-held":
        return { ...current, held: e.reason };
      case "run-released": {
        const { held: _, ...rest } = current;
        return rest;
      }
      case "run-abort": {
        const { paused: _, ...rest } = current;
        return { ...rest, abort: { who: e.who, now: e.now, reason: e.reason } };
      }
      case "run-reopened": {
        const { outcome: _o, endedAt: _e, abort: _a, ...rest } = current;
        return {
          ...rest,
          details: "",
          // A failed host may be retried: if it has not passed its checks, nothing goes out before it has.
          state: current.hosts.every((h) => h.checked || (h.outcome !== undefined && h.outcome !== "failed"))
            ? "rolling"
            : "preflight",
          hosts: current.hosts.map((h) => (h.outcome === "untouched" ? reset(h) : h)),
        };
      }
      case "step-started":
        return onHost(current, e.host, ({ services, ...h }) => ({
          ...h,
          ...(services && !worksOnServices(e.step) ? { services } : {}),
          ...(e.step === "drain" ? { evacuees: [] } : {}),
          ...(isQuestion(e.step) ? { gateReasons: [] } : {}),
          began: h.began || (e.step !== "PreFlight" && current.state !== "preflight"),
          ...(h.beganAt === undefined && current.state !== "preflight" ? { beganAt: at } : {}),
          steps: [...h.steps, { host: e.host, step: e.step, attempt: e.attempt, startedT: t, startedAt: at }],
        }));
      case "step-accepted":
        return onStep(current, e, (s) => (s.acceptedT === undefined ? { ...s, acceptedT: t } : s));
      case "step-ended":
        return onStep(current, e, (s) => (s.result === undefined ? { ...s, endedT: t, result: e.result } : s));
      case "step-abandoned":
        return onStep(current, e, (s) => ({ ...s, abandoned: { code: e.code, reason: e.reason } }));
      case "gate-answered":
        return onHost(current, e.host, (h) => ({ ...h, gateReasons: e.reasons }));
      case "action-started": {
        const { type: _, ...action } = e;
        return onHost(current, e.host, (h) => ({
          ...h,
          actions: [...h.actions, { ...action, startedT: t, startedAt: at, settled: false }],
        }));
      }
      case "service-action-started": {
        const { type: _, ...action } = e;
        const began = { ...action, startedT: t, startedAt: at, settled: false };
        return onHost(current, e.host, (h) => ({ ...h, serviceActions: [...(h.serviceActions ?? []), began] }));
      }
      case "action-accepted":
        return onAction(current, e, (a) => (a.acceptedT === undefined ? { ...a, acceptedT: t } : a));
      case "action-ended":
        return onAction(current, e, (a) => (a.result === undefined ? { ...a, endedT: t, result: e.result } : a));
      case "action-abandoned":
        return onAction(current, e, (a) => ({ ...a, endedT: t, abandoned: { code: e.code, reason: e.reason } }));
      case "instance-settled": {
        const { type: _, ...settlement } = e;
        return onHost(current, e.host, (h) => ({
          ...h,
          actions: h.actions.map((a) => (a.subject === e.uuid && !a.settled ? { ...a, settled: true } : a)),
          settled: [...h.settled, { ...settlement, at, t }],
        }));
      }
      case "services-planned":
        return onHost(current, e.host, (h) => ({ ...h, services: e.services }));
      case "service-settled":
        return onHost(current, e.host, ({ services = [], serviceActions = [], ...h }) => ({
          ...h,
          serviceActions: serviceActions.map((a) =>
            a.subject === e.subject && !a.settled ? { ...a, settled: true } : a,
          ),
          services: services.map((s) => (s.subject === e.subject ? { ...s, outcome: e.outcome, reason: e.reason } : s)),
        }));
      case "step-overridden": {
        const result = controllerResult("ok", `overridden by ${e.who}: ${e.reason}`, at, 0);
        const told = onStep(current, e, (s) => ({ ...s, endedT: t, result, overridden: true }));
        return onHost(told, e.host, (h) => ({ ...h, notes: [...h.notes, overrideNote(h, e)] }));
      }
      case "evacuation-planned":
        return onHost(current, e.host, (h) => ({ ...h, evacuees: e.instances }));
      case "host-noted":
        return onHost(current, e.host, (h) => ({ ...h, notes: [...h.notes, e.note] }));
      case "ledger-opened": {
        const { id, host, change, undo, kind = "cordon", subject = "", name = "", service } = e;
        const away = e.away ? { away: e.away } : {};
        const started = service ? { service } : {};
        const entry = { id, host, change, undo, kind, subject, name, ...away, ...started, openedAt: at, note: "" };
        return cordoned({ ...current, ledger: [...current.ledger, entry] }, host);
      }
      case "ledger-closed":
        return cordoned(
          { ...current, ledger: current.ledger.map((l) => (l.id === e.id ? { ...l, closedAt: at, note: e.note } : l)) },
          e.host,
        );
      case "host-checked":
        return onHost(current, e.host, (h) => ({ ...h, checked: true, from: h.steps.length }));
      case "host-ended":
        return onHost(current, e.host, (h) => ({
          ...h,
          outcome: e.outcome,
          code: e.code,
          reason: e.reason,
          endedAt: at,
          endedT: t,
        }));
      case "host-command":
        return onHost({ ...current, forgiven: current.forgiven.filter((name) => name !== e.host) }, e.host, (h) =>
          e.action === "retry"
            ? retried(h, current.spec.options.op)
            : { ...h, directed: { action: e.action, who: e.who, reason: e.reason } },
        );
    }
  }
}

function failedIn({ hosts }: Run): string[] {
  return hosts.filter((h) => h.outcome === "failed").map((h) => h.name);
}

function onHost(run: Run, name: string, change: (host: HostRun) => HostRun): Run {
  return { ...run, hosts: run.hosts.map((h) => (h.name === name ? change(h) : h)) };
}

/** A host is cordoned by its run exactly while an entry of that kind is open. */
function cordoned(run: Run, host: string): Run {
  const stands = run.ledger.some((l) => l.host === host && l.kind === "cordon" && l.closedAt === undefined);
  return onHost(run, host, (h) => ({ ...h, cordoned: stands }));
}

function onAction(run: Run, ref: ActionRef, change: <A extends ActionRecord<ActionSpec>>(action: A) => A): Run {
  const changed = <A extends ActionRecord<ActionSpec>>(a: A): A =>
    a.attempt === ref.attempt && a.subject === ref.subject && a.verb === ref.verb && a.on === ref.on ? change(a) : a;
  return onHost(run, ref.host, ({ serviceActions, ...h }) => ({
    ...h,
    actions: h.actions.map(changed),
    ...(serviceActions ? { serviceActions: serviceActions.map(changed) } : {}),
  }));
}

function onStep(run: Run, ref: StepRef, change: (step: StepRecord) => StepRecord): Run {
  return onHost(run, ref.host, (h) => ({
    ...h,
    steps: h.steps.map((s) => (s.step === ref.step && s.attempt === ref.attempt ? change(s) : s)),
  }));
}

function reset(host: HostRun): HostRun {
  const { outcome: _o, endedAt: _e, endedT: _t, resumeAt: _r, directed: _d, ...rest } = host;
  return { ...rest, code: "", reason: "", from: host.steps.length };
}

/**
 * Where a retried host goes on: at the step that failed if the world is still as that step left it, otherwise at the
 * beginning of its turn, so that gate and cordon are passed again.
 */
function retried(host: HostRun, op: RunOptions["op"]): HostRun {
  const last = host.steps.at(-1)?.step;
  const work = op === "reboot" ? "reboot" : "Maintenance";
  if (host.cordoned) {
    if (last === "services-start" || last === "heal") {
      // Undone before its work was done, it is emptied and rechecked before that is tried again.
      const isThrough =
        op === "restore" ||
        host.resumeAt === "services-start" ||
        host.resumeAt === "heal" ||
        host.steps.slice(host.from).some((s) => isWork(s.step) && s.result?.verdict === "ok");
      return { ...reset(host), resumeAt: isThrough ? last : "drain" };
    }
    // Ended before the work that it was to go on with.
    const { resumeAt = work } = host;
    const unbegun = isWork(resumeAt) && !host.steps.slice(host.from).some((s) => isWork(s.step)) ? resumeAt : work;
    const again = last === "reboot" || last === "restore" || last === "uncordon" ? last : unbegun;
    return { ...reset(host), resumeAt: again };
  }
  if (host.checked && last === "PostMaintenance") return { ...reset(host), resumeAt: last };
  return reset(host);
}

function isWork(step: StepName): boolean {
  return step === "Maintenance" || step === "reboot";
}

/** Is the step a question to the gate, which answers in its own time? */
export function isQuestion(step: StepName): step is "gate" | "recheck" | "heal" {
  return step === "gate" || step === "recheck" || step === "heal";
}

function worksOnServices(step: StepName): boolean {
  return step === "services-stop" || step === "services-start";
}

function overrideNote(host: HostRun, { step, who, reason }: StepRef & { who: string; reason: string }): Reason {
  const said = host.gateReasons.map((r) => r.text).join("; ");
  const text = `${step} of ${host.name} overridden by ${who}: ${reason} (it said: ${said})`;
  return { rule: "overridden", subject: host.name, text, fix: "" };
}

/** Folds a whole log. */
export function replay(log: Iterable<Recorded>): Run {
  let run: Run | undefined;
  for (const recorded of log) run = reduce(run, recorded);
  if (run === undefined) throw new Error("empty log");
  return run;
}
