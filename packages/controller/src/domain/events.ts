import type { Verdict } from "@slipway/shared";
import type {
  ActionRef,
  ActionResult,
  Evacuee,
  InstanceAction,
  Look,
  ServiceAction,
  ServiceOutcome,
  ServiceTurn,
  Settlement,
} from "./action.ts";
import type { ServiceConfig } from "./quorum.ts";
import type { Schedule, ScheduleDifference } from "./schedule.ts";
import type { GateVerdict, Outcome, Reason, RunOptions, RunOutcome, RunState, Scope, StepName } from "./words.ts";

/** A host of a run, in the order in which its turn comes. Waves are numbered from 1 across all clusters. */
export interface PlannedHost {
  readonly name: string;
  readonly cluster: string;
  readonly wave: number;
}

/** Everything about a run that is fixed at its start. */
export interface RunSpec {
  readonly run: string;
  readonly scope: Scope;
  readonly options: RunOptions;
  readonly hosts: readonly PlannedHost[];
  readonly startedBy: string;
  /** The caller's id of its request; a repeated one is answered with the same run. */
  readonly requestId: string;
  /** Absent in logs from before there was one, and for work that takes no host out: waves are done one after the other then. */
  readonly schedule?: Schedule;
}

/** Which execution of which step. */
export interface StepRef {
  readonly host: string;
  readonly step: StepName;
  /** Counts from 1 per run, host and step. */
  readonly attempt: number;
}

/** How a step ended, as the agent or an effect of the controller knows it. */
export interface StepResult {
  readonly verdict: Verdict;
  readonly exitCode?: number;
  readonly signal: string;
  readonly reason: string;
  /** Wall clock of whoever ran it, milliseconds since the epoch; for people only. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly durationMs: number;
  readonly output: string;
  readonly requests: { rebootRequired: boolean; rerunAfterReboot: boolean; skip: string; message: string };
  /** Only from `inspect`: is there a usable Maintenance hook, and what is wrong with the hooks. */
  readonly hooks?: { maintenance: boolean; problems: readonly string[] };
  readonly bootIdBefore: string;
  readonly bootIdAfter: string;
  /** Why the distribution wants a reboot; empty or absent when it does not. From `inspect` and after Maintenance. */
  readonly rebootWanted?: string;
  /** The host went down in order after the stage had asked for it: the reboot has happened and need not be made. */
  readonly rebootedAsAsked?: boolean;
  /** Only from what is done to an instance: what the platform says of it at the end. */
  readonly instance?: Look;
}

/** What kind of change an entry of the ledger is about: a host that takes no instances, an instance that was stopped, a service that was. */
export type LedgerKind = "cordon" | "instance" | "service";

/**
 * What can happen to a run. The log of these is the run: state is nothing but their fold.
 * `ledger-opened` is written before the change that it is about is made.
 */
