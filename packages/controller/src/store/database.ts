import { closeSync, existsSync, openSync } from "node:fs";
import { SlipwayError } from "@slipway/shared";
import Database from "better-sqlite3";
import { migrations } from "./migrations.ts";

/** How long a statement waits for the other process that may write here (`slipway-controller token`), in milliseconds. */
const BUSY_MS = 5_000;

/** An open database whose errors name the file and the way out. */
export class StoreDatabase {
  readonly file: string;
  readonly #db: Database.Database;
  readonly #inTransaction: (change: () => unknown) => unknown;

  /**
   * Opens (and makes, or migrates) the database in `file`.
   * Errors: `refused` when a newer version wrote it, `out-of-space`, `internal` when it cannot be read.
   */
  constructor(file: string) {
    this.file = file;
    try {
      // Made with its final mode: SQLite gives the same one to the files beside it.
      if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
      this.#db = new Database(file, { timeout: BUSY_MS });
    } catch (thrown) {
      throw translate(thrown, file);
    }
    try {
      this.#db.pragma("journal_mode = WAL");
      // Explicitly: reopening a WAL file otherwise gives NORMAL, which may lose the last commits in a power cut.
      this.#db.pragma("synchronous = FULL");
      this.#db.pragma("foreign_keys = ON");
      this.#db.pragma("journal_size_limit = 16777216");
      migrate(this.#db, file);
    } catch (thrown) {
      this.#db.close();
      throw translate(thrown, file);
    }
    this.#inTransaction = this.#db.transaction((change: () => unknown) => change()).immediate;
  }

  prepare(sql: string): Database.Statement<unknown[]> {
    return this.#db.prepare(sql);
  }

  pragma(text: string): unknown {
    return this.#db.pragma(text, { simple: true });
  }

  /** Runs `change` in one transaction: when this returns, it is on the disk; when it throws, nothing is. */
  write<T>(change: () => T): T {
    return this.read(() => (this.#db.inTransaction ? change() : (this.#inTransaction(change) as T)));
  }

  read<T>(action: () => T): T {
    try {
      return action();
    } catch (thrown) {
      throw translate(thrown, this.file);
    }
  }

  close(): void {
    this.#db.close();
  }
}

function migrate(db: Database.Database, file: string): void {
  db.transaction(() => {
    const version = db.pragma("user_version", { simple: true }) as number;
    if (version > migrations.length)
      throw new SlipwayError("refused", `${file}: written by a newer controller (version ${version})`, {
        fix: `this one reads up to version ${migrations.length}; upgrade it`,
      });
    for (const change of migrations.slice(version)) db.exec(change);
    if (version < migrations.length) db.pragma(`user_version = ${migrations.length}`);
  }).immediate();
}

function translate(thrown: unknown, file: string): SlipwayError {
  if (thrown instanceof SlipwayError) return thrown;
  const code = String((thrown as { code?: unknown }).code ?? "");
  const error = SlipwayError.from(thrown);
  // The index beside the log could not grow: the same full disk, under another name.
  if (error.code === "out-of-space" || code === "SQLITE_IOERR_SHMSIZE")
    return new SlipwayError("out-of-space", `${file}: the disk is full`, { cause: thrown, fix: "make room" });
  if (code === "SQLITE_NOTADB" || code.startsWith("SQLITE_CORRUPT"))
    return new SlipwayError("internal", `${file}: is damaged or no database of Slipway (${error.message})`, {
      cause: thrown,
      fix: "put a backup in its place",
    });
  return new SlipwayError("internal", `${file}: ${error.message}`, { cause: thrown });
}
