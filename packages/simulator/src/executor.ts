import {
  type Executor,
  type Look,
  noRequests,
  type Progress,
  parseRequests,
  type RawResult,
  type Task,
} from "@slipway/agent/internals";
import { SlipwayError } from "@slipway/shared";

/** What one execution of a hook does. */
export interface HookRun {
  /** Infinity: it never ends by itself. */
  readonly durationMs: number;
  readonly exit: number;
  /** Name of the signal that ends it, instead of an exit status. */
  readonly signal?: string;
  readonly output?: string;
  /** Lines written to SLIPWAY_OUTPUT. */
  readonly requests?: string;
  /** It has to be killed. */
  readonly ignoresTerm?: boolean;
}

/** What really became of a hook; what the log of the run is compared with. */
export type Truth =
  | { readonly kind: "running" }
  | { readonly kind: "exit"; readonly code: number }
  | { readonly kind: "signal" | "timed-out" | "cancelled" | "sealed" | "lost" };

interface Execution {
  look: Look;
  progress?: Progress;
}

interface Surroundings {
  now(): number;
  wallMs(): number;
  bootId(): string;
  after(ms: number, run: () => void): void;
  /** What this execution does. */
  hook(id: string, task: Task): HookRun;
  started(id: string, task: Task): void;
  /** The hook of `id` runs no more. */
  ended(id: string): void;
  diskFull(): boolean;
}

/** Hooks of one host. Like the real executors it belongs to the host: it outlives agents, and its records outlive boots. */
export class SimExecutor implements Executor {
  readonly #executions = new Map<string, Execution>();
  readonly #world: Surroundings;
  /** What really happened, never forgotten. */
  readonly truth = new Map<string, Truth>();
  readonly starts = new Map<string, number>();
  readonly results = new Map<string, RawResult>();

  constructor(world: Surroundings) {
    this.#world = world;
  }

  running(): string[] {
    return [...this.#executions].filter(([, e]) => e.look.state === "running").map(([id]) => id);
  }

  start(id: string, task: Task): void {
    if (this.#executions.has(id)) return;
    if (this.#world.diskFull()) throw new SlipwayError("out-of-space", "no space left on device");
    const hook = this.#world.hook(id, task);
    this.starts.set(id, (this.starts.get(id) ?? 0) + 1);
    this.truth.set(id, { kind: "running" });
    const execution: Execution = { look: { state: "running" } };
    this.#executions.set(id, execution);
    this.#world.started(id, task);
    const startedAt = this.#world.now();
    const startedAtMs = this.#world.wallMs();
    const bootId = this.#world.bootId();
    const { requests, progress } = parseRequests(hook.requests ?? "");
    if (hook.requests !== undefined) execution.progress = progress;
    const end = (truth: Truth, raw: Partial<RawResult>) => {
      if (this.truth.get(id)?.kind !== "running") return;
      const result: RawResult = {
        signal: "",
        timedOut: false,
        cancelled: false,
        cancelReason: "",
        startError: "",
        startedAtMs,
        endedAtMs: this.#world.wallMs(),
        durationMs: this.#world.now() - startedAt,
        output: hook.output ?? "",
        outputBytes: hook.output?.length ?? 0,
        requests,
        bootId,
        ...raw,
      };
      this.truth.set(id, truth);
      this.results.set(id, result);
      execution.look = { state: "ended", result };
      this.#world.ended(id);
    };
    this.#enders.set(id, (truth, raw) => end(truth, raw));
    this.#graces.set(id, hook.ignoresTerm ? task.graceMs : Math.min(50, task.graceMs));
    if (hook.durationMs <= task.timeoutMs)
      this.#world.after(hook.durationMs, () =>
        hook.signal === undefined
          ? end({ kind: "exit", code: hook.exit }, { exitCode: hook.exit })
          : end({ kind: "signal" }, { signal: hook.signal }),
      );
    else {
      const killed = { signal: hook.ignoresTerm ? "SIGKILL" : "SIGTERM", timedOut: true };
      this.#world.after(task.timeoutMs + (this.#graces.get(id) ?? 0), () => end({ kind: "timed-out" }, killed));
    }
  }
  readonly #enders = new Map<string, (truth: Truth, raw: Partial<RawResult>) => void>();
  readonly #graces = new Map<string, number>();

  look(id: string): Look {
    return this.#executions.get(id)?.look ?? { state: "absent" };
  }

  cancel(id: string, reason: string): void {
    if (this.#world.diskFull()) throw new SlipwayError("out-of-space", "no space left on device");
    const execution = this.#executions.get(id);
    if (execution === undefined) {
      this.truth.set(id, { kind: "sealed" });
      const atMs = this.#world.wallMs();
      const result: RawResult = {
        signal: "",
        timedOut: false,
        cancelled: true,
        cancelReason: reason,
        startError: "",
        startedAtMs: atMs,
        endedAtMs: atMs,
        durationMs: 0,
        output: "",
        outputBytes: 0,
        requests: noRequests,
        bootId: this.#world.bootId(),
      };
      this.results.set(id, result);
      this.#executions.set(id, { look: { state: "ended", result } });
      return;
    }
    if (execution.look.state !== "running") return;
    const grace = this.#graces.get(id) ?? 0;
    this.#world.after(grace, () =>
      this.#enders.get(id)?.(
        { kind: "cancelled" },
        { signal: grace > 50 ? "SIGKILL" : "SIGTERM", cancelled: true, cancelReason: reason },
      ),
    );
  }

  progress(id: string): Progress | undefined {
    return this.#executions.get(id)?.progress;
  }

  forget(id: string): void {
    this.#executions.delete(id);
  }

  known(): readonly string[] {
    return [...this.#executions.keys()];
  }

  /** Whatever ran is cut off: the host lost power, rebooted, or somebody killed the runner of this id. */
  cutOff(only?: string): void {
    for (const [id, execution] of this.#executions) {
      if (execution.look.state !== "running" || (only !== undefined && only !== id)) continue;
      this.truth.set(id, { kind: "lost" });
      execution.look = {
        state: "lost",
        reason: "its runner is gone",
        startedAtMs: 0,
        output: "",
        outputBytes: 0,
        requests: noRequests,
        bootId: this.#world.bootId(),
      };
      this.#world.ended(id);
    }
  }
}
