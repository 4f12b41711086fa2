import type { RunEvent } from "../domain/events.ts";
import type { OpenEntry } from "./ports.ts";

/** Which ledger entries stand, over all runs: a host is cordoned by a run exactly while the run's entry for it is open. */
export class Cordons {
  readonly #byHost = new Map<string, Map<string, OpenEntry>>();

  open(entry: OpenEntry): void {
    const entries = this.#byHost.get(entry.host) ?? new Map<string, OpenEntry>();
    this.#byHost.set(entry.host, entries.set(entry.id, entry));
  }

  apply(run: string, event: RunEvent): void {
    if (event.type === "ledger-opened") this.open({ id: event.id, run, host: event.host });
    else if (event.type === "ledger-closed") this.#byHost.get(event.host)?.delete(event.id);
  }

  of(host: string): OpenEntry[] {
    return [...(this.#byHost.get(host)?.values() ?? [])];
  }
}
