import { SlipwayError } from "@slipway/shared";
import type { LogEntry, OpenEntry, Store } from "../coordinator/ports.ts";
import type { DurationSample } from "../domain/durations.ts";
import type { LedgerKind, Recorded, RunEvent } from "../domain/events.ts";
import type { StoreDatabase } from "./database.ts";
import { DurationStore } from "./durations.ts";

/** A run as lists show it. */
export interface RunRow {
  readonly id: string;
  readonly state: string;
  readonly outcome: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly startedBy: string;
}

/** A line of the ledger; `closedAt` is 0 while it stands. */
export interface LedgerRow {
  readonly id: string;
  readonly run: string;
  readonly host: string;
  readonly change: string;
  readonly undo: string;
  readonly openedAt: number;
  readonly closedAt: number;
  readonly note: string;
  readonly kind: LedgerKind;
  /** Of an instance: its uuid and name; else empty. */
  readonly subject: string;
  readonly name: string;
}

interface EventRow {
  seq: number;
  t: number;
  at: number;
  json: string;
}

/** Logs of runs, with the projections that lists and restarts need, in SQLite. */
export class RunStore implements Store {
  readonly #db: StoreDatabase;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #durations: DurationStore;

  constructor(db: StoreDatabase) {
    this.#db = db;
    this.#durations = new DurationStore(db);
    this.#sql = prepare(db);
  }

  append(entries: readonly LogEntry[]): void {
    this.#db.write(() => {
      for (const { run, recorded, sample } of entries) {
        const { seq, t, at, event } = recorded;
        const added = this.#sql.insertEvent.run({ run, seq, t, at, type: event.type, json: JSON.stringify(event) });
        if (added.changes !== 1)
          throw new SlipwayError("internal", `run ${run}: event ${seq} does not follow the last one in the log`);
        this.#project(run, at, event);
        if (sample) this.#durations.add(run, seq, sample);
      }
    });
  }

  #project(run: string, at: number, event: RunEvent): void {
    switch (event.type) {
      case "run-started":
        this.#sql.insertRun.run(run, at, event.spec.startedBy, event.spec.requestId);
        return;
      case "run-state":
        this.#sql.setState.run(event.to, run);
        return;
      case "run-ended":
        this.#sql.endRun.run(event.outcome, at, run);
        return;
      case "run-reopened":
        this.#sql.reopenRun.run(run);
        return;
      case "ledger-opened":
        this.#sql.openEntry.run({
          ...{ id: event.id, run, host: event.host, change: event.change, undo: event.undo, at },
          ...{ kind: event.kind ?? "cordon", subject: event.subject ?? "", name: event.name ?? "" },
        });
        return;
      case "ledger-closed":
        this.#sql.closeEntry.run(at, event.note, event.id);
        return;
      default:
    }
  }

  activeRuns(): string[] {
    return this.#db.read(() => this.#sql.active.all() as { id: string }[]).map((r) => r.id);
  }

  log(run: string): Recorded[] {
    return this.logAfter(run, 0);
  }

  /** Events with a larger sequence number, in order. */
  logAfter(run: string, seq: number): Recorded[] {
    return this.#db.read(() => this.#sql.log.all(run, seq) as EventRow[]).map(recordedOf);
  }

  /** The log without what hooks printed: enough for every state and list, and small. */
  logWithoutOutput(run: string): Recorded[] {
    return this.#db.read(() => this.#sql.leanLog.all(run) as EventRow[]).map(recordedOf);
  }

  openEntries(): OpenEntry[] {
    return this.ledger(false).map(({ id, run, host }) => ({ id, run, host }));
  }

  /** The ledger in order of time; with `all`, also what was undone. */
  ledger(all: boolean): LedgerRow[] {
    return this.#db.read(() => (all ? this.#sql.ledger : this.#sql.openLedger).all() as LedgerRow[]);
  }

  durations(): DurationSample[] {
    return this.#durations.all();
  }

  runOfRequest(requestId: string): string | undefined {
    return this.#db.read(() => this.#sql.ofRequest.get(requestId) as { id: string } | undefined)?.id;
  }

  /** Newest first. */
  recent(limit: number): RunRow[] {
    return this.#db.read(() => this.#sql.recent.all(limit) as RunRow[]);
  }

  ids(): string[] {
    return this.#db.read(() => this.#sql.ids.all() as { id: string }[]).map((r) => r.id);
  }

  has(run: string): boolean {
    return this.#db.read(() => this.#sql.has.get(run)) !== undefined;
  }

  engineClock(): number {
    return this.#db.read(() => this.#sql.clock.get() as { ms: number }).ms;
  }

  saveEngineClock(ms: number): void {
    this.#db.write(() => this.#sql.saveClock.run(ms));
  }

  /** Engine time of the latest event; 0 when there is none. */
  lastEventT(): number {
    return this.#db.read(() => this.#sql.lastT.get() as { t: number }).t;
  }
}

