import type {
  Instance,
  InstanceLook,
  InstanceVerb,
  Inventory,
  MoveOptions,
  ServiceVerb,
  Stage,
  StepKey,
  SystemHealth,
  Verdict,
} from "@slipway/shared";

/** What a step does. Nothing here is a command: a hook is named by its stage and found in the host's own directory. */
export type StepSpec =
  | {
      readonly kind: "hook";
      readonly stage: Stage;
      /** The payload's words, handed over literally. */
      readonly args: readonly string[];
      /** Time the hook may take, in milliseconds of the monotonic clock. */
      readonly timeoutMs: number;
      /** Time between TERM and KILL, in milliseconds. */
      readonly graceMs: number;
    }
  | { readonly kind: "inspect" }
  | { readonly kind: "reboot"; readonly timeoutMs: number }
  | { readonly kind: "noop" }
  | InstanceSpec
  | ProbeSpec
  | ServiceSpec;

/** One thing done to one instance; see InstanceStep of the wire. */
export interface InstanceSpec {
  readonly kind: "instance";
  readonly verb: InstanceVerb;
  readonly uuid: string;
  readonly name: string;
  /** What the controller takes this life of the instance to be; below what the journal knows, the step is refused. */
  readonly generation: number;
  /** Bound on the whole step, in milliseconds of the monotonic clock. */
  readonly timeoutMs: number;
  /** For move. */
  readonly move?: MoveOptions;
  /** For admit: where it comes from, and what it needs. */
  readonly from?: string;
  readonly instance?: Instance;
}

/** Reads the health of one system; see ProbeStep of the wire. */
export interface ProbeSpec {
  readonly kind: "probe";
  readonly system: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly going: readonly string[];
}

