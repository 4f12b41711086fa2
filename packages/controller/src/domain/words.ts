import { defaults, type Stage } from "@slipway/shared";

/** Scope of a run: exactly one kind. Names are as the operator gave them. */
export interface Scope {
  readonly kind: "hosts" | "clusters" | "pods" | "zones";
  readonly names: readonly string[];
}

/** What an operator may choose for a run; durations in milliseconds. Defaults are CloudStack's where it has the setting. */
export interface RunOptions {
  /** Skip a failed host and go on. Never ignores a check. Default false. */
  readonly forced: boolean;
  /** As typed, for the record; `args` is what hooks get. Default empty. */
  readonly payload: string;
  readonly args: readonly string[];
  /** Per stage and host. Default 1,800,000 (`kvm.rolling.maintenance.stage.timeout`). */
  readonly timeoutMs: number;
  /** How often a running step is asked for. Default 10,000 (`kvm.rolling.maintenance.ping.interval`). */
  readonly pingIntervalMs: number;
  /** Bound on cordon and drain of a host. Default 1,800,000 (`kvm.rolling.maintenance.wait.maintenance.timeout`). */
  readonly maintenanceWaitMs: number;
  /** Hosts of one cluster out at the same time. Default 1. */
  readonly maxOut: number;
  /** What becomes of a host whose Maintenance failed. Default cordoned. */
  readonly onFailure: "cordoned" | "uncordon";
  /** How long an unreachable agent is waited for. Default 300,000. */
  readonly agentWaitMs: number;
  /** How long a rebooting host is waited for. Default 900,000. */
  readonly rebootWaitMs: number;
  /** Between TERM and KILL of a hook at its deadline. Default 5,000. */
  readonly graceMs: number;
  /**
   * What the work is: the Maintenance hook; nothing but a reboot; `drain` empties the hosts and leaves them cordoned; `restore`
   * brings drained hosts back; `move` moves the instances of `moves` and takes no host out. Default hooks.
   */
  readonly op: "hooks" | "reboot" | "drain" | "restore" | "move";
  /**
   * When a host is rebooted: if a hook asks; also if the distribution wants it (with op reboot: only then); always.
   * Default if-asked, with op reboot always.
   */
  readonly reboot: "if-asked" | "if-required" | "always";
  /**
   * Which instances come back to a host after its turn: none; preferred: those whose stated home it is; exact: all that this run
   * moved away from it. Default preferred.
   */
  readonly return: "none" | "preferred" | "exact";
  /** What becomes of instances that had moved when the drain of their host failed. Default stay. */
  readonly onDrainFailure: "stay" | "return";
  /** Instances, by name, that may be shut down for their host's turn although their policy does not say so. Default none. */
  readonly consentStop: readonly string[];
  /** For `move`: instance (uuid) and target. Default none. */
  readonly moves: readonly { readonly uuid: string; readonly name: string; readonly to: string }[];
  /** In the place of `maxOut`: a share of a cluster's hosts, 1 to 100 percent, rounded down, at least one host. Default 0: not given. */
  readonly maxOutPercent: number;
  /** Further limits of hosts out per value of a label: a number of hosts, or a share of that value's. Default none. */
  readonly domainLimits: readonly { readonly label: string; readonly maxHosts?: number; readonly percent?: number }[];
  /** Clusters with hosts out at the same time. Default 1. */
  readonly maxClusters: number;
  /** `given`: as the hosts were named, else by name. `free`: as the planner thinks best. Default free, given for named hosts. */
  readonly order: "given" | "free";
  /** Hosts of the scope that keep their instances and have no turn. Default none. */
  readonly exclude: readonly string[];
  /** This host goes first and alone, and nothing else goes before it has been back for `bakeMs`. Default none, 0. */
  readonly canary: string;
  readonly bakeMs: number;
  /**
   * With so many failed hosts the run pauses, see engine/course. 0: the first failure ends the run; with `forced`: none does anything to it.
   * Default 1 for maintenance that is not `forced`, else 0.
   */
  readonly maxFailures: number;
  /** Where the run waits for an operator's word. Default never. */
  readonly approve: "never" | "each-wave" | "after-canary";
  /** When hosts may go out, such as "Sat 22:00-04:00 Europe/Paris". Default empty: at any time. */
  readonly window: string;
}

