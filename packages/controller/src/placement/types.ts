import type { Instance } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { ScheduledMove } from "../domain/schedule.ts";
import type { Reason } from "../domain/words.ts";

/** What a host is to the question asked. */
export type Role =
  /** It is being emptied: never a target. */
  | { readonly is: "source" }
  | { readonly is: "target" }
  /** Its turn comes, the `turn`-th: what goes there moves again. Taken only where nothing else does. */
  | { readonly is: "later"; readonly turn: number }
  /** Its turn is over; preferred. */
  | { readonly is: "done" }
  /** It takes nothing now; what runs there still counts. The text is about the host: "hv2 is cordoned by an operator". */
  | { readonly is: "closed"; readonly because: Reason };

/** A target that was tried and did not take an instance, and why. */
export interface Tried {
  readonly host: string;
  readonly why: string;
}

/** An instance that has to leave its host. */
export interface Mover {
  readonly uuid: string;
  readonly from: string;
  /** Targets that were tried already. */
  readonly avoid?: readonly Tried[];
  /** Where a schedule has it go: taken before any other target, as long as all of them find a place with that. */
  readonly wanted?: string;
}

/** A move that a schedule makes so that there is room where it comes from. */
export interface Aside extends ScheduledMove {
  /** It has been tried, and this is why it was not done; it is not counted on any more. */
  readonly failed?: string;
}

/** A move under way: it takes room at its target already. */
export interface InFlight {
  readonly instance: Instance;
  readonly from: string;
  readonly to: string;
}

export interface Question {
  /** Every host of the cluster, each with what is on it. */
  readonly hosts: readonly HostInventory[];
  /** Hosts without a word here are targets. */
  readonly roles: ReadonlyMap<string, Role>;
  readonly movers: readonly Mover[];
  /** Movers (uuid) that an operator consented to stop: they move where they can, and are stopped only where they cannot. */
  readonly mayStop?: ReadonlySet<string>;
  readonly inFlight?: readonly InFlight[];
  /** Moves that make room on hosts that stay in, in their order: taken as made, as far as the rules allow them. */
  readonly makeRoom?: readonly Aside[];
  /** Instances (uuid) that are off, and will be started again where they are: their room is theirs. */
  readonly comingBack?: ReadonlySet<string>;
  readonly pool: PoolConfig;
}

/** Something that keeps a host from being emptied. */
export interface Blocker {
  /** The host that cannot be emptied. */
  readonly host: string;
  /** Empty when it is not about one instance. */
  readonly uuid: string;
  readonly name: string;
  /** All in one: what, why on no target, and the way out. */
  readonly reason: Reason;
  /** For each other host what is in the way there; empty when the instance cannot leave at all. */
  readonly targets: readonly { readonly host: string; readonly reasons: readonly Reason[] }[];
  /** Memory that would have to become free on one of the targets, in MiB; 0 when memory is not what is missing. */
  readonly missingMib: number;
}

export interface Move {
  readonly uuid: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

export interface Placement {
  /** Every mover has its target or is stopped with consent. */
  readonly feasible: boolean;
  /** In the order of hosts and names; with blockers: what can move all the same. */
  readonly moves: readonly Move[];
  /** Of the moves that make room those that are still to be made, in their order, before what goes to the hosts they come from. */
  readonly makeRoom: readonly Move[];
  /** Movers that are stopped, with consent, as they cannot move. */
  readonly stops: readonly {
    readonly uuid: string;
    readonly name: string;
    readonly from: string;
    readonly reason: Reason;
  }[];
  /** Movers that are off or gone: nothing has to be done with them. */
  readonly stays: readonly string[];
  /** The smallest set of instances without which the rest can be placed. */
  readonly blockers: readonly Blocker[];
  readonly warnings: readonly Reason[];
}
