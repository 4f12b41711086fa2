import type { RunEvent } from "../domain/events.ts";
import type { Effect, FleetView, StandingEntry, Wait } from "../domain/fleet.ts";
import { type HostRun, type Run, type StepRecord, stepInHand } from "../domain/run.ts";
import type { Reason, StepName } from "../domain/words.ts";
import { budgetDenial, outTogether } from "./budget.ts";
import { courseOf, nextStateOf } from "./course.ts";
import type { Desk } from "./desk.ts";
import { drain } from "./evacuate/drain.ts";
import { rehearseScope, stillFull } from "./evacuate/empty.ts";
import { noteStopped } from "./evacuate/notes.ts";
import { relocate } from "./evacuate/relocate.ts";
import { restore } from "./evacuate/restore.ts";
import { isFresh } from "./fresh.ts";
import { controllerResult, endOf, pausedReason, settledText } from "./result.ts";
import { isAboutTurns, isNext, mayBegin } from "./rolling/begin.ts";
import { hasBegun, isOut } from "./rolling/fold.ts";
import { replan } from "./rolling/replan.ts";
import { tellSlowness } from "./rolling/usual.ts";
import { windowWait } from "./rolling/window.ts";
import { concernOf } from "./services/concern.ts";
import { workServices } from "./services/work.ts";
import { DRAINED, nextOf } from "./turn.ts";
import { watchAgent, watchGate, watchSystems } from "./watch.ts";

export { GATE_FRESH_MS } from "./fresh.ts";

export interface Decision {
  /** To be appended to the log, in order; then decide again, until there is none. */
  readonly records: readonly RunEvent[];
  /** Due now, and again and again until the log says otherwise. Performed only when the log is durable. */
  readonly effects: readonly Effect[];
  /** Why hosts do not move on. */
  readonly waits: readonly Wait[];
  /** Entries of runs that are over which this one takes over: to be closed together with the records. */
  readonly takeovers: readonly StandingEntry[];
  /** Engine time of the next deadline. */
  readonly wakeAt?: number;
}

/**
 * What is due in a run now. Pure: the same run, fleet and time give the same answer, whichever message came before.
 * A step is first recorded as started, then (the record being durable) asked for, until its end is in the log.
 */
export function decide(run: Run, fleet: FleetView, now: number): Decision {
  if (run.state === "ended") return { records: [], effects: [], waits: [], takeovers: [] };
  const d = new Draft(run, fleet, now);
  // A run that has to stop does so before any further host begins.
  d.records.push(...courseOf(run));
  if (d.records.length === 0) {
    d.hosts();
    d.hold();
  }
  // Records come first: effects are those of the state in which nothing is left to record.
  if (d.records.length === 0) d.records.push(...nextStateOf(run));
  return {
    records: d.records,
    effects: d.records.length > 0 ? [] : d.effects,
    waits: d.waits,
    takeovers: d.takeovers,
    ...(d.wakeAt === undefined ? {} : { wakeAt: d.wakeAt }),
  };
}

class Draft {
  readonly records: RunEvent[] = [];
  readonly effects: Effect[] = [];
  readonly waits: Wait[] = [];
  readonly takeovers: StandingEntry[] = [];
  wakeAt: number | undefined;
  /** The first thing that is not known; it pauses the run until it is. */
  #unknown: Reason | undefined;
  #acted = false;
  readonly #run: Run;
  /** As hosts see it that are out: a run that paused by itself lets them finish. */
  readonly #asOut: Run;
  readonly #fleet: FleetView;
  readonly #now: number;

  constructor(run: Run, fleet: FleetView, now: number) {
    this.#run = run;
    const { paused, ...going } = run;
    this.#asOut = paused?.finishes ? going : run;
    this.#fleet = fleet;
    this.#now = now;
  }

