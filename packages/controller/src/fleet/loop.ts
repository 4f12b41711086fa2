/** Pause before work that found no room on the disk is tried again, in milliseconds. */
const RETRY_MS = 1_000;

/**
 * Gathers what comes in during one turn of the event loop, so that one transaction serves all of it. A task returns false
 * when the disk had no room; then everything waits a moment and is tried again.
 */
export class WorkLoop {
  readonly #tasks: readonly (() => boolean)[];
  readonly #afterwards: () => void;
  #scheduled = false;
  #retry: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(tasks: readonly (() => boolean)[], afterwards: () => void) {
    this.#tasks = tasks;
    this.#afterwards = afterwards;
  }

  schedule(): void {
    if (this.#scheduled || this.#retry || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  /** Does what is due now, for the last time. */
  stop(): void {
    if (this.#stopped) return;
    this.#turn();
    this.#stopped = true;
    clearTimeout(this.#retry);
  }

  #turn(): void {
    if (this.#stopped) return;
    this.#scheduled = false;
    let ok = true;
    for (const task of this.#tasks) ok = task() && ok;
    this.#afterwards();
    if (ok) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.schedule();
    }, RETRY_MS);
  }
}
