import type { StoreDatabase } from "./database.ts";

/** A pool file that was applied. */
export interface PoolRecord {
  /** Counts from 1. */
  readonly number: number;
  /** Wall clock, milliseconds since the epoch. */
  readonly atMs: number;
  readonly who: string;
  readonly file: string;
  readonly sha256: string;
  readonly text: string;
}

/** Every pool file that was ever applied, and who did it; the last one is in force. */
export class PoolStore {
  readonly #db: StoreDatabase;
  readonly #sql;

  constructor(db: StoreDatabase) {
    this.#db = db;
    const columns = "number, at as atMs, who, file, sha256";
    this.#sql = {
      latest: db.prepare(`select ${columns}, text from pools order by number desc limit 1`),
      history: db.prepare(`select ${columns} from pools order by number desc limit ?`),
      insert: db.prepare(`insert into pools (at, who, file, sha256, text) values (:atMs, :who, :file, :sha256, :text)`),
    };
  }

  latest(): PoolRecord | undefined {
    return this.#db.read(() => this.#sql.latest.get() as PoolRecord | undefined);
  }

  /** Newest first, without the texts. */
  history(limit: number): Omit<PoolRecord, "text">[] {
    return this.#db.read(() => this.#sql.history.all(limit) as Omit<PoolRecord, "text">[]);
  }

  /** Durable when it returns. Errors: `out-of-space`. */
  append(record: Omit<PoolRecord, "number">): PoolRecord {
    const number = this.#db.write(() => Number(this.#sql.insert.run(record).lastInsertRowid));
    return { number, ...record };
  }
}
