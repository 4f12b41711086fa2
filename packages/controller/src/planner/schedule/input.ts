import type { Durations } from "../../domain/durations.ts";
import type { HostInventory } from "../../domain/inventory.ts";
import type { PoolConfig } from "../../domain/pool.ts";
import type { QuorumConfig } from "../../domain/quorum.ts";
import type { Schedule } from "../../domain/schedule.ts";
import type { Reason, RunOptions } from "../../domain/words.ts";
import type { PoolSnapshot } from "../rolling/index.ts";

/** What a host is to the schedule: its turn comes; is over; is going on; or the operator leaves it out. */
export type ScopeState = "in-scope" | "done" | "out" | "excluded";

export interface ScopedHost {
  readonly name: string;
  readonly cluster: string;
  readonly state: ScopeState;
  /** How long a host that is out has been away, in milliseconds. Default 0. */
  readonly awayMs?: number;
}

/** Everything that a schedule is made of; equal input gives the equal schedule. */
export interface ScheduleInput {
  /** Hosts of the run, in its order. */
  readonly hosts: readonly ScopedHost[];
  /** Hosts of a cluster with what is on them; those that never told are missing. */
  inventories(cluster: string): readonly HostInventory[];
  readonly pool: PoolConfig;
  readonly quorum?: QuorumConfig;
  /** Undefined for a host that the fleet does not know. */
  labels(host: string): Readonly<Record<string, string>> | undefined;
  /** Why a host takes no instances, for a reason that outlasts the run: an operator's or another run's cordon. */
  closed(host: string): Reason | undefined;
  /** `order` of it counts; `exclude` is already told by the states of the hosts. */
  readonly options: RunOptions;
  /** Default: stated guesses. */
  readonly durations?: Durations;
  /** Engine time, to judge how old pictures are. */
  readonly nowT: number;
  /** Instances (uuid) that are off now and will be started again where they are. */
  readonly comingBack?: ReadonlySet<string>;
  /** Instances (uuid) that are on their way, or are about to be: counted at their target already, and moved no more. */
  readonly onTheWay?: ReadonlyMap<string, string>;
}

export type Scheduled =
  | {
      readonly kind: "schedule";
      readonly schedule: Schedule;
      /** What was planned with: hosts with capacity and durations, instances. For people and the simulator. */
      readonly snapshot: PoolSnapshot;
      /** uuids of its instances, by their names in it. */
      readonly uuids: ReadonlyMap<string, string>;
      /** Hosts whose durations are guesses: nothing is known of them, their cluster or the fleet. */
      readonly assumed: readonly string[];
    }
  | {
      readonly kind: "none";
      /** False: none was found within the effort allowed, and there may be one all the same. */
      readonly proven: boolean;
      /** Empty `fix` where nothing helps. */
      readonly reasons: readonly Reason[];
      /** Changes each of which makes a schedule possible, planned with; the smallest first. */
      readonly relaxations: readonly Reason[];
    };
