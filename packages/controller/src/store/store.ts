import { AuditStore } from "./audit.ts";
import { StoreDatabase } from "./database.ts";
import { HostStore } from "./hosts.ts";
import { MembershipStore } from "./membership.ts";
import { PingStore } from "./pings.ts";
import { PoolStore } from "./pools.ts";
import { RunStore } from "./runs.ts";
import { TokenStore } from "./tokens.ts";

/** Everything that the controller keeps, in one SQLite file. */
export interface ControllerStore {
  readonly runs: RunStore;
  readonly hosts: HostStore;
  readonly audit: AuditStore;
  readonly tokens: TokenStore;
  readonly pings: PingStore;
  readonly membership: MembershipStore;
  readonly pools: PoolStore;
  /** For tests and diagnosis. */
  readonly database: StoreDatabase;
  close(): void;
}

/** Opens (and makes, or migrates) the store in `file`. Errors: see `StoreDatabase`. */
export function openStore(file: string): ControllerStore {
  const database = new StoreDatabase(file);
  return {
    runs: new RunStore(database),
    hosts: new HostStore(database),
    audit: new AuditStore(database),
    tokens: new TokenStore(database),
    pings: new PingStore(database),
    membership: new MembershipStore(database),
    pools: new PoolStore(database),
    database,
    close: () => database.close(),
  };
}
