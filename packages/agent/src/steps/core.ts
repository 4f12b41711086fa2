import { keyText, PROTOCOL_VERSION, SlipwayError, type StepKey } from "@slipway/shared";
import { allOutbox, Delivery, rowReport } from "./delivery.ts";
import { hostFacts, Shutdowns } from "./host.ts";
import { Inventories } from "./inventory.ts";
import { forgetJob, isJob, type JobSpec, jobOf, jobProblem, jobResult, portGoneResult } from "./jobs.ts";
import { hookEnvironment, isSubjectStep, keyOf, keyProblem, specProblem } from "./key.ts";
import type { Ports, Progress } from "./ports.ts";
import { pushHooks } from "./push.ts";
import { Trouble } from "./trouble.ts";
import type { HostFacts, Incoming, Outgoing, StepResult, StepRow, StepSpec } from "./types.ts";
import { awaitsBoot, hookResult, instantResult, lostResult, rebootedResult } from "./verdict.ts";

/** A start that left no trace is repeated after this time; the executor's claim keeps it at one run. */
const RESTART_MS = 5_000;
/** An agent that is killed before the machine goes down asks again; one that comes back so often to the same boot id is in a loop. */
const MAX_REBOOTS_ASKED = 5;
const PRUNE_EVERY_MS = 3_600_000;
/** Ended steps kept in the journal for the people who look at it. */
const KEPT_ROWS = 1_000;

/** Who this agent is; constant for the life of the process. */
export interface AgentIdentity {
  readonly host: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly agentVersion: string;
  readonly incarnation: string;
  readonly kernel: string;
  readonly nodeVersion: string;
  /** Executor's name for the controller: direct, systemd or simulated. */
  readonly executor: string;
}

/** Done after the transaction that made it due is durable, never before. */
type Effect = () => void;

/**
 * The durable step runner. It decides; its ports act. Everything is synchronous and level-triggered: what is to be done
 * follows from the journal and from a look at the executor, so a crash anywhere is repaired by `recover` or the next `tick`.
 *
 * A step is journalled before it is started, its result before it is reported, and its files are dropped only after the
 * report is acknowledged.
 */
export class AgentCore {
  readonly #ports: Ports;
  readonly #identity: AgentIdentity;
  readonly #delivery: Delivery;
  #send: ((message: Outgoing) => void) | undefined;
  #welcomed = false;
  #heartbeatIntervalMs = 1_000;
  #heartbeatSeq = 0;
  #heartbeatDueMs = 0;
  #pruneDueMs = 0;
  readonly #trouble: Trouble;
  readonly #inventories: Inventories;
  /** Monotonic time of this process's last start of a step. */
  readonly #startedMs = new Map<string, number>();
  /** Steps whose cancellation this process has handed to the executor. */
  readonly #stopped = new Set<string>();
  readonly #shutdowns = new Shutdowns();
  /** Last progress sent, to send changes only. */
  readonly #progress = new Map<string, string>();

  constructor(ports: Ports, identity: AgentIdentity) {
    this.#ports = ports;
    this.#identity = identity;
    this.#delivery = new Delivery(ports.journal);
    this.#trouble = new Trouble(ports.log);
    this.#inventories = new Inventories(ports);
  }

  /** Why nothing can be made durable right now; empty when all is well. */
  get trouble(): string {
    return this.#trouble.text;
  }

  /** Steps in hand. */
  running(): readonly StepKey[] {
    return this.#ports.journal.open().map((row) => row.key);
  }

  /** Takes up every open step where the last process, or the last boot, left it. Called once, before anything else. */
  recover(): void {
    const { journal, executor } = this.#ports;
    const open = journal.open();
    for (const row of open) {
      this.#ports.log("info", `${keyText(row.key)}: found open in the journal`);
      this.#guard(row.key, () => this.#settle(row, true));
    }
    const stillWanted = new Set(open.map((row) => keyText(row.key)));
    for (const entry of allOutbox(journal)) stillWanted.add(keyText(entry));
    // A crash between an acknowledgement and the dropping of the files leaves them behind. What the journal does not know
    // at all is kept: if the journal was lost, these files are the only memory of what has run.
    for (const id of executor.known())
      if (!stillWanted.has(id) && journal.get(keyOf(id))?.state === "ended")
        this.#guard(undefined, () => executor.forget(id));
    this.#prune();
  }

