import type { StoreDatabase } from "./database.ts";

/** Ends of no-op steps that are kept, about. */
const KEEP = 100_000;

export interface PingRecord {
  readonly ping: string;
  readonly host: string;
  readonly atMs: number;
  readonly verdict: string;
}

export class PingStore {
  readonly #db: StoreDatabase;
  readonly #insert;
  readonly #prune;

  constructor(db: StoreDatabase) {
    this.#db = db;
    this.#insert = db.prepare(`insert into pings (ping, host, at, verdict) values (?, ?, ?, ?)`);
    this.#prune = db.prepare(`delete from pings where id <= (select max(id) from pings) - ${KEEP}`);
  }

  /** All of them in one transaction. */
  append(records: readonly PingRecord[]): void {
    this.#db.write(() => {
      for (const r of records) this.#insert.run(r.ping, r.host, r.atMs, r.verdict);
      this.#prune.run();
    });
  }

  count(ping: string): number {
    const count = this.#db.prepare(`select count(*) as n from pings where ping = ?`);
    return this.#db.read(() => count.get(ping) as { n: number }).n;
  }
}
