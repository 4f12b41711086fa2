/** What an operator has laid down about a pool in its pool file; every field has its default, so an empty file is one. */
export interface PoolConfig {
  readonly capacity: {
    /** Virtual processors per logical processor that a host may carry. Default 4. */
    readonly cpuOvercommit: number;
    /** Instances' memory per host memory. Default 1: none is promised twice. */
    readonly memoryOvercommit: number;
    /** Hosts of a cluster whose loss the rest must still be able to take in while a run is on. Default 0. */
    readonly spareHosts: number;
  };
  readonly migration: MigrationLimits;
  /** First match by name wins; the instance's own metadata counts before. */
  readonly instances: readonly InstanceRule[];
}

export interface MigrationLimits {
  /** Migrations that leave one host at the same time. Default 2. */
  readonly perHost: number;
  /** Migrations that arrive at one host at the same time. Default 2. */
  readonly perTarget: number;
  /** Migrations in a cluster at the same time; stands for the network that they share. Default 8. */
  readonly perCluster: number;
  /** MiB/s for each; 0: no limit. Default 0. */
  readonly bandwidthMib: number;
  /** Longest pause of a guest, in milliseconds; 0: the platform's default. Default 0. */
  readonly downtimeMs: number;
  readonly autoConverge: boolean;
  readonly postCopy: boolean;
  /** Without progress for this long a migration is aborted, in milliseconds. Default 60,000. */
  readonly stuckMs: number;
  /** A migration may take this long in any case, in milliseconds. Default 1,800,000. */
  readonly timeoutMs: number;
  /** Targets tried for one instance before its host's drain has failed. Default 3. */
  readonly attempts: number;
}

/** What a drain does with an instance. Stopping is never a fallback: it is done to those only that say so, or for which an operator consented. */
export const policies = {
  migrate: "it is live-migrated",
  "migrate-with-storage": "it is live-migrated and its local disks are copied along",
  "shutdown-restart": "it is shut down right before its host's turn and started right after it",
  "managed-save": "its memory is saved right before its host's turn and it goes on right after it",
  failover: "its platform stops it here and starts it elsewhere when its host goes out",
  leave: "it stays where it is, running or not; the host counts as empty without it",
} as const satisfies Record<string, string>;
export type Policy = keyof typeof policies;

export interface InstanceRule {
  /** Name, with `*` for any characters. */
  readonly match: string;
  readonly policy?: Policy;
  /** For the balance of hosts; default: its memory in MiB. */
  readonly weight?: number;
  /** Lower tiers are moved and stopped last, and started first. Default 0. */
  readonly tier?: number;
  /** Instances of one group run on the same host. */
  readonly group?: string;
  /** No two instances of one such group run on the same host. */
  readonly apart?: string;
  /** Host that it returns to with `--return preferred`. */
  readonly home?: string;
  /** Labels that its host must carry: `name=value`, or `name` for any value. */
  readonly requires?: readonly string[];
}

export const defaultPool: PoolConfig = {
  capacity: { cpuOvercommit: 4, memoryOvercommit: 1, spareHosts: 0 },
  migration: {
    perHost: 2,
    perTarget: 2,
    perCluster: 8,
    bandwidthMib: 0,
    downtimeMs: 0,
    autoConverge: false,
    postCopy: false,
    stuckMs: 60_000,
    timeoutMs: 1_800_000,
    attempts: 3,
  },
  instances: [],
};
