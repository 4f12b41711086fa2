import { durationText } from "@slipway/shared";
import type { RunEvent, StepRef } from "../domain/events.ts";
import type { AgentTask, Effect, EffectRef, FleetView, Wait } from "../domain/fleet.ts";
import { type HostRun, type Run, type StepRecord, stepInHand } from "../domain/run.ts";
import { isStage, type Reason, type RunOutcome, type StepName, steps } from "../domain/words.ts";
import { budgetDenial, outTogether } from "./budget.ts";
import { nextOf, WITHDRAWN } from "./turn.ts";

export interface Decision {
  /** To be appended to the log, in order; then decide again, until there is none. */
  readonly records: readonly RunEvent[];
  /** Due now, and again and again until the log says otherwise. Performed only when the log is durable. */
  readonly effects: readonly Effect[];
  /** Why hosts do not move on. */
  readonly waits: readonly Wait[];
  /** Engine time of the next deadline. */
  readonly wakeAt?: number;
}

/** A host that is not connected when its first check is due is waited for at most this long: nothing has been changed yet. */
export const PREFLIGHT_CONNECT_MS = 10_000;

/** How long an answer of the gate may be acted on. */
export const GATE_FRESH_MS = 30_000;

/**
 * What is due in a run now. Pure: the same run, fleet and time give the same answer, whichever message came before.
 * A step is first recorded as started, then (the record being durable) asked for, until its end is in the log.
 */
export function decide(run: Run, fleet: FleetView, now: number): Decision {
  if (run.state === "ended") return { records: [], effects: [], waits: [] };
  const d = new Draft(run, fleet, now);
  // A run that has to stop does so before any further host begins.
  d.course();
  if (d.records.length === 0) {
    d.hosts();
    d.hold();
  }
  // Records come first: effects are those of the state in which nothing is left to record.
  if (d.records.length === 0) d.runState();
  return {
    records: d.records,
    effects: d.records.length > 0 ? [] : d.effects,
    waits: d.waits,
    ...(d.wakeAt === undefined ? {} : { wakeAt: d.wakeAt }),
  };
}

class Draft {
  readonly records: RunEvent[] = [];
  readonly effects: Effect[] = [];
  readonly waits: Wait[] = [];
  wakeAt: number | undefined;
  /** The first thing that is not known; it pauses the run until it is. */
  #unknown: Reason | undefined;
  readonly #run: Run;
  readonly #fleet: FleetView;
  readonly #now: number;

  constructor(run: Run, fleet: FleetView, now: number) {
    this.#run = run;
    this.#fleet = fleet;
    this.#now = now;
  }

