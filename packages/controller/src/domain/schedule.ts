/**
 * What the planner lays down for a run and the engine carries out: who goes when, what is waited for, where instances go. Part of
 * the run's specification; a replanned run has a newer one in its log. A run without one (from an older log) rolls wave by wave.
 */
export interface Schedule {
  /** In the order in which turns begin. */
  readonly turns: readonly ScheduledTurn[];
  /** In an order in which they can be made one after the other, wave by wave. */
  readonly moves: readonly ScheduledMove[];
  /** Hosts of each cluster that may be out at once. */
  readonly maxOut: Readonly<Record<string, number>>;
  /** Further limits, with percentages worked out. */
  readonly domains: readonly DomainBudget[];
  /** Clusters that may have hosts out at once. */
  readonly maxClusters: number;
  /** The fewest moves and the shortest time that any plan needs, and the time of this one; milliseconds. */
  readonly floorMoves: number;
  readonly floorMs: number;
  readonly expectedMs: number;
  readonly p95Ms: number;
  /** Instances (names) that are to be stopped and to which nobody has consented yet. */
  readonly consentsNeeded: readonly string[];
  /** How full hosts are when all is done, as shares of their memory (0 to 1); hosts that are cordoned or away do not count. */
  readonly balance?: { readonly mean: number; readonly least: number; readonly most: number };
  /** What it was made for, by host. Absent in a schedule from before there was one: it is never judged then. */
  readonly basis?: Readonly<Record<string, HostBasis>>;
}

/** Of a host when its schedule was made, in MiB: what it could carry (0 where it could take nothing), and what it carried. */
export type HostBasis = readonly [capacity: number, used: number];

/** What a schedule does otherwise than the one before it. Times do not count, nor do hosts that only one of them has turns for. */
export interface ScheduleDifference {
  readonly movesAdded: readonly ScheduledMove[];
  readonly movesDropped: readonly ScheduledMove[];
  /** Hosts that go after others before which they went. */
  readonly hostsShifted: readonly string[];
  /** Instances (names) to be stopped that nobody has consented to: an operator has to. */
  readonly consentsAdded: readonly string[];
  readonly consentsDropped: readonly string[];
}

export interface ScheduledTurn {
  readonly host: string;
  readonly cluster: string;
  /** Counted from 1. */
  readonly wave: number;
  /** Hosts that must be back before this turn begins, because it moves instances onto them or needs the room they make. */
  readonly after: readonly string[];
  /** What the turn waits for, for people; empty when it begins at once. */
  readonly waitsFor: string;
  /** Expected begin, counted from the run's; the turn as a whole, expected and at the 95th percentile; milliseconds. */
  readonly startMs: number;
  readonly expectedMs: number;
  readonly p95Ms: number;
  /** Of `consentsNeeded`, those on this host. */
  readonly consentsNeeded?: readonly string[];
}

export interface ScheduledMove {
  readonly uuid: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** `make-room` moves come from hosts that stay in; they go before the drains of their wave. */
  readonly kind: "drain" | "make-room" | "return" | "level";
  /** The wave before whose hosts go out it is made. */
  readonly wave: number;
}

/** At most so many hosts out among those whose `label` is `value`. */
export interface DomainBudget {
  readonly label: string;
  readonly value: string;
  readonly maxHosts: number;
}
