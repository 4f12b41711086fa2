import type { RunEvent } from "../domain/events.ts";
import type { Effect, FleetView, StandingEntry } from "../domain/fleet.ts";
import type { HostRun, Run } from "../domain/run.ts";
import type { Reason } from "../domain/words.ts";

/** One host's turn while a decision about it is made: what there is to look at, and where what follows is put. */
export interface Desk {
  readonly run: Run;
  readonly host: HostRun;
  readonly fleet: FleetView;
  readonly now: number;
  record(event: RunEvent): void;
  /** Something has been recorded in this decision: what follows from it is for the next one. */
  readonly hasRecords: boolean;
  /** Closes an entry that a run which is over has left in the ledger: it is in this run's hands now. */
  takeOver(entry: StandingEntry): void;
  effect(effect: Effect): void;
  /** Why it does not move on just now. */
  wait(reason: Reason): void;
  /** The same for something that is not known: the run holds until it is. */
  unknown(reason: Reason): void;
  /** Is that engine time over? If not, it is one to wake up for. */
  expired(limit: number): boolean;
}

/** What the turn wants of migrations and stops that are under way. */
export interface Course {
  /** Why nothing new begins; undefined while it may. */
  readonly noMore: string | undefined;
  /** What is under way is to be ended as cleanly as it can be; the reason that agents are told. */
  readonly cancel: string | undefined;
  /** What stays unknown for longer than an agent is waited for is given up, by name. */
  readonly givesUp: boolean;
}
