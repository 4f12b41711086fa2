import type { DurationSample } from "../domain/durations.ts";
import type { Recorded } from "../domain/events.ts";
import type { AgentTask, EffectRef } from "../domain/fleet.ts";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { QuorumConfig } from "../domain/quorum.ts";
import type { GateVerdict, Reason } from "../domain/words.ts";

/** A recorded event and the run that it belongs to. */
export interface LogEntry {
  readonly run: string;
  readonly recorded: Recorded;
  /** What the event taught about how long things take. */
  readonly sample?: DurationSample;
}

/** An entry of the ledger that is still open, whichever run made it. */
export interface OpenEntry {
  readonly id: string;
  readonly run: string;
  readonly host: string;
}

/** The durable memory of the controller. Synchronous: when a call returns, it is on the disk; when it throws, nothing is. */
export interface Store {
  /** Appends in one transaction, in order. Throws `out-of-space` when there is no room. */
  append(entries: readonly LogEntry[]): void;
  /** Runs that have not ended, oldest first. */
  activeRuns(): string[];
  /** The whole log of a run, in order; empty when there is no such run. */
  log(run: string): Recorded[];
  /** Ledger entries that stand. */
  openEntries(): OpenEntry[];
  /** How long things took, oldest first; at least the newest of each host and kind. */
  durations(): DurationSample[];
  /** The run that a start request made, if it was made before. */
  runOfRequest(requestId: string): string | undefined;
  /** The engine clock as last saved, in milliseconds. */
  engineClock(): number;
  saveEngineClock(ms: number): void;
}

/** What the coordinator tells an agent. */
export type AgentCommand =
  | { readonly kind: "start"; readonly ref: EffectRef; readonly task: AgentTask }
  | { readonly kind: "query"; readonly ref: EffectRef }
  | { readonly kind: "cancel"; readonly ref: EffectRef; readonly reason: string };

/** The way to the agents. A message may be lost; it will be sent again. */
export interface AgentLink {
  send(host: string, command: AgentCommand): void;
}

export interface GateAnswer {
  readonly verdict: GateVerdict;
  readonly reasons: readonly Reason[];
  /** What it was concluded from, a line for each system that was read. */
  readonly seen?: readonly string[];
}

export interface GateQuestion {
  readonly run: string;
  readonly host: string;
  readonly cluster: string;
  readonly out: readonly string[];
  /** Of `gate` and `recheck`: may it go? Of `heal`: is what it has members of whole again? */
  readonly about: "gate" | "recheck" | "heal";
}

/** May this host go out now, together with those already out? Answers unknown rather than throw. */
export interface Gate {
  ask(question: GateQuestion, answer: (a: GateAnswer) => void): void;
}

export interface Clock {
  /** Milliseconds since some start, never going back, not counting the time in which no controller ran. */
  engineMs(): number;
  /** Wall clock, for people and for the windows that they agreed on; it may jump. */
  wallMs(): number;
}

/** Who is connected, and who an operator has cordoned. */
export interface Roster {
  host(name: string):
    | {
        readonly connected: boolean;
        readonly sinceT: number;
        readonly lastSeen: string;
        readonly cordonedByOperator: boolean;
        readonly labels?: Readonly<Record<string, string>>;
      }
    | undefined;
  cluster(name: string): string | undefined;
  /** Names of all hosts that carry this cluster. */
  members(cluster: string): readonly string[];
  /**
   * What is on the hosts that carry this cluster, as their agents told last; hosts that never told are missing. `connected` only
   * once it was told in the present session of the agent. `inventory` is the same object for as long as it says the same.
   */
  inventories(cluster: string): readonly HostInventory[];
  /** The pool file as it stands. */
  pool(): PoolConfig;
  /** Its sections on replicated systems and services; absent where there are none. */
  quorum?(): QuorumConfig;
}
