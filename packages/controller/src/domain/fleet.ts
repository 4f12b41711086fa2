import type { InstanceVerb, MoveOptions, ServiceVerb } from "@slipway/shared";
import type { ActionName, InstanceNeeds } from "./action.ts";
import type { Durations } from "./durations.ts";
import type { HostInventory } from "./inventory.ts";
import type { PoolConfig } from "./pool.ts";
import type { QuorumConfig, ServiceConfig } from "./quorum.ts";
import type { LedgerRecord } from "./run.ts";
import type { Reason, StepName } from "./words.ts";

/** What the engine may know of a host outside the run's own log. Level, not edge: it is looked at anew every time. */
export interface HostFact {
  readonly name: string;
  readonly connected: boolean;
  /** Engine time since which it is connected, or disconnected. After a restart of the controller: the restart. */
  readonly sinceT: number;
  /** For people: "never seen", "last seen 2026-01-02T03:04:05Z". */
  readonly lastSeen: string;
  /** Who holds a cordon on it: run ids, or "operator". */
  readonly cordonedBy: readonly string[];
  /** Absent where the roster does not tell. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** A snapshot of the fleet. */
export interface FleetView {
  /** Engine time at which this controller took over runs. An answer from before may be old: the clock stands still while none runs. */
  readonly startedT?: number;
  /** Wall clock, milliseconds since the epoch, for windows of time and nothing else: it may jump. Absent: it is not known. */
  readonly wallT?: number;
  /** How long things usually take. Absent: nothing is known. */
  readonly usual?: Durations;
  host(name: string): HostFact | undefined;
  /** Hosts of a cluster that are cordoned by anybody. */
  cordonedIn(cluster: string): readonly HostFact[];
  /** Every host of a cluster with what is on it; hosts that never told are missing. */
  inventoriesOf(cluster: string): readonly HostInventory[];
  readonly pool: PoolConfig;
  /** Replicated systems of the pool, and services of its hosts. Default: none. */
  readonly quorum?: QuorumConfig;
  /** What stands in the ledger for a host, whichever run made it, and whether that run is over. */
  ledgerOf(host: string): readonly StandingEntry[];
}

/** An entry of the ledger that is still open. */
export interface StandingEntry {
  readonly run: string;
  readonly runEnded: boolean;
  readonly entry: LedgerRecord;
  /** Of a cordon: instances (uuid) that its run has moved away from the host. */
  readonly away: readonly string[];
}

/** What an agent is asked to do; the controller's half of the wire's StartStep. */
export type AgentTask =
  | {
      readonly kind: "hook";
      readonly stage: string;
      readonly args: readonly string[];
      readonly timeoutMs: number;
      readonly graceMs: number;
    }
  | { readonly kind: "inspect" }
  | { readonly kind: "reboot"; readonly timeoutMs: number }
  | {
      readonly kind: "instance";
      readonly verb: InstanceVerb;
      readonly uuid: string;
      readonly name: string;
      readonly generation: number;
      readonly timeoutMs: number;
      /** Of move. */
      readonly move?: MoveOptions;
      /** Of admit: where it comes from, and what it needs. */
      readonly from?: string;
      readonly instance?: InstanceNeeds;
    }
  | {
      readonly kind: "service";
      readonly verb: ServiceVerb;
      readonly service: ServiceConfig;
      readonly timeoutMs: number;
    };

/** Something the shell has to do. Every effect may be asked for again and again; `ref` makes it the same one. */
export type Effect =
  | { readonly do: "start-step"; readonly ref: EffectRef; readonly task: AgentTask }
  | { readonly do: "query-step"; readonly ref: EffectRef; readonly everyMs: number }
  | { readonly do: "cancel-step"; readonly ref: EffectRef; readonly reason: string }
  | {
      readonly do: "ask-gate";
      readonly ref: EffectRef;
      readonly cluster: string;
      readonly out: readonly string[];
      readonly everyMs: number;
    };

/** Which step of which run: the key by which agents know it. `host` is the host whose agent does it. */
export interface EffectRef {
  readonly run: string;
  readonly host: string;
  readonly step: StepName | ActionName;
  readonly attempt: number;
}

/** Why a host does not move on just now. */
export interface Wait {
  readonly host: string;
  readonly reason: Reason;
}
