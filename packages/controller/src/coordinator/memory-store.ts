import type { DurationSample } from "../domain/durations.ts";
import type { Recorded } from "../domain/events.ts";
import type { LogEntry, OpenEntry, Store } from "./ports.ts";

/** A store in memory, for tests and the simulator: what has been appended is "on the disk", and a crash loses nothing of it. */
export class MemoryStore implements Store {
  readonly #logs = new Map<string, Recorded[]>();
  readonly #requests = new Map<string, string>();
  readonly #samples: DurationSample[] = [];
  #clock = 0;

  append(entries: readonly LogEntry[]): void {
    // All or nothing, as the port says: check first.
    const last = new Map<string, number>();
    for (const { run, recorded } of entries) {
      const before = last.get(run) ?? this.#logs.get(run)?.at(-1)?.seq ?? 0;
      if (before + 1 !== recorded.seq) throw new Error(`run ${run}: event ${recorded.seq} after ${before}`);
      last.set(run, recorded.seq);
    }
    for (const { run, recorded, sample } of entries) {
      if (sample) this.#samples.push(sample);
      const log = this.#logs.get(run) ?? [];
      log.push(recorded);
      this.#logs.set(run, log);
      if (recorded.event.type === "run-started") this.#requests.set(recorded.event.spec.requestId, run);
    }
  }

  activeRuns(): string[] {
    return [...this.#logs]
      .filter(([, log]) => {
        const last = log.findLast((r) => r.event.type === "run-ended" || r.event.type === "run-reopened");
        return last?.event.type !== "run-ended";
      })
      .map(([run]) => run);
  }

  log(run: string): Recorded[] {
    return [...(this.#logs.get(run) ?? [])];
  }

  openEntries(): OpenEntry[] {
    const open = new Map<string, OpenEntry>();
    for (const [run, log] of this.#logs)
      for (const { event } of log) {
        if (event.type === "ledger-opened") open.set(event.id, { id: event.id, run, host: event.host });
        if (event.type === "ledger-closed") open.delete(event.id);
      }
    return [...open.values()];
  }

  durations(): DurationSample[] {
    return [...this.#samples];
  }

  runOfRequest(requestId: string): string | undefined {
    return this.#requests.get(requestId);
  }

  engineClock(): number {
    return this.#clock;
  }

  saveEngineClock(ms: number): void {
    this.#clock = ms;
  }
}
