import {
  type DurationSample,
  type EffectRef,
  type InventoryRecord,
  type LogEntry,
  MemoryStore,
  type Recorded,
  type Run,
  recordOf,
  reduce,
  type Store,
} from "@slipway/controller/internals";
import { SlipwayError } from "@slipway/shared";

/** What watches the disk of the controller. */
export interface DiskWatch {
  recorded(before: Run | undefined, after: Run, recorded: Recorded): void;
}

/** The controller's disk: it outlives controllers, and its own fold of the log is what really is durable. */
export class Disk {
  readonly store = new MemoryStore();
  readonly runs = new Map<string, Run>();
  full = false;
  readonly #watch: DiskWatch;
  /** Hosts that the operator has cordoned, in the registry. */
  readonly operatorCordons = new Set<string>();
  /** What hosts told of their instances, as it was saved last. */
  readonly pictures = new Map<string, InventoryRecord>();
  /** What runs before this world's time took. */
  history: readonly DurationSample[] = [];

  constructor(watch: DiskWatch) {
    this.#watch = watch;
  }

  append(entries: readonly LogEntry[]): void {
    if (this.full) throw new SlipwayError("out-of-space", "no space left on device");
    this.store.append(entries);
    for (const { run, recorded } of entries) {
      // The clock never goes back behind what was written.
      this.store.saveEngineClock(Math.max(this.store.engineClock(), recorded.t));
      const before = this.runs.get(run);
      const after = reduce(before, recorded);
      this.runs.set(run, after);
      this.#watch.recorded(before, after, recorded);
    }
  }

  /** Step or action of the log by the key under which its agent knows it. */
  record(ref: Omit<EffectRef, "step"> & { readonly step: string }) {
    const run = this.runs.get(ref.run);
    return run && recordOf(run, ref);
  }

  step(run: string, host: string, step: string, attempt: number) {
    return this.runs
      .get(run)
      ?.hosts.find((h) => h.name === host)
      ?.steps.find((s) => s.step === step && s.attempt === attempt);
  }

  /** Runs that keep this host cordoned. */
  holders(host: string): string[] {
    const out: string[] = [];
    for (const [id, run] of this.runs)
      if (run.ledger.some((l) => l.host === host && l.kind === "cordon" && l.closedAt === undefined)) out.push(id);
    return out;
  }
}

/** The disk as one process of the controller sees it. `crash` says whether the process dies at this point. */
export function storeOf(disk: Disk, crash: (when: "before" | "after", entries: readonly LogEntry[]) => void): Store {
  return {
    append: (entries) => {
      crash("before", entries);
      disk.append(entries);
      crash("after", entries);
    },
    activeRuns: () => disk.store.activeRuns(),
    log: (run) => disk.store.log(run),
    openEntries: () => disk.store.openEntries(),
    durations: () => [...disk.history, ...disk.store.durations()],
    runOfRequest: (id) => disk.store.runOfRequest(id),
    engineClock: () => disk.store.engineClock(),
    saveEngineClock: (ms) => disk.store.saveEngineClock(ms),
  };
}
