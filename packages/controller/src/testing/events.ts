import type { LogEntry } from "../coordinator/ports.ts";
import type { RunEvent, RunSpec } from "../domain/events.ts";
import { defaultOptions } from "../domain/words.ts";

/** A run of one host, for stores. */
export function specOf(run: string, requestId = `request-of-${run}`): RunSpec {
  return {
    run,
    scope: { kind: "hosts", names: ["hv1"] },
    options: defaultOptions,
    hosts: [{ name: "hv1", cluster: "c1", wave: 1 }],
    startedBy: "alice",
    requestId,
  };
}

/** Log entries of a run from sequence number `from` on, a second apart. */
export function entries(run: string, from: number, ...events: RunEvent[]): LogEntry[] {
  return events.map((event, i) => ({
    run,
    recorded: { seq: from + i, t: (from + i) * 1_000, at: 1_700_000_000_000 + (from + i) * 1_000, event },
  }));
}

export const started = (run: string): RunEvent => ({ type: "run-started", spec: specOf(run) });
export const ended: RunEvent = { type: "run-ended", outcome: "succeeded", details: "OK: 1 updated" };
export const opened: RunEvent = {
  type: "ledger-opened",
  id: "r1:hv1:cordon:1",
  host: "hv1",
  change: "cordon",
  undo: "uncordon",
};
export const closed: RunEvent = { type: "ledger-closed", id: "r1:hv1:cordon:1", host: "hv1", note: "undone" };
