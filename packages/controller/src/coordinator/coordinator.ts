import { SlipwayError } from "@slipway/shared";
import type { ActionRecord, ActionRef, ActionResult, ActionSpec } from "../domain/action.ts";
import { DurationBook, type Durations } from "../domain/durations.ts";
import type { Recorded, RunEvent, RunSpec, StepRef, StepResult } from "../domain/events.ts";
import type { Effect, EffectRef, FleetView, Wait } from "../domain/fleet.ts";
import { hostOf, type LedgerRecord, type Run, recordOf, type StepRecord } from "../domain/run.ts";
import { type Command, commandEvents, refuseOverlap } from "../engine/commands.ts";
import { decide } from "../engine/decide.ts";
import { describe, type Line } from "../engine/describe.ts";
import { reduce, replay } from "../engine/reduce.ts";
import { controllerResult } from "../engine/result.ts";
import { EffectDesk, isYes } from "./effects.ts";
import { fleetView } from "./fleet-view.ts";
import { GateLock } from "./gate-lock.ts";
import { OpenLedger } from "./open-ledger.ts";
import type { AgentLink, Clock, Gate, LogEntry, Roster, Store } from "./ports.ts";
import { Samples } from "./samples.ts";

export interface CoordinatorPorts {
  readonly store: Store;
  readonly agents: AgentLink;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly roster: Roster;
  /** Trouble that no run can be told of, such as a full disk; called once per spell. */
  readonly trouble: (text: string) => void;
  /** There is something to flush; the shell should do so soon. May be called often. */
  readonly work?: () => void;
}

export interface RunUpdate {
  readonly run: Run;
  readonly recorded: Recorded;
  readonly lines: readonly Line[];
}

/**
 * Record, decide, act. Inputs are written down in memory; `flush` decides what follows from them, makes all of it durable in
 * one transaction, and only then acknowledges and acts. So nothing that the world has seen is ever forgotten, and a crash at
 * any point is a re-read of the log. It holds no timer and does no I/O but through its ports: the shell calls `flush` soon
 * after every input and `tick` now and then, the simulator calls both when it likes.
 */
export class Coordinator {
  readonly #ports: CoordinatorPorts;
  readonly #runs = new Map<string, Run>();
  readonly #waits = new Map<string, readonly Wait[]>();
  readonly #dirty = new Set<string>();
  /** Runs that are over are not among `#runs`. */
  readonly #ledger = new OpenLedger((run) => (this.#runs.get(run)?.state ?? "ended") === "ended");
  readonly #desk: EffectDesk;
  readonly #gateLock: GateLock;
  readonly #samples = new Samples();
  readonly #durations = new DurationBook();
  readonly #decide: typeof decide;
  readonly #listeners = new Set<(update: RunUpdate) => void>();
  #pending: LogEntry[] = [];
  #updates: RunUpdate[] = [];
  #whenDurable: (() => void)[] = [];
  /** Engine time of each active run's next deadline. */
  readonly #wakeAt = new Map<string, number>();
  #startedT = Number.NEGATIVE_INFINITY;
  #sweepDesk = false;
  #deciding = false;
  #inTrouble = false;