  hosts(): void {
    const run = this.#run;
    const wave = Math.min(...run.hosts.filter((h) => h.outcome === undefined).map((h) => h.wave));
    for (const host of run.hosts) {
      // What one host begins with an instance counts for the next: for limits, room and places alike.
      if (this.#acted) return;
      if (host.outcome !== undefined) continue;
      const inHand = stepInHand(host);
      if (inHand) {
        this.#watch(host, inHand);
        continue;
      }
      if (this.#uncordoned(host)) continue;
      if (!this.#maySpeak(host)) continue;
      if (this.#run.state === "rolling" && !host.directed && !this.#mayGo(host, wave)) continue;
      const before = this.records.length;
      this.#advance(host);
      // One that begins takes a place: by the time that the next one is judged, its first step is in the log.
      if (this.records.length > before && this.#run.state === "rolling" && !hasBegun(host)) return;
    }
  }

  /** Is it this host's time at all? */
  #maySpeak(host: HostRun): boolean {
    if (host.directed) return true;
    switch (this.#run.state) {
      case "preflight":
        return !host.checked;
      case "rolling":
        return true;
      case "stopping":
        return host.began;
      case "undoing":
        return true;
      case "ended":
        return false;
    }
  }

  /** Has its turn begun, or may it now? One that has goes on, also when an earlier one is retried. */
  #mayGo(host: HostRun, wave: number): boolean {
    const run = this.#run;
    if (host.steps.length > host.from) return true;
    if (run.schedule === undefined && host.wave !== wave) return false;
    if (run.schedule && run.paused && !isOut(host)) {
      this.#wait(host, pausedReason(run));
      return false;
    }
    const waiting = mayBegin(run, host, this.#fleet, this.#now);
    if (isNext(run, waiting) && host.checked && replan(this.#desk(host), waiting !== undefined)) {
      this.#acted = true;
      return false;
    }
    if (waiting === undefined) return true;
    const { reason, holds, wakeT } = waiting;
    this.#wait(host, reason);
    if (holds) this.#unknown ??= reason;
    if (wakeT !== undefined) this.#expired(wakeT);
    return false;
  }

  /** The ledger entry closes as soon as the log says that the change is undone. */
  #uncordoned(host: HostRun): boolean {
    const last = host.steps.at(-1);
    if (!host.cordoned || last?.step !== "uncordon" || last.result?.verdict !== "ok") return false;
    for (const entry of this.#run.ledger)
      if (entry.host === host.name && entry.kind === "cordon" && entry.closedAt === undefined)
        this.records.push({ type: "ledger-closed", id: entry.id, host: host.name, note: "undone by the run" });
    return true;
  }

  #advance(host: HostRun): void {
    const next = nextOf(this.#run, host, concernOf(this.#run, host, this.#fleet));
    if (next.kind === "checked") {
      this.#checked(host);
      return;
    }
    if (next.kind === "end") {
      const { outcome, code, reason } = next;
      const before = this.records.length;
      // A host that was drained for its own sake keeps what was stopped; its restore starts it.
      if (code !== DRAINED) noteStopped(this.#desk(host));
      if (this.records.length > before) return;
      this.records.push({ type: "host-ended", host: host.name, outcome, code, reason });
      return;
    }
    if (!this.#mayStart(host)) return;
    const step = this.#instead(host, next.step);
    if (step === undefined) return;
    const attempt = host.steps.filter((s) => s.step === step).length + 1;
    const { run } = this.#run.spec;
    if (step === "cordon") {
      const id = `${run}:${host.name}:cordon:${attempt}`;
      this.records.push({ type: "ledger-opened", id, host: host.name, change: "cordon", undo: "uncordon" });
    }
    const isReturn = step === "restore" || step === "services-start" || step === "heal";
    if (isReturn && !host.cordoned) this.#takeCordonOver(host, attempt);
    this.records.push({ type: "step-started", host: host.name, step, attempt });
    // A decision of this controller, which agents are told for as long as it holds.
    if (step === "cordon" || step === "uncordon")
      this.records.push(endOf({ host: host.name, step, attempt }, controllerResult("ok", "", 0, 0)));
  }

  /** Its own checks have passed; the last one is that it can be emptied when its turn comes. */
  #checked(host: HostRun): void {
    const { name } = host;
    const found = rehearseScope(this.#desk(host));
    if (found.kind === "unknown") this.#wait(host, found.reason);
    else if (found.kind === "feasible") this.records.push({ type: "host-checked", host: name });
    else
      this.records.push({
        ...{ type: "host-ended", host: name, outcome: "failed" },
        ...{ code: found.code, reason: found.text },
      });
  }

  /** What has to be done before the next step after all; undefined while that is not known. */
  #instead(host: HostRun, step: StepName): StepName | undefined {
    if (step === "cordon") return this.#gateStillHolds(host) ? step : "gate";
    if (step !== "Maintenance" && step !== "reboot" && step !== "services-stop") return step;
    const full = stillFull(this.#desk(host));
    if (full === "unknown") return undefined;
    if (full) return "drain";
    const last = host.steps.at(-1);
    return last?.step === "recheck" && !isFresh(last, this.#fleet, this.#now) ? "recheck" : step;
  }

  /** A host that earlier runs have left out of service is in the hands of this one from here on. */
  #takeCordonOver(host: HostRun, attempt: number): void {
    const { run } = this.#run.spec;
    const theirs = this.#fleet
      .ledgerOf(host.name)
      .filter((e) => e.entry.kind === "cordon" && e.runEnded && e.run !== run);
    const away = [...new Set(theirs.flatMap((e) => e.away))];
    const id = `${run}:${host.name}:cordon:${attempt}`;
    const entry = { id, host: host.name, change: "cordon", undo: "uncordon", kind: "cordon", away } as const;
    this.records.push({ type: "ledger-opened", ...entry });
    this.takeovers.push(...theirs);
  }

  /**
   * Between the gate's answer and the cordon a pause or a new controller may have come, or another host may have gone out;
   * then it is asked again.
   */
  #gateStillHolds(host: HostRun): boolean {
    const gate = host.steps.at(-1);
    if (gate?.step !== "gate") return true;
    // A question that was taken back has no answer.
    if (gate.endedT === undefined) return false;
    const out = outTogether(this.#run, host, this.#fleet);
    const denial = budgetDenial(this.#run, host, out, this.#fleet) ?? windowWait(this.#run, host, this.#fleet);
    if (denial) this.#unknown ??= denial;
    return denial === undefined && isFresh(gate, this.#fleet, this.#now);
  }

  /** A paused run starts nothing. A held one still brings back what is out, but takes nothing more out. */
  #mayStart(host: HostRun): boolean {
    const { held, abort } = this.#run;
    if (abort) return true;
    if (this.#seenBy(host).paused) {
      this.#wait(host, pausedReason(this.#run));
      return false;
    }
    if (held && !host.cordoned && held.rule !== "gate-unknown" && !isAboutTurns(held)) {
      this.#wait(host, held);
      return false;
    }
    return true;
  }

  #seenBy(host: HostRun): Run {
    return isOut(host) ? this.#asOut : this.#run;
  }

  /** What a step in hand needs. */
  #watch(host: HostRun, s: StepRecord): void {
    const desk = this.#desk(host);
    tellSlowness(desk, s);
    switch (s.step) {
      case "gate":
        watchGate(desk, s);
        return;
      case "recheck":
      case "heal":
        watchSystems(desk, s);
        return;
      case "services-stop":
        workServices(desk, s, "stop");
        return;
      case "services-start":
        workServices(desk, s, "start");
        return;
      case "drain":
        drain(desk, s);
        return;
      case "restore":
        restore(desk, s);
        return;
      case "move":
        relocate(desk, s);
        return;
      case "cordon":
      case "uncordon":
        // Recorded together with its start; a log from before that is so may lack the end.
        this.records.push(endOf(s, controllerResult("ok", "", s.startedAt, 0)));
        return;
      default:
        watchAgent(desk, s);
    }
  }

  #desk(host: HostRun): Desk {
    const { records } = this;
    const before = records.length;
    return {
      ...{ run: this.#seenBy(host), host, fleet: this.#fleet, now: this.#now },
      record: (event) => {
        records.push(event);
        if (event.type === "action-started") this.#acted = true;
      },
      get hasRecords() {
        return records.length > before;
      },
      takeOver: (entry) => void this.takeovers.push(entry),
      effect: (effect) => void this.effects.push(effect),
      wait: (reason) => void this.waits.push({ host: host.name, reason }),
      unknown: (reason) => {
        this.#unknown ??= reason;
      },
      expired: (limit) => this.#expired(limit),
    };
  }

  /** Pauses by itself while something is not known, and goes on by itself once it is. */
  hold(): void {
    const { held } = this.#run;
    const unknown = this.#run.abort ? undefined : this.#unknown;
    if (unknown && (held?.rule !== unknown.rule || held.subject !== unknown.subject))
      this.records.push({ type: "run-held", reason: unknown });
    else if (!unknown && held)
      this.records.push({
        type: "run-released",
        reason: this.#run.abort ? "to be undone" : settledText(held),
      });
  }

  #wait(host: HostRun, reason: Reason): void {
    this.waits.push({ host: host.name, reason });
  }

  /** Is the deadline over? If not, it is one to wake up for. */
  #expired(limit: number): boolean {
    if (limit <= this.#now) return true;
    if (limit < (this.wakeAt ?? Infinity)) this.wakeAt = limit;
    return false;
  }
}
