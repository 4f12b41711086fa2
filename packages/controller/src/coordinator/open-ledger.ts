import type { StandingEntry } from "../domain/fleet.ts";
import { hostOf, type LedgerRecord, type Run } from "../domain/run.ts";

/**
 * Which ledger entries stand, over all runs. A host is cordoned by a run exactly while an entry of that kind of the run's is
 * open for it.
 */
export class OpenLedger {
  readonly #byHost = new Map<string, Map<string, Omit<StandingEntry, "runEnded">>>();
  readonly #isOver: (run: string) => boolean;

  constructor(isOver: (run: string) => boolean) {
    this.#isOver = isOver;
  }

  /** Takes the entries of a run as its log has them. */
  follow(run: Run, ids?: ReadonlySet<string>): void {
    for (const entry of run.ledger) {
      if (ids && !ids.has(entry.id)) continue;
      const entries = this.#byHost.get(entry.host) ?? new Map();
      this.#byHost.set(entry.host, entries);
      if (entry.closedAt === undefined) entries.set(entry.id, { run: run.spec.run, entry, away: awayOf(run, entry) });
      else entries.delete(entry.id);
    }
  }

  of(host: string): StandingEntry[] {
    return [...(this.#byHost.get(host)?.values() ?? [])].map((e) => ({ ...e, runEnded: this.#isOver(e.run) }));
  }

  /** Runs that keep a host cordoned. */
  cordoners(host: string): string[] {
    const cordons = [...(this.#byHost.get(host)?.values() ?? [])].filter((e) => e.entry.kind === "cordon");
    return [...new Set(cordons.map((e) => e.run))];
  }
}

function awayOf(run: Run, { host, kind, away = [] }: LedgerRecord): readonly string[] {
  if (kind !== "cordon") return [];
  const settled = hostOf(run, host)?.settled ?? [];
  const moved = settled.filter((s) => s.purpose === "drain" && s.outcome === "moved" && s.from === host);
  return [...new Set([...away, ...moved.map((s) => s.uuid)])];
}
