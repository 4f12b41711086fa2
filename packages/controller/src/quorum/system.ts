import type { SystemHealth } from "@slipway/shared";

/** A replicated system, or a group laid down in the pool file, as one picture that the gate can ask. */
export interface System {
  /** "etcd main", "gluster gv0", "group dns". */
  readonly name: string;
  /** healthy: nothing is missing and nothing is being repaired. unknown counts as a no. */
  readonly state: "healthy" | "degraded" | "unknown";
  /** Why it is not healthy, one sentence each. */
  readonly reasons: readonly string[];
  readonly sets: readonly MemberSet[];
  /** What the system itself answered about taking out exactly these hosts; absent when it was not asked or does not answer such questions. */
  readonly own?: {
    readonly going: readonly string[];
    readonly verdict: "ok" | "deny" | "unknown";
    readonly reasons: readonly string[];
  };
}

/** Members of which the votes of those that are up must stay at or above `needed`. */
export interface MemberSet {
  readonly name: string;
  readonly needed: number;
  readonly members: readonly Member[];
  /** At least one of these members must stay up as well; empty: no such rule. */
  readonly oneOf: readonly string[];
  /** What of it is still being repaired while its members are up; empty: nothing. No whole member may go meanwhile. */
  readonly repairing: string;
}

export interface Member {
  readonly name: string;
  /** Host of the pool that it runs on; undefined for one that runs elsewhere and stays up whatever the pool does. */
  readonly host?: string;
  /** It runs on a host, and nobody can tell on which: it may be any. */
  readonly isUnplaced?: true;
  readonly votes: number;
  readonly state: "up" | "down" | "unknown";
  readonly roles: readonly string[];
  readonly note: string;
}

/** What one host saw of a system. */
export interface View {
  readonly from: string;
  readonly health: SystemHealth;
}

/** Which hosts of the pool a system's members run on. */
export interface Whereabouts {
  /** The host of the pool that a member's host name or address means; undefined when it means none. */
  hostOf(address: string): string | undefined;
  /** Addresses of members that run outside of the pool, as the pool file names them. */
  readonly outside: readonly string[];
}