export const defaultOptions: RunOptions = {
  forced: false,
  payload: "",
  args: [],
  onFailure: "cordoned",
  op: "hooks",
  reboot: "if-asked",
  return: "preferred",
  onDrainFailure: "stay",
  consentStop: [],
  moves: [],
  maxOutPercent: 0,
  domainLimits: [],
  maxClusters: 1,
  order: "given",
  exclude: [],
  canary: "",
  bakeMs: 0,
  maxFailures: 0,
  approve: "never",
  window: "",
  ...defaults,
};

/** One explained decision, in the words that CLI, page and log print. */
export interface Reason {
  /** Stable code. */
  readonly rule: string;
  /** Host, cluster or run that it is about. */
  readonly subject: string;
  readonly text: string;
  /** What would help; empty when nothing can. */
  readonly fix: string;
}

/** Steps of a host. `agent` steps run on the host, `controller` steps are effects of the controller. */
export const steps = {
  inspect: { by: "agent", state: "inspecting", meaning: "the host is asked which hooks it has" },
  PreFlight: { by: "agent", state: "preflight", meaning: "the PreFlight hook checks the host" },
  PreMaintenance: { by: "agent", state: "pre-maintenance", meaning: "the PreMaintenance hook runs, still in service" },
  gate: { by: "controller", state: "gate", meaning: "may this host go out now?" },
  cordon: { by: "controller", state: "cordoning", meaning: "new instances are refused from here on" },
  move: { by: "controller", state: "moving", meaning: "instances move as an operator asked, one by one" },
  drain: { by: "controller", state: "draining", meaning: "instances and services move away" },
  recheck: { by: "controller", state: "rechecking", meaning: "may it still go, now that it is empty?" },
  "services-stop": {
    by: "controller",
    state: "stopping-services",
    meaning: "services of the host are stopped in order",
  },
  Maintenance: { by: "agent", state: "maintenance", meaning: "the Maintenance hook runs, out of service" },
  reboot: { by: "agent", state: "rebooting", meaning: "the host reboots and proves it by its boot id" },
  "services-start": { by: "controller", state: "starting-services", meaning: "services that were stopped are started" },
  heal: { by: "controller", state: "healing", meaning: "what has members on the host becomes whole again" },
  restore: { by: "controller", state: "restoring", meaning: "what the drain took away comes back" },
  uncordon: { by: "controller", state: "uncordoning", meaning: "the host takes new instances again" },
  PostMaintenance: {
    by: "agent",
    state: "post-maintenance",
    meaning: "the PostMaintenance hook validates the host, in service",
  },
} as const satisfies Record<string, { by: "agent" | "controller"; state: string; meaning: string }>;
export type StepName = keyof typeof steps;

/** States of a host in a run that are not a step's. */
export const hostStates = {
  waiting: "its turn has not come",
  checked: "its checks before the roll are done",
  updated: "maintenance was done",
  skipped: "no maintenance was done, for a stated reason",
  failed: "something failed; the reason says what",
  untouched: "the run ended before its turn",
} as const satisfies Record<string, string>;

export type Outcome = "updated" | "skipped" | "failed" | "untouched";

/** States of a run. */
export const runStates = {
  preflight: "every host of the scope is checked; nothing is changed yet",
  rolling: "hosts go out, wave by wave",
  stopping: "something failed: hosts in hand are finished, no new one starts",
  undoing: "the run was aborted: what it changed is put back",
  ended: "the run is over",
} as const satisfies Record<string, string>;
export type RunState = keyof typeof runStates;

export const runOutcomes = {
  succeeded: "at least one host was updated and none failed",
  "nothing-done": "no host was updated and none failed",
  failed: "at least one host failed",
  aborted: "an operator ended it",
} as const satisfies Record<string, string>;
export type RunOutcome = keyof typeof runOutcomes;

/** Answer of the gate; unknown is a no. */
export type GateVerdict = "ok" | "tight" | "deny" | "unknown";

export function isStage(step: StepName): step is StepName & Stage {
  return step === "PreFlight" || step === "PreMaintenance" || step === "Maintenance" || step === "PostMaintenance";
}

/** Is this the name of a step? For names that come over the wire. */
export function isStepName(name: string): name is StepName {
  return Object.hasOwn(steps, name);
}