export type RunEvent =
  | { readonly type: "run-started"; readonly spec: RunSpec }
  | { readonly type: "run-state"; readonly to: RunState; readonly reason: string }
  | { readonly type: "run-ended"; readonly outcome: RunOutcome; readonly details: string }
  | {
      readonly type: "run-paused";
      readonly who: string;
      readonly reason: string;
      /** Hosts that are out are finished all the same: the run paused by itself, with too many failures. */
      readonly finishes?: true;
    }
  /** `reason`: why, where the run went on by itself; absent for an operator's word. */
  | { readonly type: "run-resumed"; readonly who: string; readonly reason?: string }
  | { readonly type: "run-held"; readonly reason: Reason }
  | { readonly type: "run-released"; readonly reason: string }
  | { readonly type: "run-abort"; readonly who: string; readonly now: boolean; readonly reason: string }
  | { readonly type: "run-reopened"; readonly who: string }
  /** The hosts whose turns have not begun go by this schedule from here on; its waves are counted on from those that are over. */
  | {
      readonly type: "run-replanned";
      readonly schedule: Schedule;
      readonly difference: ScheduleDifference;
      /** What is otherwise than the last schedule had assumed. */
      readonly reason: string;
    }
  /** An operator's word for hosts up to this wave, and for these instances (names) to be stopped for their hosts' turns. */
  | {
      readonly type: "run-approved";
      readonly who: string;
      readonly wave: number;
      readonly consents: readonly string[];
      readonly reason: string;
    }
  | ({ readonly type: "step-started" } & StepRef)
  | ({ readonly type: "step-accepted" } & StepRef)
  | ({ readonly type: "step-ended"; readonly result: StepResult } & StepRef)
  /** The controller gives up waiting; a verdict that arrives later is still recorded, but decides nothing any more. */
  | ({ readonly type: "step-abandoned"; readonly code: string; readonly reason: string } & StepRef)
  | ({
      readonly type: "gate-answered";
      readonly verdict: GateVerdict;
      readonly reasons: readonly Reason[];
      /** Of a yes: what it was concluded from, a line for each system. */
      readonly seen?: readonly string[];
    } & StepRef)
  | {
      readonly type: "ledger-opened";
      readonly id: string;
      readonly host: string;
      readonly change: string;
      readonly undo: string;
      /** Absent in logs from a time when every entry was a cordon. */
      readonly kind?: LedgerKind;
      /** Of an instance: its uuid and name; of a service: the subject of its actions, and what it is called. */
      readonly subject?: string;
      readonly name?: string;
      /** Of a service: what starts it again, whatever the pool file says by then. */
      readonly service?: ServiceConfig;
      /** Of a cordon that is taken over from an earlier run: instances (uuid) that the other one had moved away. */
      readonly away?: readonly string[];
    }
  | { readonly type: "ledger-closed"; readonly id: string; readonly host: string; readonly note: string }
  | ({ readonly type: "action-started"; readonly spec: InstanceAction } & ActionRef)
  /** The same for a service of the host; from there on they are alike. */
  | ({ readonly type: "service-action-started"; readonly spec: ServiceAction } & ActionRef)
  | ({ readonly type: "action-accepted" } & ActionRef)
  | ({ readonly type: "action-ended"; readonly result: ActionResult } & ActionRef)
  /** The controller gives up waiting; where its instance is has to be found out. A result that still comes is recorded. */
  | ({ readonly type: "action-abandoned"; readonly code: string; readonly reason: string } & ActionRef)
  /** What was wanted with an instance is over, one way or the other: it is known where it is and that it runs there or not. */
  | ({ readonly type: "instance-settled" } & Settlement)
  /** What a drain found on its host and means to do with each; told once, at its beginning, where there is anything. */
  | { readonly type: "evacuation-planned"; readonly host: string; readonly instances: readonly Evacuee[] }
  /** What a step stops or starts, in this order, whatever becomes of the pool file; told once, at the step's beginning. */
  | { readonly type: "services-planned"; readonly host: string; readonly services: readonly ServiceTurn[] }
  | {
      readonly type: "service-settled";
      readonly host: string;
      readonly subject: string;
      readonly name: string;
      readonly outcome: ServiceOutcome;
      /** Why, where it was not done; else empty. */
      readonly reason: string;
      readonly durationMs: number;
    }
  /** An operator answers for what a gate, a recheck or a heal refuses; the step ends with a yes. */
  | ({ readonly type: "step-overridden"; readonly who: string; readonly reason: string } & StepRef)
  /** Worth telling, and no failure: an instance that could not return, one that shut itself down. */
  | { readonly type: "host-noted"; readonly host: string; readonly note: Reason }
  | { readonly type: "host-checked"; readonly host: string }
  | {
      readonly type: "host-ended";
      readonly host: string;
      readonly outcome: Outcome;
      readonly code: string;
      readonly reason: string;
    }
  | {
      readonly type: "host-command";
      readonly host: string;
      readonly action: "retry" | "skip" | "mark-done";
      readonly who: string;
      readonly reason: string;
    };

/** An event in the log. `t` is the controller's engine clock (see engine/clock), `at` the wall clock for people. */
export interface Recorded {
  readonly seq: number;
  readonly t: number;
  readonly at: number;
  readonly event: RunEvent;
}

export type EventType = RunEvent["type"];
