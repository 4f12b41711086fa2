import type { Instance } from "@slipway/shared";
import { pagesOf } from "./admission.ts";

/** An admitted instance that has not come after this time has its room given to others. */
const PROMISE_MS = 600_000;

interface Promised {
  readonly mib: number;
  readonly pageKib: number;
  readonly untilMs: number;
}

/** Room that is held for instances which were let in, until they have come, or do not come any more. In memory only. */
export class Promises {
  readonly #monotonicMs: () => number;
  readonly #promised = new Map<string, Promised>();

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  give({
    uuid,
    hugepageKib,
    memoryMib,
    memoryMaxMib,
  }: Pick<Instance, "uuid" | "hugepageKib" | "memoryMib" | "memoryMaxMib">): void {
    const mib = hugepageKib > 0 ? memoryMaxMib : memoryMib;
    this.#promised.set(uuid, { mib, pageKib: hugepageKib, untilMs: this.#monotonicMs() + PROMISE_MS });
  }

  /** Is anything awaited? */
  get isOpen(): boolean {
    return this.#promised.size > 0;
  }

  takeBack(uuid: string): void {
    this.#promised.delete(uuid);
  }

  /** What has come takes its room itself from now on, also when it leaves again before anybody else asks. */
  seen(here: readonly Pick<Instance, "uuid" | "state">[]): void {
    for (const { uuid, state } of here) if (state !== "shutoff" && state !== "incoming") this.#promised.delete(uuid);
  }

  /** Memory held in MiB, and huge pages by their size in KiB, for all but the one that asks. */
  heldFor(asking: string): { readonly mib: number; readonly pages: ReadonlyMap<number, number> } {
    const pages = new Map<number, number>();
    let mib = 0;
    for (const [uuid, one] of this.#promised) {
      if (this.#monotonicMs() > one.untilMs) this.#promised.delete(uuid);
      else if (uuid === asking) continue;
      else if (one.pageKib > 0) pages.set(one.pageKib, (pages.get(one.pageKib) ?? 0) + pagesOf(one.mib, one.pageKib));
      else mib += one.mib;
    }
    return { mib, pages };
  }
}
