import type { FleetView } from "../domain/fleet.ts";
import type { StepRecord } from "../domain/run.ts";

/** How long an answer of the gate may be acted on. */
export const GATE_FRESH_MS = 30_000;

/**
 * May a yes of the gate still be acted on? One from before this controller's start may be old, for the clock stood still. One from
 * before the host's agent came back is about a host that was down: what it has lost by going was nothing then. An operator's word does
 * not grow old.
 */
export function isFresh({ host, endedT, overridden }: StepRecord, fleet: FleetView, now: number): boolean {
  if (endedT === undefined) return false;
  if (overridden) return true;
  const backT = fleet.host(host)?.sinceT ?? Number.NEGATIVE_INFINITY;
  return endedT > (fleet.startedT ?? Number.NEGATIVE_INFINITY) && endedT >= backT && now - endedT <= GATE_FRESH_MS;
}
