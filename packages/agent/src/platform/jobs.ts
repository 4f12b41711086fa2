import { SlipwayError } from "@slipway/shared";
import type { JobLook, JobResult, Jobs, Progress } from "../steps/ports.ts";

/** What a job says at its end; what it leaves out is `ok` and nothing. */
export type JobOutcome = Partial<Pick<JobResult, "verdict" | "reason" | "output" | "instance" | "health">>;

/** What a job is given. */
export interface JobHandle {
  /** Key text of its step. */
  readonly id: string;
  /**
   * Aborted by `cancel` and at the deadline; its `reason` is a JobStopped. The job then ends as cleanly as it can, and either
   * tells how it ended (a move that was finished all the same is `ok`) or throws: then its verdict is the stop's own.
   */
  readonly signal: AbortSignal;
  /** Replaces what it said before. */
  readonly progress: (progress: Progress) => void;
}

/** Why a job is to end. */
export class JobStopped extends Error {
  readonly verdict: "cancelled" | "timed-out";

  constructor(verdict: JobStopped["verdict"], reason: string) {
    super(reason);
    this.verdict = verdict;
  }
}

export interface AsyncJobsOptions<Spec> {
  /** Does it. What it throws before it was stopped makes it `failed`, with the error's message for a reason. */
  readonly run: (spec: Spec, job: JobHandle) => Promise<JobOutcome>;
  /** Finds out what became of one that an earlier process, or boot, began; does nothing anew. */
  readonly resume: (spec: Spec, job: JobHandle) => Promise<JobOutcome>;
  /** A job has ended; the core's `ended`. */
  readonly announce: (id: string) => void;
  /** Time between the stop of a job and giving it up, in milliseconds; longer than its slowest command. Default 60000. */
  readonly graceMs?: number;
}

interface Job {
  readonly controller: AbortController;
  readonly startedAtMs: number;
  readonly begunMs: number;
  timer: NodeJS.Timeout | undefined;
  progress?: Progress;
  result?: JobResult;
}

/** Asynchronous work behind the synchronous port of the core: each job is a promise, bounded by its `timeoutMs`. */
export class AsyncJobs<Spec extends { readonly timeoutMs: number }> implements Jobs<Spec> {
  readonly #options: AsyncJobsOptions<Spec>;
  readonly #graceMs: number;
  readonly #jobs = new Map<string, Job>();

  constructor(options: AsyncJobsOptions<Spec>) {
    this.#options = options;
    this.#graceMs = options.graceMs ?? 60_000;
  }

  start(id: string, spec: Spec): void {
    this.#begin(id, spec, (own, job) => {
      // Cancelled together with its start: it has not begun and never will.
      job.signal.throwIfAborted();
      return this.#options.run(own, job);
    });
  }

  resume(id: string, spec: Spec): void {
    this.#begin(id, spec, this.#options.resume);
  }

  look(id: string): JobLook {
    const job = this.#jobs.get(id);
    if (job === undefined) return { state: "absent" };
    if (job.result !== undefined) return { state: "ended", result: job.result };
    return job.progress === undefined ? { state: "running" } : { state: "running", progress: job.progress };
  }

  cancel(id: string, reason: string): void {
    this.#stop(id, new JobStopped("cancelled", reason));
  }

  forget(id: string): void {
    clearTimeout(this.#jobs.get(id)?.timer);
    this.#jobs.delete(id);
  }

  /** The process ends: nothing is announced any more, and what the platform does it goes on doing. */
  close(): void {
    for (const id of [...this.#jobs.keys()]) this.forget(id);
  }

  #begin(id: string, spec: Spec, work: AsyncJobsOptions<Spec>["run"]): void {
    if (this.#jobs.has(id)) return;
    const job: Job = {
      controller: new AbortController(),
      startedAtMs: Date.now(),
      begunMs: performance.now(),
      timer: setTimeout(
        () => this.#stop(id, new JobStopped("timed-out", `not done after ${spec.timeoutMs} ms`)),
        spec.timeoutMs,
      ),
    };
    this.#jobs.set(id, job);
    const { signal } = job.controller;
    const handle: JobHandle = {
      id,
      signal,
      progress: (progress) => {
        job.progress = progress;
      },
    };
    // Not in this turn of the event loop: what a job throws at once is its end as well.
    Promise.resolve()
      .then(() => work(spec, handle))
      .then(
        (outcome) => this.#end(id, job, outcome),
        (thrown: unknown) => this.#end(id, job, thrownOutcome(thrown, signal)),
      );
  }

  #stop(id: string, reason: JobStopped): void {
    const job = this.#jobs.get(id);
    if (job === undefined || job.result !== undefined || job.controller.signal.aborted) return;
    clearTimeout(job.timer);
    job.timer = setTimeout(() => {
      const waited = `no answer ${this.#graceMs} ms after it was told to end; what became of it is not known`;
      this.#end(id, job, { verdict: "interrupted", reason: `${reason.message}; ${waited}` });
    }, this.#graceMs);
    job.controller.abort(reason);
  }

  #end(id: string, job: Job, outcome: JobOutcome): void {
    if (job.result !== undefined || this.#jobs.get(id) !== job) return;
    clearTimeout(job.timer);
    job.result = {
      verdict: "ok",
      reason: "",
      output: "",
      ...outcome,
      startedAtMs: job.startedAtMs,
      endedAtMs: Date.now(),
      durationMs: performance.now() - job.begunMs,
    };
    this.#options.announce(id);
  }
}

function thrownOutcome(thrown: unknown, signal: AbortSignal): JobOutcome {
  const reason: unknown = signal.aborted ? signal.reason : undefined;
  if (!(reason instanceof JobStopped)) return { verdict: "failed", reason: SlipwayError.from(thrown).message };
  const own = thrown === reason ? "" : `; ${SlipwayError.from(thrown).message}`;
  return { verdict: reason.verdict, reason: `${reason.message}${own}` };
}
