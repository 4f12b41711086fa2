import { durationText } from "@slipway/shared";
import { durationKinds, FEW, type StepKind, type Usual, usualText } from "../../domain/durations.ts";
import type { FleetView } from "../../domain/fleet.ts";
import type { HostRun, StepRecord } from "../../domain/run.ts";
import type { Reason, StepName } from "../../domain/words.ts";
import type { Desk } from "../desk.ts";

/** By so much a step has to exceed what is usual before it is called slow, in milliseconds: short ones vary for no reason. */
const SLACK_MS = 10_000;

const RULE = "slower-than-usual";

/** Calls a step in hand slow for as long as it is, and tells so once in the log. */
export function tellSlowness(desk: Desk, step: StepRecord): void {
  const { host, fleet, now } = desk;
  const slow = slowerThanUsual(step, host, fleet, now);
  if (slow === undefined) {
    const from = slowFromT(step, host, fleet);
    if (from !== undefined) desk.expired(from);
    return;
  }
  desk.wait(slow);
  const isTold = host.notes.some((n) => n.rule === RULE && n.text.startsWith(`${whatOf(step)} has`));
  // A note stands under its host's name.
  const text = slow.text.slice(`${host.name}: `.length);
  if (!isTold) desk.record({ type: "host-noted", host: host.name, note: { ...slow, text } });
}

/** Why a step in hand is called slow: it takes longer than 95 of 100. Never out of too few samples. Engine times. */
export function slowerThanUsual(step: StepRecord, host: HostRun, fleet: FleetView, now: number): Reason | undefined {
  const usual = enoughOf(step, host, fleet);
  if (usual === undefined || now <= step.startedT + limitOf(usual)) return undefined;
  const text = `${host.name}: ${whatOf(step)} has taken ${durationText(now - step.startedT)}; ${usualText(usual)}`;
  return { rule: RULE, subject: host.name, text, fix: `see what it does: slipway why ${host.name}` };
}

/** Engine time from which on the step in hand is slow; undefined where too little is known. */
export function slowFromT(step: StepRecord, host: HostRun, fleet: FleetView): number | undefined {
  const usual = enoughOf(step, host, fleet);
  return usual && step.startedT + limitOf(usual) + 1;
}

/** The same for one execution of a step, and for no other. */
function whatOf({ step, attempt }: StepRecord): string {
  return `${step}${attempt > 1 ? ` (attempt ${attempt})` : ""}`;
}

function enoughOf({ step }: StepRecord, host: HostRun, fleet: FleetView): Usual | undefined {
  const usual = isRemembered(step) ? fleet.usual?.usual(host.name, step, host.cluster) : undefined;
  return usual && usual.samples >= FEW ? usual : undefined;
}

function limitOf({ p50Ms, p95Ms }: Usual): number {
  return Math.max(p95Ms, p50Ms + SLACK_MS);
}

function isRemembered(step: StepName): step is StepName & StepKind {
  return Object.hasOwn(durationKinds, step);
}
