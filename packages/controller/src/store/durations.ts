import { type DurationKind, type DurationSample, KEPT_PER_HOST } from "../domain/durations.ts";
import type { StoreDatabase } from "./database.ts";

interface Row {
  readonly host: string;
  readonly cluster: string;
  readonly kind: DurationKind;
  readonly ms: number;
  readonly mib: number;
  readonly target: string;
}

/** How long things took, the newest per host and kind. */
export class DurationStore {
  readonly #db: StoreDatabase;
  readonly #sql;

  constructor(db: StoreDatabase) {
    this.#db = db;
    this.#sql = {
      add: db.prepare(
        `insert into durations (run, seq, host, cluster, kind, ms, mib, target)
         values (:run, :seq, :host, :cluster, :kind, :ms, :mib, :to)`,
      ),
      prune: db.prepare(
        `delete from durations where host = :host and kind = :kind and id <= (
           select id from durations where host = :host and kind = :kind order by id desc limit 1 offset ${KEPT_PER_HOST})`,
      ),
      all: db.prepare(`select host, cluster, kind, ms, mib, target from durations order by id`),
    };
  }

  /** What an event taught; in the transaction that writes the event, so that it counts once. */
  add(run: string, seq: number, { host, cluster, kind, ms, mib = 0, to = "" }: DurationSample): void {
    this.#db.write(() => {
      this.#sql.add.run({ run, seq, host, cluster, kind, ms: Math.round(ms), mib, to });
      this.#sql.prune.run({ host, kind });
    });
  }

  /** Oldest first. */
  all(): DurationSample[] {
    const rows = this.#db.read(() => this.#sql.all.all() as Row[]);
    return rows.map(({ host, cluster, kind, ms, mib, target: to }) =>
      to === "" ? { host, cluster, kind, ms } : { host, cluster, kind, ms, mib, to },
    );
  }
}
