import type { StepKey } from "@slipway/shared";
import { keyText } from "@slipway/shared";
import type { Machine } from "./ports.ts";
import type { HostFacts } from "./types.ts";

/** A hook that ended because the host is going down is judged after the next boot, or after this time if there is none. */
const GOING_DOWN_MS = 180_000;
/** Steps whose result carries what the host says of itself. */
const stepsThatTell: ReadonlySet<string> = new Set(["inspect", "Maintenance", "reboot"]);

/** What belongs into the result of a step; undefined when nothing does. */
export function hostFacts(machine: Machine, key: StepKey): HostFacts | "asking" | undefined {
  if (machine.facts === undefined || !stepsThatTell.has(key.step)) return undefined;
  return machine.facts(keyText(key)) ?? "asking";
}

/** Steps whose hook ended because the host is going down. */
export class Shutdowns {
  /** Monotonic time since which a step waits for the next boot. */
  readonly #sinceMs = new Map<string, number>();

  /** Whether the host has been going down for longer than any shutdown takes. */
  stayedUp(id: string, nowMs: number): boolean {
    const sinceMs = this.#sinceMs.get(id) ?? nowMs;
    this.#sinceMs.set(id, sinceMs);
    return nowMs - sinceMs >= GOING_DOWN_MS;
  }

  forget(id: string): void {
    this.#sinceMs.delete(id);
  }
}
