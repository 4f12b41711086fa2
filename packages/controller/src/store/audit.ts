import type { StoreDatabase } from "./database.ts";

/** Who did, or tried, what. */
export interface AuditRecord {
  readonly atMs: number;
  readonly who: string;
  readonly role: string;
  readonly method: string;
  readonly what: string;
  /** "ok" or the refusal. */
  readonly result: string;
}

/** The audit log. Nothing in it is ever changed or dropped. */
export class AuditStore {
  readonly #db: StoreDatabase;
  readonly #insert;
  readonly #latest;

  constructor(db: StoreDatabase) {
    this.#db = db;
    this.#insert = db.prepare(`insert into audit (at, who, role, method, what, result) values (?, ?, ?, ?, ?, ?)`);
    this.#latest = db.prepare(`select at as atMs, who, role, method, what, result from audit order by id desc limit ?`);
  }

  append(r: AuditRecord): void {
    this.#db.write(() => this.#insert.run(r.atMs, r.who, r.role, r.method, r.what, r.result));
  }

  /** Newest first. */
  latest(limit: number): AuditRecord[] {
    return this.#db.read(() => this.#latest.all(limit) as AuditRecord[]);
  }
}
