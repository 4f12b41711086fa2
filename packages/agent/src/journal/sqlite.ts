import { closeSync, existsSync, openSync } from "node:fs";
import { keyText, SlipwayError, type StepKey } from "@slipway/shared";
import Database from "better-sqlite3";
import { keyOf } from "../steps/key.ts";
import type { CordonMark, Journal } from "../steps/ports.ts";
import type { OutboxEntry, StepResult, StepRow, StepSpec } from "../steps/types.ts";
import { migrations } from "./migrations.ts";

export interface SqliteJournal extends Journal {
  close(): void;
  /** What the connection really uses; `synchronous` 2 is FULL. */
  settings(): { journalMode: string; synchronous: number };
  /** Bounds the file's size, as a full disk would; for tests. */
  limitPages(pages: number): void;
}

interface StepRecord {
  id: number;
  key: string;
  state: "accepted" | "ended";
  boot_id: string;
  accepted_at_ms: number;
  spec: string;
  hook: string | null;
  cancel_reason: string | null;
  result: string | null;
}

/**
 * Opens (and makes, or migrates) the journal in `file`. The opener holds it exclusively until `close` or the end of its process.
 * Errors: `conflict` when another process has it, `refused` when a newer version wrote it, `out-of-space`.
 */
export function openSqliteJournal(file: string): SqliteJournal {
  // Made with its final mode: SQLite gives the same one to the files beside it.
  if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
  const db = new Database(file, { timeout: 0 });
  try {
    // One agent per state directory: the lock is held as long as the process lives, and no shared-memory file is mapped,
    // which a full disk could turn into SIGBUS.
    db.pragma("locking_mode = EXCLUSIVE");
    db.pragma("journal_mode = WAL");
    // Explicitly: reopening a WAL file otherwise gives NORMAL, which may lose the last commits in a power cut.
    db.pragma("synchronous = FULL");
    db.pragma("foreign_keys = ON");
    db.pragma("journal_size_limit = 4194304");
    migrate(db, file);
  } catch (thrown) {
    db.close();
    throw translate(thrown, file);
  }
  return new OpenJournal(db, file);
}

function migrate(db: Database.Database, file: string): void {
  db.transaction(() => {
    const version = db.pragma("user_version", { simple: true }) as number;
    if (version > migrations.length)
      throw new SlipwayError("refused", `${file}: written by a newer agent (version ${version})`, {
        fix: `this agent reads up to version ${migrations.length}; upgrade it`,
      });
    for (const change of migrations.slice(version)) db.exec(change);
    if (version < migrations.length) db.pragma(`user_version = ${migrations.length}`);
  }).exclusive();
}

function translate(thrown: unknown, file: string): SlipwayError {
  const code = (thrown as { code?: unknown }).code;
  if (code === "SQLITE_BUSY" || code === "SQLITE_LOCKED")
    return new SlipwayError("conflict", `${file}: in use by another agent process`, {
      cause: thrown,
      fix: "stop that one, or give this one another slipway.state.dir",
    });
  const error = SlipwayError.from(thrown);
  if (error.code === "out-of-space")
    return new SlipwayError("out-of-space", `${file}: the disk is full`, { cause: thrown, fix: "make room" });
  if (thrown instanceof SlipwayError) return thrown;
  return new SlipwayError("internal", `${file}: ${error.message}`, { cause: thrown });
}

class OpenJournal implements SqliteJournal {
  readonly #db: Database.Database;
  readonly #file: string;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #inTransaction: (change: () => unknown) => unknown;

  constructor(db: Database.Database, file: string) {
    this.#db = db;
    this.#file = file;
    this.#sql = prepare(db);
    this.#inTransaction = db.transaction((change: () => unknown) => change()).immediate;
  }