  /** `decideNext` is the engine; simulations put a broken one in its place, or in that of the lock, to see that it is caught. */
  constructor(ports: CoordinatorPorts, decideNext: typeof decide = decide, gateLock = new GateLock()) {
    this.#ports = ports;
    this.#decide = decideNext;
    this.#gateLock = gateLock;
    this.#desk = new EffectDesk(ports, this.#gateLock, {
      gateAnswered: (ref, answer) => this.#gateAnswered(ref, answer),
      gateOutdated: (ref) => this.#touch(ref.run),
    });
  }

  /** Reads everything that is not over from the store. Called once, before any input. */
  restore(): void {
    for (const sample of this.#ports.store.durations()) this.#durations.add(sample);
    for (const id of this.#ports.store.activeRuns()) {
      this.#startedT = this.#ports.clock.engineMs();
      this.#runs.set(id, replay(this.#ports.store.log(id)));
      this.#touch(id);
    }
    const open = Map.groupBy(this.#ports.store.openEntries(), (e) => e.run);
    for (const [id, entries] of open) {
      const run = this.run(id);
      if (run) this.#ledger.follow(run, new Set(entries.map((e) => e.id)));
    }
  }

  /** Runs that are not over. */
  active(): Run[] {
    return [...this.#runs.values()].filter((r) => r.state !== "ended");
  }

  /** A run in its present state, over or not; undefined when there is none. */
  run(id: string): Run | undefined {
    const known = this.#runs.get(id);
    if (known) return known;
    const log = this.#ports.store.log(id);
    return log.length > 0 ? replay(log) : undefined;
  }

  /** Why hosts of an active run do not move on, as of the last decision. */
  waits(id: string): readonly Wait[] {
    return this.#waits.get(id) ?? [];
  }

  /** How long things usually take, out of all runs. */
  get durations(): Durations {
    return this.#durations;
  }

  cordonHolders(host: string): readonly string[] {
    return this.#fleetView().host(host)?.cordonedBy ?? [];
  }

  onUpdate(listener: (update: RunUpdate) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Starts a run; durable when it returns. A repeated request id returns the run that the first call made.
   * Errors: `conflict` naming the run that is active in one of the clusters, `out-of-space`.
   */
  start(spec: RunSpec): string {
    const earlier = this.#ports.store.runOfRequest(spec.requestId);
    if (earlier !== undefined) return earlier;
    this.#flushFirst();
    refuseOverlap(spec, this.active());
    this.#commitNow(spec.run, [{ type: "run-started", spec }]);
    return spec.run;
  }

  /** Carries out an operator's command; durable when it returns. Errors: see `commandEvents`, `conflict`, `out-of-space`. */
  command(id: string, command: Command, who: string): Run {
    this.#flushFirst();
    const run = this.run(id);
    if (!run)
      throw new SlipwayError("not-found", `run ${JSON.stringify(id)}: there is none of that name`, {
        fix: "see slipway list",
      });
    const events = commandEvents(run, command, who);
    if (events.some((e) => e.type === "run-reopened")) refuseOverlap(run.spec, this.active());
    if (events.length > 0) this.#commitNow(id, events);
    return this.run(id) ?? run;
  }

  /** Closes what stands in the ledger as a cordon of a host, for an operator who uncordons it. Errors: `refused` while a run has it in hand. */
  settle(host: string, note: string): void {
    this.#flushFirst();
    const cordons = this.#ledger.of(host).filter((e) => e.entry.kind === "cordon");
    for (const { run: id } of cordons) {
      const run = this.run(id);
      if (run && run.state !== "ended" && hostOf(run, host)?.outcome === undefined)
        throw new SlipwayError("refused", `${host} is in the hands of run ${id}`, {
          fix: `abort it first: slipway run abort ${id}`,
        });
    }
    for (const { run, entry } of cordons) this.#commitNow(run, [{ type: "ledger-closed", id: entry.id, host, note }]);
  }

  /** The agent of a host has a new session: what it may have missed is sent again. */
  agentConnected(host: string): void {
    this.#desk.forgetHost(host);
    this.#touchHost(host);
  }

  agentDisconnected(host: string): void {
    this.#touchHost(host);
  }

  /** Something outside any run has changed (a cordon, a label): decide again. */
  worldChanged(): void {
    for (const id of this.#runs.keys()) this.#touch(id);
  }

  /** Another pool file is in force: the systems of the gate, too, may be others now. */
  poolChanged(): void {
    this.#desk.forgetGates();
    this.worldChanged();
  }

  /** The agent has the step, or what is done to an instance, in its journal. */
  stepAccepted(ref: EffectRef, durable: () => void = () => {}): void {
    const record = this.#recordOf(ref);
    if (record && record.acceptedT === undefined && record.result === undefined)
      this.#append(ref.run, [
        "verb" in record
          ? { type: "action-accepted", ...bareAction(record) }
          : { type: "step-accepted", ...bareStep(record) },
      ]);
    this.#whenDurable.push(durable);
    this.#ports.work?.();
  }

  /** The agent tells the end of a step; a repeated end changes nothing and is acknowledged again. */
  stepEnded(ref: EffectRef, result: StepResult, durable: () => void = () => {}): void {
    this.#stepEnded(ref, result);
    this.#whenDurable.push(durable);
    this.#ports.work?.();
  }

  /** The agent does not know a step that it once accepted: its journal is not the one of then. */
  stepNotKnown(ref: EffectRef): void {
    const record = this.#recordOf(ref);
    // Of something that was given up the answer is of use: it has not been done.
    const isGivenUp = record !== undefined && "verb" in record && record.abandoned !== undefined;
    if (record?.acceptedT === undefined && !isGivenUp) return;
    const now = this.#ports.clock.wallMs();
    const reason = "the agent does not know this step any more; was its state directory replaced?";
    this.#stepEnded(ref, controllerResult("interrupted", reason, now, 0));
  }

  /** Time has passed. */
  tick(): void {
    const now = this.#ports.clock.engineMs();
    if (this.#desk.due(now)) {
      this.#sweepDesk = true;
      this.worldChanged();
    }
    for (const [id, at] of this.#wakeAt) if (at <= now) this.#touch(id);
    this.#freeGate();
    if (this.hasWork) this.#ports.work?.();
  }

  /** Is there anything that a flush would do? */
  get hasWork(): boolean {
    return this.#dirty.size > 0 || this.#pending.length > 0 || this.#whenDurable.length > 0;
  }

  /** Decides, commits, acts. Returns false when the store had no room: nothing was acted on, and it is tried again. */
  flush(): boolean {
    const [inputs, runs] = [this.#pending.length, new Map(this.#runs)];
    this.#deciding = true;
    const effects = this.#decideAll();
    this.#deciding = false;
    if (!this.#commit()) {
      // What came in is kept, what was decided is not: by the time there is room the world may be another one.
      this.#pending.length = inputs;
      this.#updates.length = inputs;
      this.#runs.clear();
      for (const [id, run] of runs) this.#runs.set(id, run);
      return false;
    }
    this.#freeGate();
    for (const effect of effects) this.#desk.perform(effect);
    if (this.#sweepDesk) this.#desk.sweep();
    this.#sweepDesk = false;
    return true;
  }

  /** Who was turned away from the gate asks again once it is free. */
  #freeGate(): void {
    if (!this.hasWork && this.#gateLock.release((id) => this.#runs.get(id), this.#ports.clock.engineMs()))
      this.worldChanged();
  }

  #decideAll(): Effect[] {
    const now = this.#ports.clock.engineMs();
    const fleet = this.#fleetView();
    const effects: Effect[] = [];
    for (const id of this.#dirty) {
      for (;;) {
        const run = this.#runs.get(id);
        if (!run) break;
        const decision = this.#decide(run, fleet, now);
        if (decision.records.length > 0) {
          const own = this.#updates.length;
          this.#append(id, decision.records);
          for (const { run: other, entry } of decision.takeovers) this.#close(other, entry, `taken over by run ${id}`);
          // What is settled of another run counts once it is durable; that is decided on then.
          if (this.#updates.slice(own).some((u) => u.run.spec.run !== id)) break;
          continue;
        }
        this.#waits.set(id, decision.waits);
        this.#wakeAt.set(id, decision.wakeAt ?? Number.POSITIVE_INFINITY);
        effects.push(...decision.effects);
        break;
      }
    }
    return effects;
  }

  #commit(): boolean {
    if (this.#pending.length > 0) {
      try {
        this.#ports.store.append(this.#pending);
      } catch (thrown) {
        const error = SlipwayError.from(thrown);
        if (!this.#inTrouble)
          this.#ports.trouble(
            `the log cannot be written: ${error.message}; nothing is acknowledged or started until it can`,
          );
        this.#inTrouble = true;
        return false;
      }
    }
    if (this.#inTrouble) this.#ports.trouble("the log can be written again");
    this.#inTrouble = false;
    this.#dirty.clear();
    this.#published();
    return true;
  }

  /** What is pending is on the disk: tell those who wait for it. */
  #published(): void {
    const [updates, durable] = [this.#updates, this.#whenDurable];
    for (const { sample } of this.#pending) if (sample) this.#durations.add(sample);
    this.#pending = [];
    this.#updates = [];
    this.#whenDurable = [];
    for (const {
      run,
      recorded: { event },
    } of updates) {
      if (event.type === "ledger-opened" && (event.kind ?? "cordon") === "cordon") this.#gateLock.cordons++;
      if (event.type === "ledger-opened" || event.type === "ledger-closed")
        this.#ledger.follow(run, new Set([event.id]));
      // What it leaves behind is described as it is then.
      else if (event.type === "run-ended") this.#ledger.follow(run);
    }
    // A host that came back may be what another one waited for.
    if (updates.some((u) => u.recorded.event.type === "ledger-closed")) this.worldChanged();
    for (const [id, run] of this.#runs) {
      if (run.state !== "ended") continue;
      this.#runs.delete(id);
      this.#waits.delete(id);
      this.#wakeAt.delete(id);
      this.#desk.forgetRun(id);
    }
    for (const done of durable) done();
    for (const update of updates) for (const listener of this.#listeners) listener(update);
  }

  #flushFirst(): void {
    if (!this.flush())
      throw new SlipwayError("out-of-space", "the controller's disk is full", {
        fix: "make room in its state directory, then repeat",
      });
  }

  /** For operators, right after a flush: either the events are durable when this returns, or it throws and nothing has changed. */
  #commitNow(id: string, events: readonly RunEvent[]): void {
    const before = this.run(id);
    if (before) this.#runs.set(id, before);
    this.#append(id, events);
    try {
      this.#ports.store.append(this.#pending);
    } catch (thrown) {
      this.#pending = [];
      this.#updates = [];
      if (before) this.#runs.set(id, before);
      else this.#runs.delete(id);
      throw SlipwayError.from(thrown);
    }
    this.#published();
    this.#touch(id);
    this.flush();
  }

  #append(id: string, events: readonly RunEvent[]): void {
    const { clock } = this.#ports;
    for (const event of events) {
      const before = this.#runs.get(id);
      const recorded: Recorded = { seq: (before?.lastSeq ?? 0) + 1, t: clock.engineMs(), at: clock.wallMs(), event };
      const after = reduce(before, recorded);
      this.#runs.set(id, after);
      const sample = this.#samples.of(before, after, recorded, this.#startedT);
      this.#pending.push({ run: id, recorded, ...(sample ? { sample } : {}) });
      this.#updates.push({ run: after, recorded, lines: describe(before, after, recorded) });
      if (event.type === "host-ended" && event.outcome === "updated" && isBack(after, event.host))
        this.#settleEarlier(event.host, id);
    }
    this.#touch(id);
  }

  #touch(id: string): void {
    this.#dirty.add(id);
    // What a flush touches itself it also decides; on a full disk it would call for the next one for ever.
    if (!this.#deciding) this.#ports.work?.();
  }

  /** A host that has been through a whole maintenance is in service again, whatever an earlier run had left behind. */
  #settleEarlier(host: string, id: string): void {
    for (const { run: other, entry } of this.#ledger.of(host))
      if (other !== id && entry.kind === "cordon")
        this.#close(other, entry, `settled by run ${id}, which updated the host`);
  }

  /** Closes an entry that a run which is over has left open. */
  #close(id: string, { id: entry, host }: LedgerRecord, note: string): void {
    const run = this.run(id);
    if (run?.state !== "ended") return;
    this.#runs.set(id, run);
    this.#append(id, [{ type: "ledger-closed", id: entry, host, note }]);
  }

  #stepEnded(ref: EffectRef, result: StepResult): void {
    const record = this.#recordOf(ref);
    if (!record) return;
    if (record.result !== undefined) this.#touch(ref.run);
    else if ("verb" in record)
      this.#append(ref.run, [{ type: "action-ended", ...bareAction(record), result: actionResult(result) }]);
    else this.#append(ref.run, [{ type: "step-ended", ...bareStep(record), result }]);
  }

  #gateAnswered(ref: EffectRef, answer: Parameters<Parameters<Gate["ask"]>[1]>[0]): void {
    const step = this.#recordOf(ref);
    if (!step || "verb" in step || step.result !== undefined || step.abandoned) return;
    const told = this.#runs.get(ref.run);
    const old = told && hostOf(told, ref.host)?.gateReasons;
    // Of a no the reasons say what was seen; it is asked for again and again.
    const seen = isYes(answer) && answer.seen && answer.seen.length > 0 ? { seen: answer.seen } : {};
    if (JSON.stringify(old) !== JSON.stringify(answer.reasons) || answer.verdict === "tight" || "seen" in seen)
      this.#append(ref.run, [
        { type: "gate-answered", ...bareStep(step), verdict: answer.verdict, reasons: answer.reasons, ...seen },
      ]);
    const now = this.#ports.clock.wallMs();
    if (isYes(answer)) this.#stepEnded(ref, controllerResult("ok", "", now, 0));
    else this.#touch(ref.run);
  }

  #recordOf(ref: EffectRef): StepRecord | ActionRecord<ActionSpec> | undefined {
    // A late report may be about a run that is over: its verdict is still recorded.
    const run = this.#runs.get(ref.run) ?? this.run(ref.run);
    const record = run && recordOf(run, ref);
    if (run && record && record.result === undefined) this.#runs.set(ref.run, run);
    return record;
  }

  #touchHost(host: string): void {
    const cluster = this.#ports.roster.cluster(host);
    // Also as a target of instances.
    for (const run of this.active())
      if (run.spec.hosts.some((h) => h.name === host || h.cluster === cluster)) this.#touch(run.spec.run);
  }

  #fleetView(): FleetView {
    const wallT = this.#ports.clock.wallMs();
    return fleetView(this.#ports.roster, this.#ledger, { startedT: this.#startedT, wallT, usual: this.#durations });
  }
}

/** Has this run itself put the host back into service? One that was marked as done in its waiting never left. */
function isBack(run: Run, host: string): boolean {
  return hostOf(run, host)?.steps.some((s) => s.step === "uncordon" && s.result?.verdict === "ok") === true;
}

function bareStep({ host, step, attempt }: StepRef): StepRef {
  return { host, step, attempt };
}

function bareAction({ host, on, verb, subject, attempt }: ActionRef): ActionRef {
  return { host, on, verb, subject, attempt };
}

function actionResult(r: StepResult): ActionResult {
  const { verdict, reason, startedAtMs, endedAtMs, durationMs, output, instance } = r;
  return { verdict, reason, startedAtMs, endedAtMs, durationMs, output, ...(instance ? { instance } : {}) };
}