  hosts(): void {
    const run = this.#run;
    const wave = Math.min(...run.hosts.filter((h) => h.outcome === undefined).map((h) => h.wave));
    for (const host of run.hosts) {
      if (host.outcome !== undefined) continue;
      const inHand = stepInHand(host);
      if (inHand) {
        this.#watch(host, inHand);
        continue;
      }
      if (this.#uncordoned(host)) continue;
      if (!this.#maySpeak(host, wave)) continue;
      this.#advance(host);
    }
  }

  /** Is it this host's time at all? */
  #maySpeak(host: HostRun, wave: number): boolean {
    if (host.directed) return true;
    switch (this.#run.state) {
      case "preflight":
        return !host.checked;
      case "rolling":
        // A host whose turn has begun goes on, also when one of an earlier wave is retried.
        return host.wave === wave || host.steps.length > host.from;
      case "stopping":
        return host.began;
      case "undoing":
        return true;
      case "ended":
        return false;
    }
  }

  /** The ledger entry closes as soon as the log says that the change is undone. */
  #uncordoned(host: HostRun): boolean {
    const last = host.steps.at(-1);
    if (!host.cordoned || last?.step !== "uncordon" || last.result?.verdict !== "ok") return false;
    for (const entry of this.#run.ledger)
      if (entry.host === host.name && entry.closedAt === undefined)
        this.records.push({ type: "ledger-closed", id: entry.id, host: host.name, note: "undone by the run" });
    return true;
  }

  #advance(host: HostRun): void {
    const next = nextOf(this.#run, host);
    if (next.kind === "checked") {
      this.records.push({ type: "host-checked", host: host.name });
      return;
    }
    if (next.kind === "end") {
      const { outcome, code, reason } = next;
      this.records.push({ type: "host-ended", host: host.name, outcome, code, reason });
      return;
    }
    if (!this.#mayStart(host)) return;
    const step = next.step === "cordon" && !this.#gateStillHolds(host) ? "gate" : next.step;
    const attempt = host.steps.filter((s) => s.step === step).length + 1;
    if (step === "cordon") {
      const id = `${this.#run.spec.run}:${host.name}:cordon:${attempt}`;
      this.records.push({ type: "ledger-opened", id, host: host.name, change: "cordon", undo: "uncordon" });
    }
    this.records.push({ type: "step-started", host: host.name, step, attempt });
  }

  /**
   * Between the gate's answer and the cordon a pause or a new controller may have come, or another host may have gone out;
   * then it is asked again.
   */
  #gateStillHolds(host: HostRun): boolean {
    const gate = host.steps.at(-1);
    if (gate?.step !== "gate" || gate.endedT === undefined) return true;
    const out = outTogether(this.#run, host, this.#fleet);
    const denial = budgetDenial(host, out, this.#run.spec.options.maxOut);
    if (denial) this.#unknown ??= denial;
    const isOld = gate.endedT <= (this.#fleet.startedT ?? Number.NEGATIVE_INFINITY);
    return denial === undefined && !isOld && this.#now - gate.endedT <= GATE_FRESH_MS;
  }

  /** A paused run starts nothing. A held one still brings back what is out, but takes nothing more out. */
  #mayStart(host: HostRun): boolean {
    const { paused, held, abort } = this.#run;
    if (abort) return true;
    if (paused) {
      this.#wait(host, {
        rule: "paused",
        subject: `run ${this.#run.spec.run}`,
        text: `the run was paused by ${paused.who}${paused.reason ? `: ${paused.reason}` : ""}`,
        fix: `slipway run resume ${this.#run.spec.run}`,
      });
      return false;
    }
    if (held && !host.cordoned && held.rule !== "gate-unknown" && held.rule !== "max-out") {
      this.#wait(host, held);
      return false;
    }
    return true;
  }

  /** What a step in hand needs. */
  #watch(host: HostRun, s: StepRecord): void {
    const ref: EffectRef & StepRef = { run: this.#run.spec.run, host: s.host, step: s.step, attempt: s.attempt };
    if (s.step === "gate") this.#watchGate(host, ref);
    else if (s.step === "cordon" || s.step === "drain" || s.step === "restore" || s.step === "uncordon") {
      const limit = s.startedT + this.#run.spec.options.maintenanceWaitMs;
      if (this.#expired(limit))
        this.#abandon(s, `${s.step}-timed-out`, `${s.step} did not end within ${durationText(limit - s.startedT)}`);
      else this.effects.push({ do: s.step, ref });
    } else this.#watchAgent(host, s, ref);
  }

  #watchGate(host: HostRun, ref: EffectRef & StepRef): void {
    const { options } = this.#run.spec;
    if (this.#run.abort || host.directed || this.#run.state === "stopping") {
      this.#abandon(ref, WITHDRAWN, "the question was withdrawn");
      return;
    }
    const out = outTogether(this.#run, host, this.#fleet);
    const denial = budgetDenial(host, out, options.maxOut);
    if (denial) {
      this.#wait(host, denial);
      this.#unknown ??= denial;
      return;
    }
    this.effects.push({
      do: "ask-gate",
      ref,
      cluster: host.cluster,
      out: out.map((o) => o.name),
      everyMs: options.pingIntervalMs,
    });
    const reason = host.gateReasons[0];
    if (reason) {
      const waiting = { ...reason, rule: "gate-unknown" };
      this.#wait(host, waiting);
      this.#unknown ??= waiting;
    }
  }

  #watchAgent(host: HostRun, s: StepRecord, ref: EffectRef): void {
    const { options } = this.#run.spec;
    const fact = this.#fleet.host(s.host);
    const connected = fact?.connected === true;
    if (connected) {
      if (s.acceptedT === undefined) this.effects.push({ do: "start-step", ref, task: taskOf(this.#run, s.step) });
      else this.effects.push({ do: "query-step", ref, everyMs: options.pingIntervalMs });
      if (s.acceptedT !== undefined && isStage(s.step) && (this.#run.abort?.now || host.directed))
        this.effects.push({
          do: "cancel-step",
          ref,
          reason: this.#run.abort ? "the run was aborted" : "an operator settled the host",
        });
    } else {
      this.#wait(host, {
        rule: "unreachable",
        subject: s.host,
        text: `${s.host}: its agent is not connected (${fact?.lastSeen ?? "never seen"}); ${s.step} is ${s.acceptedT === undefined ? "not confirmed" : "in hand"}`,
        fix: `start slipway-agent on ${s.host}`,
      });
    }
    const patience =
      this.#run.state === "preflight" && s.acceptedT === undefined
        ? Math.min(options.agentWaitMs, PREFLIGHT_CONNECT_MS)
        : options.agentWaitMs;
    const silentSince = connected ? undefined : Math.max(s.startedT, fact?.sinceT ?? s.startedT);
    if (s.step === "reboot") {
      const limit = (s.acceptedT ?? s.startedT) + options.rebootWaitMs;
      if (this.#expired(limit))
        this.#abandon(
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
    if (!this.#expired(limit)) return;
    const away = `the agent is not connected (${fact?.lastSeen ?? "never seen"})`;
    const isTaken = s.acceptedT !== undefined;
    const text = connected
      ? `${s.step} on ${s.host}: the agent is connected but has not ${isTaken ? "told its end" : "taken the step"}`
      : `${s.step} on ${s.host}: ${isTaken ? "its verdict is not known" : "it is not confirmed"}, ${away}`;
    const harmless = s.step === "inspect" || s.step === "PreFlight";
    if (harmless || options.forced || host.directed || this.#run.abort) {
      this.#abandon(s, harmless ? "unreachable" : "unknown-verdict", text);
      return;
    }
    this.#unknown ??= {
      rule: "unknown-verdict",
      subject: s.host,
      text,
      fix: `bring the agent back, or settle the host: slipway run skip|mark-done ${this.#run.spec.run} ${s.host}`,
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
        reason: this.#run.abort ? "to be undone" : `${held.subject}: settled`,
      });
  }

  /** An abort, or without `forced` the first failure, ends the roll: hosts in hand are finished, no other begins. */
  course(): void {
    const { state, hosts, spec, abort } = this.#run;
    if (abort && state !== "undoing") {
      this.records.push({ type: "run-state", to: "undoing", reason: `aborted by ${abort.who}` });
      return;
    }
    const failed = hosts.filter((h) => h.outcome === "failed").map((h) => h.name);
    const isOver = hosts.every((h) => h.outcome !== undefined);
    if (state === "stopping" && failed.length === 0 && !isOver) {
      this.records.push({ type: "run-state", to: "rolling", reason: "what had failed is tried again" });
      return;
    }
    if (state !== "rolling" || spec.options.forced || failed.length === 0 || isOver) return;
    const reason = `${failed.join(", ")} failed and the run is not forced`;
    this.records.push({ type: "run-state", to: "stopping", reason });
  }

  /** Moves of the run as a whole, once no host has anything to record. */
  runState(): void {
    const run = this.#run;
    const open = run.hosts.filter((h) => h.outcome === undefined);
    const failed = run.hosts.filter((h) => h.outcome === "failed");
    const stop = failed.length > 0 && !run.spec.options.forced;
    const to = (state: Run["state"], reason: string) => this.records.push({ type: "run-state", to: state, reason });
    if (open.length === 0) return void this.records.push({ type: "run-ended", ...outcomeOf(run) });
    if (run.state === "preflight" && open.every((h) => h.checked)) {
      if (stop) to("stopping", `${failed.map((h) => h.name).join(", ")} failed before anything was changed`);
      else if (!run.paused) to("rolling", `${open.length} ${open.length === 1 ? "host is" : "hosts are"} ready`);
      return;
    }
    if (run.state === "stopping" && !open.some((h) => h.began)) {
      const reason = `the run stopped because ${failed.map((h) => h.name).join(", ")} failed`;
      for (const h of open)
        this.records.push({ type: "host-ended", host: h.name, outcome: "untouched", code: "not-reached", reason });
    }
  }

  #abandon(ref: StepRef, code: string, reason: string): void {
    const { host, step, attempt } = ref;
    this.records.push({ type: "step-abandoned", host, step, attempt, code, reason });
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

function taskOf(run: Run, step: StepName): AgentTask {
  const { args, timeoutMs, graceMs, rebootWaitMs } = run.spec.options;
  if (step === "reboot") return { kind: "reboot", timeoutMs: rebootWaitMs };
  if (isStage(step)) return { kind: "hook", stage: step, args, timeoutMs, graceMs };
  if (steps[step].by !== "agent") throw new Error(`${step} is no step of an agent`);
  return { kind: "inspect" };
}

/** The outcome of a run whose hosts have all ended, and its details in one line. */
export function outcomeOf(run: Run): { outcome: RunOutcome; details: string } {
  const count = (outcome: string) => run.hosts.filter((h) => h.outcome === outcome).length;
  const parts = (["updated", "skipped", "failed", "untouched"] as const)
    .filter((o) => count(o) > 0)
    .map((o) => `${count(o)} ${o}`);
  const failed = run.hosts.find((h) => h.outcome === "failed");
  const summary = parts.join(", ") || "no hosts";
  if (run.abort) return { outcome: "aborted", details: `Aborted by ${run.abort.who}: ${summary}` };
  if (failed) return { outcome: "failed", details: `${failed.name}: ${failed.reason} (${summary})` };
  if (count("updated") === 0) return { outcome: "nothing-done", details: `Nothing was done: ${summary}` };
  return { outcome: "succeeded", details: `OK: ${summary}` };
}
