import type { StoreDatabase } from "./database.ts";

export interface HookFact {
  readonly stage: string;
  readonly file: string;
  readonly sha256: string;
  readonly problem: string;
}

/** The hooks that an agent has, as it told last. */
export interface Inventory {
  readonly dir: string;
  readonly problem: string;
  readonly hooks: readonly HookFact[];
  /** Hash of all files of the directory; empty or absent when it is not known. */
  readonly hash?: string;
  /** The host takes pushed hooks. */
  readonly push?: boolean;
}

/** What an agent says of itself and its host. */
export interface HostFacts {
  readonly labels: Readonly<Record<string, string>>;
  readonly bootId: string;
  readonly agentVersion: string;
  readonly kernel: string;
  readonly nodeVersion: string;
  readonly executor: string;
  readonly hooks: Inventory;
}

/** An operator's cordon. */
export interface OperatorCordon {
  readonly who: string;
  readonly reason: string;
  readonly atMs: number;
}

/** What an agent said last of its platform: the wire's PlatformInventory, serialised, and when it was read (wall clock). */
export interface InventoryRecord {
  readonly host: string;
  readonly inventory: Uint8Array;
  readonly readMs: number;
}

export interface HostRecord {
  readonly name: string;
  readonly facts: HostFacts;
  /** Wall clock, milliseconds since the epoch. */
  readonly lastSeenMs: number;
  readonly cordon?: OperatorCordon;
}

interface Row {
  name: string;
  facts: string;
  last_seen_at: number;
  cordoned: number;
  cordon_reason: string;
  cordoned_by: string;
  cordoned_at: number;
}

/** Every host that ever connected. */
export class HostStore {
  readonly #db: StoreDatabase;
  readonly #sql;

  constructor(db: StoreDatabase) {
    this.#db = db;
    this.#sql = {
      all: db.prepare(`select * from hosts`),
      has: db.prepare(`select 1 from hosts where name = ?`),
      save: db.prepare(
        `insert into hosts (name, facts, first_seen_at, last_seen_at) values (:name, :facts, :seen, :seen)
         on conflict (name) do update set facts = excluded.facts, last_seen_at = excluded.last_seen_at`,
      ),
      cordon: db.prepare(
        `update hosts set cordoned = ?, cordon_reason = ?, cordoned_by = ?, cordoned_at = ? where name = ?`,
      ),
      inventories: db.prepare(
        `select name as host, inventory, inventory_read_at as readMs from hosts where inventory is not null`,
      ),
      saveInventory: db.prepare(
        `update hosts set inventory = :inventory, inventory_read_at = :readMs where name = :host`,
      ),
    };
  }

  all(): HostRecord[] {
    return this.#db.read(() => this.#sql.all.all() as Row[]).map(recordOf);
  }

  has(name: string): boolean {
    return this.#db.read(() => this.#sql.has.get(name)) !== undefined;
  }

  /** Keeps what was said last; in one transaction for all of them. The cordon is left alone. */
  save(records: Iterable<HostRecord>): void {
    this.#db.write(() => {
      for (const { name, facts, lastSeenMs } of records)
        this.#sql.save.run({ name, facts: JSON.stringify(facts), seen: lastSeenMs });
    });
  }

  inventories(): InventoryRecord[] {
    return this.#db.read(() => this.#sql.inventories.all() as InventoryRecord[]);
  }

  /** Of hosts that were saved before; in one transaction for all of them. */
  saveInventories(records: Iterable<InventoryRecord>): void {
    this.#db.write(() => {
      for (const { host, inventory, readMs } of records) this.#sql.saveInventory.run({ host, inventory, readMs });
    });
  }

  setCordon(name: string, cordon: OperatorCordon | undefined): void {
    this.#db.write(() =>
      this.#sql.cordon.run(cordon ? 1 : 0, cordon?.reason ?? "", cordon?.who ?? "", cordon?.atMs ?? 0, name),
    );
  }
}

function recordOf(row: Row): HostRecord {
  return {
    name: row.name,
    facts: JSON.parse(row.facts) as HostFacts,
    lastSeenMs: row.last_seen_at,
    ...(row.cordoned === 0
      ? {}
      : { cordon: { who: row.cordoned_by, reason: row.cordon_reason, atMs: row.cordoned_at } }),
  };
}
