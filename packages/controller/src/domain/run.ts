import {
  type ActionRecord,
  type ActionSpec,
  actionName,
  type Evacuee,
  type ServiceAction,
  type ServiceTurn,
  type Settlement,
} from "./action.ts";
import type { LedgerKind, RunSpec, StepRef, StepResult } from "./events.ts";
import type { EffectRef } from "./fleet.ts";
import type { ServiceConfig } from "./quorum.ts";
import type { Schedule } from "./schedule.ts";
import type { Outcome, Reason, RunOutcome, RunState, StepName } from "./words.ts";

/** One execution of a step, from the log. */
export interface StepRecord extends StepRef {
  /** Engine time at which the intent was recorded, and at which the agent confirmed it. */
  readonly startedT: number;
  readonly acceptedT?: number;
  readonly endedT?: number;
  /** Wall clock of the intent, for people. */
  readonly startedAt: number;
  readonly result?: StepResult;
  /** Given up by the controller: why. */
  readonly abandoned?: { code: string; reason: string };
  /** An operator has answered for it in the place of the gate. */
  readonly overridden?: true;
}

export interface HostRun {
  readonly name: string;
  readonly cluster: string;
  readonly wave: number;
  /** In order of start; the last one is in hand while it has no result. */
  readonly steps: readonly StepRecord[];
  /** PreFlight passed. */
  readonly checked: boolean;
  /** Its turn has begun. */
  readonly began: boolean;
  /** The run has cordoned it and has not uncordoned it (the ledger entry is open). */
  readonly cordoned: boolean;
  /** Step index from which the current attempt at the turn counts; a retry moves it. */
  readonly from: number;
  /** The step at which the turn goes on after a retry; undefined: at its beginning. */
  readonly resumeAt?: StepName;
  /** An operator has settled this host: put back what was changed, then end it so. */
  readonly directed?: { action: "skip" | "mark-done"; who: string; reason: string };
  readonly outcome?: Outcome;
  readonly code: string;
  readonly reason: string;
  readonly endedAt?: number;
  /** Engine time of the same. */
  readonly endedT?: number;
  readonly beganAt?: number;
  /** Last answer of the gate. */
  readonly gateReasons: readonly Reason[];
  /** What agents did, or do, with instances for the turn of this host; in order of start. */
  readonly actions: readonly ActionRecord[];
  /** And with its services; absent where it has none. */
  readonly serviceActions?: readonly ActionRecord<ServiceAction>[];
  /** What became of instances in its turn, in order. */
  readonly settled: readonly (Settlement & { readonly at: number; readonly t: number })[];
  /** What its last services-stop or services-start works through; absent before that is laid down. */
  readonly services?: readonly ServiceTurn[];
  /** What its last drain found; empty before. */
  readonly evacuees: readonly Evacuee[];
  /** Worth telling, and no failure. */
  readonly notes: readonly Reason[];
}

/** State of a run: the fold of its events. */
export interface Run {
  /** As at its start, with the instances that an operator has consented to stop since. */
  readonly spec: RunSpec;
  /** Whom it goes by now: that of its start, or the one that replaced it; and since when, in engine time. */
  readonly schedule?: Schedule;
  readonly scheduledT: number;
  /** Hosts up to this wave may go as far as an operator's word is needed. 1 from the start: that was the first word. */
  readonly approvedWave: number;
  /** Hosts without which an operator went on: their failures do not count any more. */
  readonly forgiven: readonly string[];
  readonly state: RunState;
  readonly outcome?: RunOutcome;
  readonly details: string;
  /** Paused by an operator; or by itself, and then hosts that are out are finished. */
  readonly paused?: { who: string; reason: string; finishes?: true };
  /** Paused by itself because something is not known; released when it is. */
  readonly held?: Reason;
  readonly abort?: { who: string; now: boolean; reason: string };
  readonly hosts: readonly HostRun[];
  readonly ledger: readonly LedgerRecord[];
  readonly startedAt: number;
  /** Engine time of the start. */
  readonly startedT: number;
  readonly endedAt?: number;
  readonly lastSeq: number;
}

export interface LedgerRecord {
  readonly id: string;
  readonly host: string;
  readonly change: string;
  readonly undo: string;
  readonly openedAt: number;
  readonly closedAt?: number;
  readonly note: string;
  readonly kind: LedgerKind;
  /** Of an instance: its uuid and name; of a service: the subject of its actions, and what it is called; else empty. */
  readonly subject: string;
  readonly name: string;
  readonly service?: ServiceConfig;
  readonly away?: readonly string[];
}

/** The step that a host has in hand: started, neither ended nor given up. */
export function stepInHand(host: HostRun): StepRecord | undefined {
  const last = host.steps.at(-1);
  return last && last.result === undefined && last.abandoned === undefined ? last : undefined;
}

export function hostOf(run: Run, name: string): HostRun | undefined {
  return run.hosts.find((h) => h.name === name);
}

/** The record of a step or an action by the key under which its agent knows it; undefined when the run never asked for it. */
export function recordOf(
  run: Run,
  ref: Omit<EffectRef, "run" | "step"> & { readonly step: string },
): StepRecord | ActionRecord<ActionSpec> | undefined {
  const step = hostOf(run, ref.host)?.steps.find((s) => s.step === ref.step && s.attempt === ref.attempt);
  if (step) return step;
  for (const host of run.hosts) {
    const action = host.actions.find((a) => isThis(a, ref)) ?? host.serviceActions?.find((a) => isThis(a, ref));
    if (action) return action;
  }
  return undefined;
}

function isThis(
  a: ActionRecord<ActionSpec>,
  ref: { readonly host: string; readonly step: string; readonly attempt: number },
): boolean {
  return a.on === ref.host && a.attempt === ref.attempt && actionName(a) === ref.step;
}
