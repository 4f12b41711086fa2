import type { Clock } from "../coordinator/ports.ts";

/** The engine clock: goes on from where the last controller left it and does not count the time in which none ran. */
export class EngineClock implements Clock {
  readonly #base: number;
  readonly #start = performance.now();

  /** `base`: engine time to go on from, in milliseconds. */
  constructor(base: number) {
    this.#base = base;
  }

  engineMs(): number {
    return this.#base + Math.floor(performance.now() - this.#start);
  }

  wallMs(): number {
    return Date.now();
  }
}
