import { spawn } from "node:child_process";
import { RUNNER_MARKER } from "../../runner/files.ts";
import type { Executor, Log, Look, Progress, Task } from "../../steps/ports.ts";
import { RUNNER, StepFiles, type StepFilesOptions } from "../step-files.ts";

export interface DirectExecutorOptions extends StepFilesOptions {
  readonly log: Log;
}

/** Runs each hook under a small runner of its own that records its end, so that neither cares whether the agent lives. */
export class DirectExecutor implements Executor {
  readonly #options: DirectExecutorOptions;
  readonly #files: StepFiles;

  constructor(options: DirectExecutorOptions) {
    this.#options = options;
    this.#files = new StepFiles(options);
  }

  start(id: string, task: Task): void {
    const prepared = this.#files.prepare(id, task);
    if (prepared === undefined) return;
    this.#files.watch(id);
    const runner = spawn(process.execPath, [RUNNER, prepared.dir], {
      cwd: "/",
      env: { [RUNNER_MARKER]: prepared.spec.marker },
      detached: true,
      stdio: "ignore",
    });
    runner.on("error", (error) => this.#options.log("error", `${id}: its runner cannot be started (${error.message})`));
    runner.on("exit", () => this.#options.announce(id));
    runner.unref();
  }

  look(id: string): Look {
    const recorded = this.#files.recorded(id);
    return recorded.state === "claimed" ? this.#files.unsupervised(id, recorded.claim) : recorded;
  }

  cancel(id: string, reason: string): void {
    this.#files.cancel(id, reason);
  }

  progress(id: string): Progress | undefined {
    return this.#files.progress(id);
  }

  forget(id: string): void {
    this.#files.forget(id);
  }

  known(): readonly string[] {
    return this.#files.known();
  }

  /** Stops noticing; what runs goes on. */
  close(): void {
    this.#files.close();
  }

  /** Ends every runner and hook without giving them a chance to record anything, as a power cycle would. */
  cutPower(): void {
    this.#files.cutPower();
  }
}