/** Stops, starts or checks one service of the host; see ServiceStep of the wire. */
export interface ServiceSpec {
  readonly kind: "service";
  readonly verb: ServiceVerb;
  /** Built-in kind: systemd, gluster, etcd ... */
  readonly service: string;
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** What a hook asked for through the file named by SLIPWAY_OUTPUT. */
export interface HookRequests {
  readonly rebootRequired: boolean;
  readonly rerunAfterReboot: boolean;
  /** Reason to skip this host; empty when the hook does not ask for it. */
  readonly skip: string;
  /** Last `message=` line; empty when there is none. */
  readonly message: string;
}

/** What the host itself says when a Maintenance hook or a reboot has ended. */
export interface HostFacts {
  /** Why the distribution wants a reboot, in words; empty when it does not say so. */
  readonly rebootWanted: string;
  /** Why that could not be told, in words; empty when it could. */
  readonly rebootUnknown: string;
  /** Release of the running kernel. */
  readonly kernelRunning: string;
  /** Newest installed kernel of the same flavour if that is another one; empty when the newest runs, or cannot be told. */
  readonly kernelNewest: string;
  /** Milliseconds since boot. */
  readonly uptimeMs: number;
}

export interface Hook {
  readonly stage: Stage;
  readonly file: string;
  /** Lower-case hex SHA-256 of the content; empty when it cannot be read. */
  readonly sha256: string;
  /** Why the hook would be refused; empty when it is good. */
  readonly problem: string;
}

export interface HookInventory {
  readonly dir: string;
  /** Why the directory as a whole cannot be used; empty when it can. */
  readonly problem: string;
  readonly hooks: readonly Hook[];
  /** Hash of all files of the directory; empty when they cannot be read, or are more than can be pushed. */
  readonly hash?: string;
  /** The directory may be replaced by a pushed one. */
  readonly push?: boolean;
}

/** A file of a pushed hooks directory. */
export interface HookFile {
  readonly name: string;
  readonly content: Uint8Array;
  readonly executable: boolean;
}

/** How a step ended. The first result of a key is the only one there ever is. */
export interface StepResult {
  readonly verdict: Verdict;
  readonly exitCode?: number;
  /** Name such as SIGKILL; empty when none. */
  readonly signal: string;
  /** One sentence for the operator; empty when the verdict says it all. */
  readonly reason: string;
  /** Wall clock, for people only. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Monotonic. */
  readonly durationMs: number;
  readonly output: string;
  /** Bytes written by the hook, before any cut. */
  readonly outputBytes: number;
  readonly requests: HookRequests;
  readonly hooks?: HookInventory;
  readonly bootIdBefore: string;
  readonly bootIdAfter: string;
  readonly hookFile: string;
  readonly hookSha256: string;
  readonly host?: HostFacts;
  /** Filled by instance steps: what the platform says of the instance at their end. */
  readonly instance?: InstanceLook;
  /** Filled by probes. */
  readonly health?: SystemHealth;
  /** The hook asked for a reboot, and since it did so the host has booted anew: there is none left to be made. */
  readonly rebootedAsAsked?: boolean;
}

/**
 * A journal row. `accepted` means: durable; it will run, or runs, or ran and its result is not journalled yet.
 *
 *   (unknown) --StartStep--> accepted --result--> ended
 */
export interface StepRow {
  readonly key: StepKey;
  readonly spec: StepSpec;
  readonly state: "accepted" | "ended";
  /** Boot id at acceptance. */
  readonly bootId: string;
  readonly acceptedAtMs: number;
  /** The hook as it was at acceptance: found once, then pinned. */
  readonly hook?: { readonly file: string; readonly sha256: string };
  readonly cancelReason?: string;
  readonly result?: StepResult;
}

/** Something the controller has to be told until it acknowledges it. */
export interface OutboxEntry {
  /** Rises, and is never used twice. */
  readonly id: number;
  readonly kind: "accepted" | "ended";
  readonly row: StepRow;
}

/** A step report on its way to the controller. */
export interface Report {
  /** 0 when it answers a question and needs no acknowledgement. */
  readonly outboxId: number;
  readonly key: StepKey;
  readonly state: "unknown" | "accepted" | "ended";
  /** Boot id at acceptance; empty when the key is unknown. */
  readonly bootId: string;
  readonly result?: StepResult;
}

/** What the controller says. */
export type Incoming =
  | {
      readonly type: "welcome";
      readonly controller: string;
      readonly controllerVersion: string;
      readonly heartbeatIntervalMs: number;
    }
  | { readonly type: "start"; readonly key: StepKey; readonly spec: StepSpec }
  | { readonly type: "cancel"; readonly key: StepKey; readonly reason: string }
  | { readonly type: "ack"; readonly ids: readonly number[] }
  | { readonly type: "query"; readonly key: StepKey }
  | { readonly type: "refresh-hooks"; readonly nonce: bigint }
  | { readonly type: "set-cordon"; readonly holder: string; readonly reason: string }
  | { readonly type: "push-hooks"; readonly nonce: bigint; readonly hash: string; readonly files: readonly HookFile[] };

export interface Hello {
  readonly type: "hello";
  readonly protocol: number;
  readonly host: string;
  readonly agentVersion: string;
  readonly bootId: string;
  /** Random id of this agent process. */
  readonly incarnation: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly hooks: HookInventory;
  readonly kernel: string;
  readonly nodeVersion: string;
  readonly uptimeMs: number;
  readonly executor: string;
}

/** What the agent says. */
export type Outgoing =
  | Hello
  | {
      readonly type: "heartbeat";
      readonly seq: number;
      readonly running: readonly StepKey[];
      /** Of the inventory that was sent last; 0 before the first. */
      readonly inventorySeq: number;
      /** How long ago the platform was last read. */
      readonly inventoryAgeMs: number;
    }
  /** `ageMs`: how long ago the platform was read. */
  | { readonly type: "inventory"; readonly inventory: Inventory; readonly ageMs: number }
  | { readonly type: "report"; readonly report: Report }
  | { readonly type: "progress"; readonly key: StepKey; readonly percent?: number; readonly message: string }
  | { readonly type: "hooks"; readonly inventory: HookInventory; readonly nonce: bigint }
  | {
      readonly type: "hooks-pushed";
      readonly nonce: bigint;
      /** Why the directory was left as it was; empty when it holds the files. */
      readonly problem: string;
      readonly changed: boolean;
      /** Where the files that were there before are now. */
      readonly replaced: string;
      readonly inventory: HookInventory;
    };
