/** What a hook told of its progress last; for display only, it survives nothing. */
export interface Progress {
  readonly run: string;
  readonly host: string;
  /** Name of the step: a stage, or what is done to an instance ("move:UUID"). */
  readonly stage: string;
  readonly percent?: number;
  readonly message: string;
}

export class ProgressBoard {
  readonly #byRun = new Map<string, Map<string, Progress>>();
  readonly #listeners = new Set<(p: Progress) => void>();

  report(progress: Progress): void {
    const hosts = this.#byRun.get(progress.run) ?? new Map<string, Progress>();
    this.#byRun.set(progress.run, hosts.set(`${progress.host} ${progress.stage}`, progress));
    for (const listener of this.#listeners) listener(progress);
  }

  of(run: string): Progress[] {
    return [...(this.#byRun.get(run)?.values() ?? [])];
  }

  percentOf(run: string, host: string, stage: string): number | undefined {
    return this.#byRun.get(run)?.get(`${host} ${stage}`)?.percent;
  }

  /** What a step, or a whole run, told is over. */
  forget(run: string, step?: { readonly host: string; readonly stage: string }): void {
    if (step === undefined) this.#byRun.delete(run);
    else this.#byRun.get(run)?.delete(`${step.host} ${step.stage}`);
  }

  onProgress(listener: (p: Progress) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