  accept(row: StepRow) {
    return this.#transaction(() => {
      const id = keyText(row.key);
      const added = this.#sql.insertStep.run(
        id,
        row.state,
        row.bootId,
        row.acceptedAtMs,
        text(row.spec),
        row.hook === undefined ? null : text(row.hook),
        row.result === undefined ? null : text(row.result),
      );
      if (added.changes === 1) {
        this.#sql.insertOutbox.run(added.lastInsertRowid, row.state);
        return { row, isNew: true };
      }
      const stored = this.get(row.key);
      if (stored === undefined) throw new Error(`${id}: vanished`);
      return { row: stored, isNew: false };
    });
  }

  end(key: StepKey, result: StepResult): void {
    this.#transaction(() => {
      const ended = this.#sql.endStep.get(text(result), keyText(key)) as { id: number } | undefined;
      if (ended !== undefined) this.#sql.insertOutbox.run(ended.id, "ended");
    });
  }

  requestCancel(key: StepKey, reason: string): void {
    this.#transaction(() => this.#sql.cancelStep.run(reason, keyText(key)));
  }

  countReboot(key: StepKey): number {
    return this.#transaction(() => {
      const row = this.#sql.countReboot.get(keyText(key)) as { reboots_asked: number } | undefined;
      return row?.reboots_asked ?? 0;
    });
  }

  get(key: StepKey): StepRow | undefined {
    const record = this.#read(() => this.#sql.getStep.get(keyText(key)) as StepRecord | undefined);
    return record === undefined ? undefined : rowOf(record);
  }

  open(): readonly StepRow[] {
    return this.#read(() => this.#sql.openSteps.all() as StepRecord[]).map(rowOf);
  }

  outbox(afterId: number, limit: number): readonly OutboxEntry[] {
    type Entry = StepRecord & { outbox_id: number; kind: OutboxEntry["kind"] };
    const entries = this.#read(() => this.#sql.outbox.all(afterId, limit) as Entry[]);
    return entries.map((entry) => ({ id: entry.outbox_id, kind: entry.kind, row: rowOf(entry) }));
  }

  ack(ids: readonly number[]): readonly StepKey[] {
    return this.#transaction(() => {
      const done: StepKey[] = [];
      for (const id of ids) {
        const dropped = this.#sql.deleteOutbox.get(id) as { step: number; kind: string } | undefined;
        if (dropped?.kind !== "ended") continue;
        const step = this.#sql.keyOfStep.get(dropped.step) as { key: string } | undefined;
        if (step !== undefined) done.push(keyOf(step.key));
      }
      return done;
    });
  }

  cordon(): CordonMark | undefined {
    return this.#read(() => this.#sql.cordon.get() as CordonMark | undefined);
  }

  setCordon(mark: CordonMark | undefined): void {
    this.#transaction(() => {
      this.#sql.uncordon.run();
      if (mark !== undefined) this.#sql.setCordon.run(mark.holder, mark.reason);
    });
  }

  generation(uuid: string): number {
    const row = this.#read(() => this.#sql.generation.get(uuid) as { generation: number } | undefined);
    return row?.generation ?? 0;
  }

  raiseGeneration(uuid: string, generation: number): void {
    this.#transaction(() => this.#sql.raiseGeneration.run(uuid, generation));
  }

  batch<T>(change: () => T, isForgettable = false): T {
    if (this.#db.inTransaction) throw new Error("journal: transactions do not nest");
    if (!isForgettable) return this.#transaction(change);
    // Written, but not waited for. The next FULL commit syncs the whole log, so nothing later can survive without it.
    this.#db.pragma("synchronous = NORMAL");
    try {
      return this.#transaction(change);
    } finally {
      this.#db.pragma("synchronous = FULL");
    }
  }

  prune(keep: number): number {
    return this.#transaction(() => this.#sql.prune.run(keep).changes);
  }

  close(): void {
    this.#db.close();
  }

  settings() {
    return {
      journalMode: this.#db.pragma("journal_mode", { simple: true }) as string,
      synchronous: this.#db.pragma("synchronous", { simple: true }) as number,
    };
  }

  limitPages(pages: number): void {
    this.#db.pragma(`max_page_count = ${Math.trunc(pages)}`);
  }

  #transaction<T>(change: () => T): T {
    if (this.#db.inTransaction) return change();
    return this.#read(() => this.#inTransaction(change) as T);
  }

  #read<T>(action: () => T): T {
    try {
      return action();
    } catch (thrown) {
      throw translate(thrown, this.#file);
    }
  }
}

function prepare(db: Database.Database) {
  return {
    insertStep: db.prepare(
      `insert into step (key, state, boot_id, accepted_at_ms, spec, hook, result) values (?, ?, ?, ?, ?, ?, ?)
       on conflict (key) do nothing`,
    ),
    endStep: db.prepare(
      `update step set state = 'ended', result = ? where key = ? and state = 'accepted' returning id`,
    ),
    cancelStep: db.prepare(
      `update step set cancel_reason = ? where key = ? and state = 'accepted' and cancel_reason is null`,
    ),
    countReboot: db.prepare(
      "update step set reboots_asked = reboots_asked + 1 where key = ? and state = 'accepted' returning reboots_asked",
    ),
    getStep: db.prepare("select * from step where key = ?"),
    openSteps: db.prepare("select * from step where state = 'accepted' order by id"),
    keyOfStep: db.prepare("select key from step where id = ?"),
    insertOutbox: db.prepare("insert into outbox (step, kind) values (?, ?)"),
    outbox: db.prepare(
      `select o.id as outbox_id, o.kind, s.* from outbox o join step s on s.id = o.step where o.id > ? order by o.id limit ?`,
    ),
    deleteOutbox: db.prepare("delete from outbox where id = ? returning step, kind"),
    cordon: db.prepare("select holder, reason from cordon"),
    uncordon: db.prepare("delete from cordon"),
    setCordon: db.prepare("insert into cordon (id, holder, reason) values (1, ?, ?)"),
    generation: db.prepare("select generation from instance where uuid = ?"),
    raiseGeneration: db.prepare(
      `insert into instance (uuid, generation) values (?, ?)
       on conflict (uuid) do update set generation = excluded.generation where excluded.generation > generation`,
    ),
    prune: db.prepare(
      `delete from step where id in (
         select id from step where state = 'ended' and not exists (select 1 from outbox o where o.step = step.id)
         order by id desc limit -1 offset ?)`,
    ),
  };
}

/** The wire's 64-bit numbers are kept as texts, which `specOf` and `resultOf` turn back. */
function text(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? String(part) : part));
}

function specOf(stored: string): StepSpec {
  const spec = JSON.parse(stored) as StepSpec;
  if (spec.kind !== "instance" || spec.instance === undefined) return spec;
  return { ...spec, instance: { ...spec.instance, startedAtMs: BigInt(spec.instance.startedAtMs) } };
}

function resultOf(stored: string): StepResult {
  const result = JSON.parse(stored) as StepResult;
  if (result.instance === undefined) return result;
  return { ...result, instance: { ...result.instance, bytes: BigInt(result.instance.bytes) } };
}

function rowOf(record: StepRecord): StepRow {
  return {
    key: keyOf(record.key),
    spec: specOf(record.spec),
    state: record.state,
    bootId: record.boot_id,
    acceptedAtMs: record.accepted_at_ms,
    ...(record.hook === null ? {} : { hook: JSON.parse(record.hook) as { file: string; sha256: string } }),
    ...(record.cancel_reason === null ? {} : { cancelReason: record.cancel_reason }),
    ...(record.result === null ? {} : { result: resultOf(record.result) }),
  };
}
