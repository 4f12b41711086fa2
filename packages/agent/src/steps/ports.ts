import type { InstanceLook, Inventory, Stage, StepKey, SystemHealth, Verdict } from "@slipway/shared";
import type {
  HookFile,
  HookInventory,
  HookRequests,
  HostFacts,
  InstanceSpec,
  OutboxEntry,
  ProbeSpec,
  ServiceSpec,
  StepResult,
  StepRow,
} from "./types.ts";

/**
 * The agent's durable memory. Every method that changes something returns only once the change survives a power cut,
 * or throws (`out-of-space` when the disk is full) and has changed nothing.
 */
export interface Journal {
  /**
   * Stores a new row and an outbox entry for its state; for a known key changes nothing and returns the stored row.
   * `isNew` tells the two apart. A row may come ended, with its result: then its acceptance is not told apart.
   */
  accept(row: StepRow): { readonly row: StepRow; readonly isNew: boolean };
  /** Ends an open row and adds its `ended` outbox entry; the first result wins, later calls change nothing. */
  end(key: StepKey, result: StepResult): void;
  /** Remembers that an open step shall end. The first reason wins. */
  requestCancel(key: StepKey, reason: string): void;
  /** Counts, before it is done, one more request to the machine to reboot for an open step; returns how many there are. */
  countReboot(key: StepKey): number;
  get(key: StepKey): StepRow | undefined;
  /** Rows that have not ended, oldest first. */
  open(): readonly StepRow[];
  /** Unacknowledged entries with an id above `afterId`, lowest first, at most `limit`. */
  outbox(afterId: number, limit: number): readonly OutboxEntry[];
  /** Drops entries; returns the keys whose end is thereby acknowledged. Unknown ids are ignored. */
  ack(ids: readonly number[]): readonly StepKey[];
  /** The cordon mark of this host; undefined when it takes instances. */
  cordon(): CordonMark | undefined;
  setCordon(mark: CordonMark | undefined): void;
  /** The generation of an instance as far as this host knows it; 0 when it never heard of one. */
  generation(uuid: string): number;
  /** Raises it; a lower or equal one changes nothing. */
  raiseGeneration(uuid: string, generation: number): void;
  /**
   * Several changes in one transaction: all or none. Does not nest. With `isForgettable`, a power cut (no other end of the
   * process) may undo it until the next durable change.
   */
  batch<T>(change: () => T, isForgettable?: boolean): T;
  /** Drops the oldest ended and acknowledged rows, except the newest `keep`; returns how many went. */
  prune(keep: number): number;
}

/** Who keeps instances away from this host, and why. */
export interface CordonMark {
  /** Run ids, or "operator"; comma-separated. */
  readonly holder: string;
  readonly reason: string;
}

/** How a job of the platform, a probe or a service step ended. */
export interface JobResult {
  readonly verdict: Extract<Verdict, "ok" | "failed" | "timed-out" | "cancelled" | "interrupted">;
  /** One sentence for the operator; empty when the verdict says it all. */
  readonly reason: string;
  /** What was asked and what came back, for people. */
  readonly output: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Monotonic. */
  readonly durationMs: number;
  readonly instance?: InstanceLook;
  readonly health?: SystemHealth;
}

export type JobLook =
  /** This process knows no such job. */
  | { readonly state: "absent" }
  | { readonly state: "running"; readonly progress?: Progress }
  | { readonly state: "ended"; readonly result: JobResult };

/**
 * Jobs that are bound to no process of their own: what they do is done by the platform (libvirtd migrates, not the agent), or
 * changes nothing (a probe). So after a restart of the agent they are not repeated but looked at: `resume` finds out what became
 * of one. Ids are key texts. Nothing here blocks or throws.
 */
export interface Jobs<Spec> {
  /** Begins a job that has just been journalled. */
  start(id: string, spec: Spec): void;
  /**
   * Takes up a job that an earlier process of the agent, or an earlier boot, had begun or was about to begin: waits for what is
   * still under way and tells what is; never begins it anew. Its result is `interrupted` where it was not done.
   */
  resume(id: string, spec: Spec): void;
  look(id: string): JobLook;
  /** Ends it as cleanly as the platform can: a migration is aborted and its instance stays. */
  cancel(id: string, reason: string): void;
  /** The result is journalled; the job may be dropped. */
  forget(id: string): void;
}

/**
 * The instances of this host. Real: libvirt, fleet; simulated. `start` begins what is asked without questions about cordon or
 * generation: those are the core's.
 */
export interface Platform extends Jobs<InstanceSpec> {
  /** "libvirt", "fleet", "simulated" or "none". */
  readonly name: string;
  /**
   * The last reading; undefined before the first. `cordonedBy` and `generation` are left empty: the core fills them in from the
   * journal. A reading that failed has `problem` and no instances.
   */
  inventory(): Inventory | undefined;
  /** Monotonic time of the last reading of the platform, whether or not it changed anything. */
  readAtMs(): number;
}