  /** A stream is open; the first message on it is the Hello. */
  connected(send: (message: Outgoing) => void): void {
    const { hooks, machine } = this.#ports;
    this.#send = send;
    this.#welcomed = false;
    this.#delivery.close();
    this.#progress.clear();
    send({
      type: "hello",
      protocol: PROTOCOL_VERSION,
      ...this.#identity,
      bootId: machine.bootId(),
      hooks: hooks.inventory(),
      uptimeMs: machine.monotonicMs(),
    });
  }

  disconnected(): void {
    this.#send = undefined;
    this.#welcomed = false;
    this.#delivery.close();
  }

  /** Messages that arrived together are journalled together; their effects follow once all of them are durable. */
  received(input: Incoming | readonly Incoming[]): void {
    const messages: readonly Incoming[] = Array.isArray(input) ? input : [input as Incoming];
    // An acknowledgement that a power cut undoes only has its report sent once more; it is not worth waiting for the disk.
    const isForgettable = messages.every((message) => message.type === "ack");
    if (messages.length > 1) {
      let effects: Effect[] | undefined;
      try {
        effects = this.#ports.journal.batch(() => messages.flatMap((message) => this.#handle(message)), isForgettable);
      } catch {
        // Nothing was changed. One by one, those that need no room (acknowledgements, questions) still get through.
      }
      if (effects !== undefined) {
        for (const effect of effects) this.#guard(undefined, effect);
        this.#flush();
        return;
      }
    }
    for (const message of messages) {
      this.#guard("key" in message ? message.key : undefined, () => {
        const effects = this.#ports.journal.batch(() => this.#handle(message), isForgettable);
        for (const effect of effects) this.#guard(undefined, effect);
      });
    }
    this.#flush();
  }

  /** The executor noticed the end of a step. Only a hint: `tick` finds it too. */
  ended(id: string): void {
    this.#guard(undefined, () => {
      const row = this.#ports.journal.get(keyOf(id));
      if (row?.state === "accepted") this.#settle(row, false);
    });
    this.#flush();
  }

  /** Looks at everything in hand; to be called a few times a second. */
  tick(): void {
    const nowMs = this.#ports.machine.monotonicMs();
    let open: readonly StepRow[] = [];
    this.#guard(undefined, () => {
      open = this.#ports.journal.open();
    });
    for (const row of open) this.#guard(row.key, () => this.#settle(row, false));
    if (nowMs >= this.#pruneDueMs) this.#prune();
    this.#flush();
    if (this.#welcomed && nowMs >= this.#heartbeatDueMs) {
      this.#heartbeatDueMs = nowMs + this.#heartbeatIntervalMs;
      this.#guard(undefined, () =>
        this.#tell({
          type: "heartbeat",
          seq: ++this.#heartbeatSeq,
          running: this.running(),
          inventorySeq: this.#inventories.sentSeq,
          inventoryAgeMs: this.#inventories.ageMs(),
        }),
      );
    }
  }

  /** Journals what a message asks for and returns what is to be done once that is durable. */
  #handle(message: Incoming): Effect[] {
    const { journal, hooks, log } = this.#ports;
    if (message.type === "welcome") {
      // At once, not as an effect: what arrived together with it counts.
      this.#welcome(message.heartbeatIntervalMs);
      return [];
    }
    if (!this.#welcomed) {
      log("warn", `${message.type}: came before the controller's welcome; ignored`);
      return [];
    }
    switch (message.type) {
      case "start":
        return this.#accept(message.key, message.spec);
      case "cancel":
        return this.#cancel(message.key, message.reason);
      case "query":
        return this.#refused(message.key) ? [] : [() => this.#answer(message.key)];
      case "refresh-hooks":
        return [() => this.#tell({ type: "hooks", inventory: hooks.inventory(), nonce: message.nonce })];
      case "set-cordon":
        return this.#cordon(message.holder, message.reason);
      case "push-hooks":
        return [() => this.#tell(pushHooks(this.#ports, message))];
      case "ack": {
        const done = journal.ack(message.ids);
        return [
          () => {
            this.#wrote();
            this.#delivery.acknowledged(message.ids);
            for (const key of done) this.#guard(undefined, () => this.#forget(key));
          },
        ];
      }
    }
  }

  #welcome(heartbeatIntervalMs: number): void {
    if (this.#send === undefined) return;
    this.#welcomed = true;
    this.#heartbeatIntervalMs = Math.max(100, heartbeatIntervalMs || 1_000);
    this.#heartbeatDueMs = this.#ports.machine.monotonicMs();
    this.#delivery.open(this.#send);
    this.#inventories.opened();
  }

  #cordon(holder: string, reason: string): Effect[] {
    const { journal, log } = this.#ports;
    const before = journal.cordon();
    if ((before?.holder ?? "") === holder && (before?.reason ?? "") === reason) return [];
    journal.setCordon(holder === "" ? undefined : { holder, reason });
    return [
      () => {
        this.#wrote();
        this.#inventories.journalled();
        const now = holder === "" ? "takes instances" : `takes no instances (${holder}${reason && `: ${reason}`})`;
        log("info", `cordon: this host ${now}`);
      },
    ];
  }

  #forget(key: StepKey): void {
    if (isSubjectStep(key.step)) forgetJob(this.#ports, key);
    else this.#ports.executor.forget(keyText(key));
  }

  #accept(key: StepKey, spec: StepSpec): Effect[] {
    const { journal, hooks, machine } = this.#ports;
    if (this.#refused(key, spec)) return [];
    if (journal.get(key) !== undefined) return [() => this.#answer(key)];
    // Looked at before the new row is among the open ones.
    const busy = journal.open().find((row) => isExclusive(row.spec));
    const base = { key, spec, state: "accepted", bootId: machine.bootId(), acceptedAtMs: machine.wallMs() } as const;
    const endAtOnce = (row: StepRow, verdict: StepResult["verdict"], reason: string, extra = {}): Effect[] => {
      journal.accept(row);
      journal.end(key, instantResult(row, verdict, reason, row.bootId, machine.wallMs(), extra));
      return [() => this.#wrote()];
    };
    if (busy !== undefined && isExclusive(spec))
      return endAtOnce(base, "failed", `refused: ${keyText(busy.key)} is still in hand on this host`);
    switch (spec.kind) {
      case "noop": {
        // One durable row and one report: there is nothing to tell between its beginning and its end.
        const result = instantResult(base, "ok", "", base.bootId, base.acceptedAtMs);
        journal.accept({ ...base, state: "ended", result });
        return [() => this.#wrote()];
      }
      case "inspect":
        return this.#inspect(base);
      case "reboot":
        journal.accept(base);
        return [() => this.#wrote(), () => this.#reboot(base)];
      case "instance":
      case "probe":
      case "service":
        return this.#acceptJob(base, spec);
      case "hook": {
        const found = hooks.find(spec.stage);
        if (found.state === "absent") return endAtOnce(base, "no-hook", "");
        const hook = { file: found.file, sha256: found.sha256 };
        if (found.state === "problem") return endAtOnce({ ...base, hook }, "failed", found.reason);
        const row = { ...base, hook };
        journal.accept(row);
        return [() => this.#wrote(), () => this.#guard(key, () => this.#launch(row))];
      }
    }
  }

  #acceptJob(row: StepRow, spec: JobSpec): Effect[] {
    const { journal, machine } = this.#ports;
    const problem = jobProblem(this.#ports, row.key, spec);
    journal.accept(row);
    if (problem !== undefined) {
      journal.end(row.key, instantResult(row, "failed", problem, row.bootId, machine.wallMs()));
      return [() => this.#wrote()];
    }
    if (spec.kind === "instance") journal.raiseGeneration(spec.uuid, spec.generation);
    return [
      () => this.#wrote(),
      () => {
        this.#inventories.journalled();
        jobOf(this.#ports, row.key, spec)?.start();
      },
    ];
  }

  /** Ends at once, unless the host has to be asked for longer than a message may take. */
  #inspect(row: StepRow): Effect[] {
    this.#ports.journal.accept(row);
    this.#endWithFacts(row, () => this.#inspected(row));
    return [() => this.#wrote()];
  }

  #inspected(row: StepRow): StepResult {
    const { hooks, machine } = this.#ports;
    return instantResult(row, "ok", "", machine.bootId(), machine.wallMs(), { hooks: hooks.inventory() });
  }

  #cancel(key: StepKey, reason: string): Effect[] {
    const { journal } = this.#ports;
    if (this.#refused(key)) return [];
    const row = journal.get(key);
    if (row === undefined || row.state === "ended") return [() => this.#answer(key)];
    // A reboot cannot be taken back; what became of it will show.
    if (row.spec.kind !== "hook" && !isJob(row.spec)) return [() => this.#answer(key)];
    const text = reason === "" ? "cancelled by the controller" : reason;
    journal.requestCancel(key, text);
    return [() => this.#guard(key, () => this.#stop(row, text))];
  }

  /** Hands a cancellation to whoever does the step, once in this process. */
  #stop({ key, spec }: StepRow, reason: string): void {
    const id = keyText(key);
    if (this.#stopped.has(id)) return;
    if (isJob(spec)) jobOf(this.#ports, key, spec)?.cancel(reason);
    else this.#ports.executor.cancel(id, reason);
    this.#stopped.add(id);
  }

  /** Brings one open row as far as it can be brought now. */
  #settle(row: StepRow, recovering: boolean): void {
    const { executor, machine } = this.#ports;
    const bootId = machine.bootId();
    if (row.spec.kind === "reboot") {
      if (row.bootId !== bootId) this.#endWithFacts(row, (host) => rebootedResult(row, bootId, machine.wallMs(), host));
      else if (recovering) this.#reboot(row);
      return;
    }
    if (row.spec.kind === "inspect") {
      this.#endWithFacts(row, () => this.#inspected(row));
      return;
    }
    if (isJob(row.spec)) {
      this.#settleJob(row, row.spec);
      return;
    }
    // Accepted and ended in one transaction; an open one cannot be.
    if (row.spec.kind !== "hook") return;
    const id = keyText(row.key);
    const look = executor.look(id);
    if (awaitsBoot(look, bootId) && !this.#shutdowns.stayedUp(id, machine.monotonicMs())) return;
    switch (look.state) {
      case "ended":
        this.#endWithFacts(row, () => hookResult(row, look.result, bootId));
        break;
      case "lost":
        this.#endWithFacts(row, () => lostResult(row, look, bootId, machine.wallMs()));
        break;
      case "absent":
        if (row.cancelReason !== undefined) this.#stop(row, row.cancelReason);
        else if (this.#mayStart(id)) this.#launch(row);
        break;
      case "running":
        if (row.cancelReason !== undefined) this.#stop(row, row.cancelReason);
        this.#reportProgress(row.key, executor.progress(id));
        break;
    }
  }

  /** A job that this process does not know was begun by an earlier one: it is taken up, never started. */
  #settleJob(row: StepRow, spec: JobSpec): void {
    const { journal, machine } = this.#ports;
    const job = jobOf(this.#ports, row.key, spec);
    if (job === undefined) {
      this.#end(row, portGoneResult(row, spec, machine.bootId(), machine.wallMs()));
      return;
    }
    const look = job.look();
    if (look.state === "ended") {
      const generation = spec.kind === "instance" ? journal.generation(spec.uuid) : 0;
      this.#end(row, jobResult(row, look.result, generation, machine.bootId()));
      return;
    }
    if (look.state === "absent") job.resume();
    else this.#reportProgress(row.key, look.progress);
    if (row.cancelReason !== undefined) this.#stop(row, row.cancelReason);
  }

  /** Ends a step together with what the host says of itself, for which the next tick may have to be waited. */
  #endWithFacts(row: StepRow, result: (host: HostFacts | undefined) => StepResult): void {
    const host = hostFacts(this.#ports.machine, row.key);
    if (host !== "asking") this.#end(row, host === undefined ? result(undefined) : { ...result(host), host });
  }

  #mayStart(id: string): boolean {
    const lastMs = this.#startedMs.get(id);
    return lastMs === undefined || this.#ports.machine.monotonicMs() - lastMs >= RESTART_MS;
  }

  /** Starts a journalled hook. What cannot be started for want of room is tried again; anything else ends the step. */
  #launch(row: StepRow): void {
    const { executor, hooks, machine } = this.#ports;
    if (row.spec.kind !== "hook" || row.hook === undefined) return;
    const id = keyText(row.key);
    this.#startedMs.set(id, machine.monotonicMs());
    const now = hooks.find(row.spec.stage);
    if (now.state !== "found" || now.file !== row.hook.file || now.sha256 !== row.hook.sha256) {
      executor.cancel(id, `${row.hook.file} is not the file any more that the step was accepted with`);
      return;
    }
    const bootId = machine.bootId();
    try {
      executor.start(id, {
        program: row.hook.file,
        args: row.spec.args,
        env: hookEnvironment(row.key, bootId, this.#identity.labels),
        timeoutMs: row.spec.timeoutMs,
        graceMs: row.spec.graceMs,
        bootId,
      });
    } catch (thrown) {
      const error = SlipwayError.from(thrown);
      if (error.code === "out-of-space") throw error;
      // Sealed rather than ended here: an earlier process may have started it a moment ago.
      executor.cancel(id, error.message);
    }
  }

  #reboot(row: StepRow): void {
    const { journal, machine, log } = this.#ports;
    const end = (reason: string) =>
      this.#end(row, instantResult(row, "failed", reason, machine.bootId(), machine.wallMs()));
    // A host whose boot id does not tell its boots apart would be rebooted for ever.
    const asked = journal.countReboot(row.key);
    if (asked > MAX_REBOOTS_ASKED) {
      end(
        `asked ${MAX_REBOOTS_ASKED} times for a reboot, and the boot id is still ${row.bootId}; see slipway-agent doctor`,
      );
      return;
    }
    log("info", `${keyText(row.key)}: asking the machine to reboot`);
    machine.reboot((reason) => {
      this.#guard(row.key, () => end(reason));
      this.#flush();
    });
  }

  #end(row: StepRow, result: StepResult): void {
    const id = keyText(row.key);
    this.#ports.journal.end(row.key, result);
    this.#wrote();
    this.#startedMs.delete(id);
    this.#stopped.delete(id);
    this.#shutdowns.forget(id);
    this.#progress.delete(id);
    this.#ports.log("info", `${id}: accepted => ended (${result.verdict}${result.reason && `: ${result.reason}`})`);
  }

  #answer(key: StepKey): void {
    const row = this.#ports.journal.get(key);
    this.#tell({
      type: "report",
      report: row === undefined ? { outboxId: 0, key, state: "unknown", bootId: "" } : rowReport(row),
    });
  }

  #reportProgress(key: StepKey, progress: Progress | undefined): void {
    if (progress === undefined || !this.#welcomed) return;
    const id = keyText(key);
    const text = `${progress.percent ?? ""} ${progress.message}`;
    if (text === " " || this.#progress.get(id) === text) return;
    this.#progress.set(id, text);
    this.#tell({ type: "progress", key, ...progress });
  }

  #refused(key: StepKey, spec?: StepSpec): boolean {
    const problem = keyProblem(key, this.#identity.host) ?? (spec === undefined ? undefined : specProblem(key, spec));
    if (problem === undefined) return false;
    this.#ports.log("warn", `step ignored: ${problem}`);
    return true;
  }

  #tell(message: Outgoing): void {
    if (this.#welcomed) this.#send?.(message);
  }

  /** Ends come after the picture that they led to, so that nobody judges them by an older one. */
  #flush(): void {
    this.#guard(undefined, () => {
      const inventory = this.#welcomed ? this.#inventories.due() : undefined;
      if (inventory !== undefined) this.#tell({ type: "inventory", inventory, ageMs: this.#inventories.ageMs() });
    });
    this.#guard(undefined, () => this.#delivery.flush(this.#ports.machine.monotonicMs()));
  }

  #prune(): void {
    this.#pruneDueMs = this.#ports.machine.monotonicMs() + PRUNE_EVERY_MS;
    this.#guard(undefined, () => this.#ports.journal.prune(KEPT_ROWS));
  }

  /** A failing disk must not take the agent down: it says so once, tells the controller, and the next tick tries again. */
  #guard(key: StepKey | undefined, action: () => void): void {
    const text = this.#trouble.guard(action);
    if (text !== undefined && key !== undefined) this.#reportProgress(key, { message: `waiting: ${text}` });
  }

  #wrote(): void {
    this.#trouble.over();
  }
}

/** A host does one of these at a time, whichever run asks. */
function isExclusive(spec: StepSpec): boolean {
  return spec.kind === "hook" || spec.kind === "reboot";
}
