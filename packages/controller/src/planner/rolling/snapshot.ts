/**
 * What the rolling planner knows of a pool, and what is asked of it. All sizes are whole MiB, all durations milliseconds.
 * A snapshot is plain data: the same snapshot and options give the same plan.
 */
export interface PoolSnapshot {
  readonly hosts: readonly PoolHost[];
  readonly instances: readonly PoolInstance[];
  readonly quorumGroups?: readonly QuorumGroup[];
}

/**
 * - `in-scope`: its turn comes in this plan.
 * - `done`: its turn is over; instances may stay on it for good.
 * - `out-of-scope`: has no turn; instances may stay on it for good.
 * - `out`: away right now, empty; back as a done host with the first wave's end.
 * - `unavailable`: no target, and counted as down in every gate.
 */
export type PoolHostState = "in-scope" | "done" | "out-of-scope" | "out" | "unavailable";

export interface PoolHost {
  readonly name: string;
  /** What instances may use in all; the host's own needs are off already. */
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly hugepagesMiB?: number;
  /** `cluster` bounds where an instance may go; hosts without it share one cluster. */
  readonly labels: Readonly<Record<string, string>>;
  /** Expected time from empty to back in service; for a host that is `out`, what is left of it. */
  readonly durationMs: number;
  /** 95th percentile of the same. Default: the expected time. */
  readonly p95Ms?: number;
  readonly state: PoolHostState;
}

/**
 * - `live`: may be moved while it runs.
 * - `stop`: cannot be moved; may be stopped for its host's turn if somebody consents.
 * - `pinned`: neither; its host cannot be taken out.
 */
export type Movability = "live" | "stop" | "pinned";

export interface PoolInstance {
  readonly name: string;
  readonly host: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly hugepagesMiB?: number;
  readonly movability: Movability;
  /** Labels that a target must carry with these values. */
  readonly requires?: Readonly<Record<string, string>>;
  /** Names of the hosts that can run it, where not every host can. */
  readonly allowed?: readonly string[];
  /** Names of groups of which no two members share a host. */
  readonly antiAffinity?: readonly string[];
  /** Name of a group whose members move together. */
  readonly affinity?: string;
  /** The other host that holds its replicated disk (DRBD): its only possible target. */
  readonly secondary?: string;
  /** Where it belongs, for `return`. */
  readonly home?: string;
  /** Expected duration of one migration. */
  readonly migrateMs: number;
}

export interface QuorumGroup {
  readonly name: string;
  /** Names of hosts or of instances; an instance counts as down while it is stopped for its host's turn. */
  readonly members: readonly string[];
  /** How many must stay up. */
  readonly minUp: number;
}

/** A number of hosts, or a share such as "25%", rounded down, but at least 1. */
export type Limit = number | `${number}%`;

/** Limits per value of a label (`cluster`, `rack`, ...). A host without the label has a value of its own. */
export interface DomainLimit {
  readonly label: string;
  /** Hosts of one value that may be out at the same time; a percentage is of all hosts of that value. */
  readonly maxHosts?: Limit;
  /** How many values may have hosts out at the same time. */
  readonly maxDomains?: number;
}

export interface RollingOptions {
  /** What counts first. `waves`: fewest waves, then fewest moves. `moves`: fewest moves (within `moveSlack`), then waves. */
  readonly mode: "waves" | "moves";
  /** In mode `moves`: extra moves accepted for larger first waves, as a share of the instances. Default 0.01. */
  readonly moveSlack?: number;
  /** Hosts out at the same time; a percentage is of the hosts in scope. Default: no limit but capacity. */
  readonly maxOut?: Limit;
  readonly domainLimits?: readonly DomainLimit[];
  /** Goes first and alone, and is watched for `bakeMs` before anything else. */
  readonly canary?: { readonly host: string; readonly bakeMs: number };
  /** Names of hosts in the order in which they must go. Hosts in scope that it leaves out follow in any order. */
  readonly order?: readonly string[];
  /** Hosts that keep their instances and have no turn. */
  readonly exclude?: readonly string[];
  /** Instances with a home: leave them, bring back those that fit at the end, or bring back every one. Default `none`. */
  readonly return?: "none" | "preferred" | "exact";
  /**
   * After the last wave, move instances until no host is fuller than its cluster's mean by more than this share of its
   * memory (0 to 1), as far as that is possible. Costs moves. Default: leave them where the last wave put them.
   */
  readonly balance?: number;
  /** Migrations at once from one host and onto one host. Default 1. */
  readonly migrationsPerSource?: number;
  readonly migrationsPerTarget?: number;
  /** Virtual CPUs of instances per CPU of a host. Default 4. */
  readonly cpuOvercommit?: number;
  /** Memory kept free on every host. Default 0. */
  readonly reserveMiB?: number;
  /** Instances whose stop somebody has agreed to already; others are named as consents needed. */
  readonly consented?: readonly string[];
  /**
   * May these hosts go out while those are out? Asked beside the limits above. Must stay true when fewer hosts are out
   * (a plan relies on it), and must answer alike for the same arguments.
   */
  readonly mayGoOut?: (hosts: readonly string[], out: readonly string[]) => boolean;
}

/** How many a limit means out of `total`. */
export function limitOf(limit: Limit | undefined, total: number): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  if (typeof limit === "number") return limit;
  return Math.max(1, Math.floor((Number.parseFloat(limit) * total) / 100));
}