/** What an executor runs: a program with literal arguments. */
export interface Task {
  readonly program: string;
  readonly args: readonly string[];
  /** Variables of the hook contract; the executor adds PATH, HOME, LANG, SLIPWAY_OUTPUT and its own marker. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly bootId: string;
}

/** What the executor saw of a task that ended under its eyes. The verdict is the core's. */
export interface RawResult {
  readonly exitCode?: number;
  /** Empty when none. */
  readonly signal: string;
  readonly timedOut: boolean;
  readonly cancelled: boolean;
  /** The text given to `cancel`; empty when not cancelled. */
  readonly cancelReason: string;
  /** Why the program could not be started; empty when it was. */
  readonly startError: string;
  /** Present when it was told to end by neither deadline nor `cancel`: the host was going down, or somebody stopped it. */
  readonly stoppedBy?: "shutdown" | "outside";
  /** Its processes that the kernel killed for want of memory; absent when nobody counted. */
  readonly oomKills?: number;
  /** The limit on its memory, in the operator's notation; absent when there is none. */
  readonly memoryMax?: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly durationMs: number;
  readonly output: string;
  readonly outputBytes: number;
  readonly requests: HookRequests;
  /** Boot in which it ran. */
  readonly bootId: string;
}

export type Look =
  /** Provably never started. */
  | { readonly state: "absent" }
  | { readonly state: "running" }
  | { readonly state: "ended"; readonly result: RawResult }
  /** It was started, runs no more and left no result. */
  | {
      readonly state: "lost";
      readonly reason: string;
      /**
       * What cut it off, if that is known: `deadline` its time, `memory` the kernel, `outside` somebody on the host,
       * `shutdown` the host going down in order, `power` the host going down without.
       */
      readonly cut?: "deadline" | "memory" | "outside" | "shutdown" | "power";
      readonly startedAtMs: number;
      readonly output: string;
      readonly outputBytes: number;
      readonly requests: HookRequests;
      readonly bootId: string;
    };

export interface Progress {
  readonly percent?: number;
  readonly message: string;
}

/**
 * Runs hooks so that they outlive the agent. Ids are key texts; an executor derives short opaque names of its own
 * from them. State must be found again by a new agent process and after a reboot.
 */
export interface Executor {
  /**
   * Returns at once. However often it is called for one id, by whichever agent process, the program runs at most once.
   * Throws only when this call started nothing and left nothing behind that could start it later.
   */
  start(id: string, task: Task): void;
  look(id: string): Look;
  /**
   * Ends the task: TERM, then KILL. A task that has not been started never will be: it becomes `ended`, cancelled.
   * Can be repeated. Throws when the request could not be stored.
   */
  cancel(id: string, reason: string): void;
  /** What the hook said last; may be stale. */
  progress(id: string): Progress | undefined;
  /** Drops everything kept for an ended task. Unknown ids are ignored. */
  forget(id: string): void;
  /** Ids that something is kept for. */
  known(): readonly string[];
}

export type FoundHook =
  | { readonly state: "found"; readonly file: string; readonly sha256: string }
  | { readonly state: "absent" }
  | { readonly state: "problem"; readonly file: string; readonly sha256: string; readonly reason: string };

export interface Hooks {
  inventory(): HookInventory;
  find(stage: Stage): FoundHook;
  /**
   * Replaces the whole directory by these files, or changes nothing and says why. Absent where hooks cannot be pushed.
   * To be called only while no step is in hand.
   */
  replace?(hash: string, files: readonly HookFile[]): ReplacedHooks;
}

export interface ReplacedHooks {
  /** Why the directory was left as it was; empty when it holds the files. */
  readonly problem: string;
  /** False when it held them already. */
  readonly changed: boolean;
  /** Where the files that were there before are now; empty when nothing was changed or nothing was there. */
  readonly replaced: string;
}

export interface Machine {
  /** Changes with every boot and only then. */
  bootId(): string;
  /** For people only. */
  wallMs(): number;
  /** Time since boot. */
  monotonicMs(): number;
  /** Asks for a reboot and returns at once; `failed` is called if it is refused. */
  reboot(failed: (reason: string) => void): void;
  /**
   * What the host says of itself at the end of the step `id`; undefined as long as it is still being asked, which is
   * bounded. Absent where there is nobody to ask.
   */
  facts?(id: string): HostFacts | undefined;
}

export type Log = (level: "info" | "warn" | "error", text: string) => void;

export interface Ports {
  readonly journal: Journal;
  readonly executor: Executor;
  readonly hooks: Hooks;
  readonly machine: Machine;
  /** Absent on hosts without instances. */
  readonly platform?: Platform;
  readonly probes?: Jobs<ProbeSpec>;
  readonly services?: Jobs<ServiceSpec>;
  readonly log: Log;
}
