import type { FleetView } from "../domain/fleet.ts";
import type { StepRecord } from "../domain/run.ts";

/** How long an answer of the gate may be acted on. */
export const GATE_FRESH_MS = 30_000;

/**
 * May a yes of the gate still be acted on? One from before this controller's start may be old, for the clock stood still; an operator's
 * word does not grow old.
 */
export function isFresh({ endedT, overridden }: StepRecord, { startedT }: FleetView, now: number): boolean {
  if (endedT === undefined) return false;
  if (overridden) return true;
  return endedT > (startedT ?? Number.NEGATIVE_INFINITY) && now - endedT <= GATE_FRESH_MS;
}