function recordedOf(row: EventRow): Recorded {
  return { seq: row.seq, t: row.t, at: row.at, event: JSON.parse(row.json) as RunEvent };
}

const ledgerColumns = `id, run, host, change, undo, opened_at as openedAt, closed_at as closedAt, note, kind, subject, name`;

function prepare(db: StoreDatabase) {
  return {
    // Nothing is inserted when it is not the next one, which the caller takes for the bug that it is.
    insertEvent: db.prepare(
      `insert into events (run, seq, t, at, type, json) select :run, :seq, :t, :at, :type, :json
       where :seq = 1 + (select coalesce(max(seq), 0) from events where run = :run)`,
    ),
    insertRun: db.prepare(
      `insert into runs (id, state, started_at, started_by, request_id) values (?, 'preflight', ?, ?, ?)`,
    ),
    setState: db.prepare(`update runs set state = ? where id = ?`),
    endRun: db.prepare(`update runs set state = 'ended', outcome = ?, ended_at = ? where id = ?`),
    reopenRun: db.prepare(`update runs set state = 'rolling', outcome = '', ended_at = 0 where id = ?`),
    openEntry: db.prepare(
      `insert into ledger (id, run, host, change, undo, opened_at, kind, subject, name)
       values (:id, :run, :host, :change, :undo, :at, :kind, :subject, :name)`,
    ),
    closeEntry: db.prepare(`update ledger set closed_at = ?, note = ? where id = ?`),
    active: db.prepare(`select id from runs where state <> 'ended' order by started_at, rowid`),
    log: db.prepare(`select seq, t, at, json from events where run = ? and seq > ? order by seq`),
    leanLog: db.prepare(
      `select seq, t, at, json_remove(json, '$.result.output') as json from events where run = ? order by seq`,
    ),
    ledger: db.prepare(`select ${ledgerColumns} from ledger order by opened_at, rowid`),
    openLedger: db.prepare(`select ${ledgerColumns} from ledger where closed_at = 0 order by opened_at, rowid`),
    ofRequest: db.prepare(`select id from runs where request_id = ?`),
    recent: db.prepare(
      `select id, state, outcome, started_at as startedAt, ended_at as endedAt, started_by as startedBy
       from runs order by started_at desc, rowid desc limit ?`,
    ),
    ids: db.prepare(`select id from runs order by rowid`),
    has: db.prepare(`select 1 from runs where id = ?`),
    clock: db.prepare(`select coalesce(max(engine_ms), 0) as ms from clock`),
    saveClock: db.prepare(
      `insert into clock (id, engine_ms) values (1, ?) on conflict (id) do update set engine_ms = excluded.engine_ms`,
    ),
    lastT: db.prepare(
      `select coalesce(max(t), 0) as t from (select max(t) as t from events where run in
         (select id from runs where state <> 'ended')
       union all select t from (select t from events order by rowid desc limit 1))`,
    ),
  };
}
