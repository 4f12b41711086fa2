import { durationText } from "@slipway/shared";
import type { FleetView } from "../../domain/fleet.ts";
import type { HostRun, Run } from "../../domain/run.ts";
import type { Schedule, ScheduledTurn } from "../../domain/schedule.ts";
import type { Reason } from "../../domain/words.ts";
import { budgetDenial, placesTaken } from "../budget.ts";
import { canaryOf, isOver, pendingApproval } from "./approval.ts";
import { hasBegun } from "./fold.ts";
import { windowWait, windowWakeT } from "./window.ts";

/** Why the turn of a host does not begin yet. */
export interface Waiting {
  readonly reason: Reason;
  /** More than the course of the run itself is waited for: the run holds. */
  readonly holds: boolean;
  /** Engine time at which it may be otherwise without anything having happened. */
  readonly wakeT?: number;
}

/** Rules for which a run holds without keeping hosts back whose turns have begun. */
const turnRules: ReadonlySet<string> = new Set(["max-out", "max-clusters", "bake", "approval", "window"]);

/** Is it only about hosts whose turns are still to come? */
export function isAboutTurns({ rule }: Reason): boolean {
  return turnRules.has(rule);
}

/**
 * May the turn of a host begin? In a run without a schedule only its window is asked here; else no barrier but what the rules say:
 * those before it in its cluster have begun; those it builds on are back; no budget is exceeded with all turns that are going on; the
 * canary has been back for long enough; an operator's word and the window allow it. Undefined when it may, and for a host that is to
 * go on behind its way out.
 */
export function mayBegin(run: Run, host: HostRun, fleet: FleetView, now: number): Waiting | undefined {
  const { schedule } = run;
  // Its checks take nothing out, and neither does what follows on a way back.
  if (!host.checked || host.cordoned || host.resumeAt === "PostMaintenance") return undefined;
  if (schedule === undefined) return windowed(run, host, fleet, now);
  return (
    comesLater(run, schedule, host) ??
    canaryFirst(run, host, now) ??
    budgeted(run, host, fleet) ??
    approvedBy(run, host) ??
    windowed(run, host, fleet, now)
  );
}

interface Order {
  readonly turns: ReadonlyMap<string, ScheduledTurn>;
  readonly places: ReadonlyMap<string, number>;
}
const orders = new WeakMap<Schedule, Order>();

function orderOf(schedule: Schedule): Order {
  const known = orders.get(schedule);
  if (known) return known;
  const turns = new Map(schedule.turns.map((t) => [t.host, t]));
  const order = { turns, places: new Map(schedule.turns.map((t, i) => [t.host, i])) };
  orders.set(schedule, order);
  return order;
}

const nexts = new WeakMap<Run["hosts"], ReadonlyMap<string, HostRun>>();

/** In each cluster the first host whose turn is still to come. */
function nextOf({ hosts }: Run, { places }: Order): ReadonlyMap<string, HostRun> {
  const known = nexts.get(hosts);
  if (known) return known;
  const found = new Map<string, HostRun>();
  const placeOf = (h: HostRun) => places.get(h.name) ?? Number.POSITIVE_INFINITY;
  for (const h of hosts) {
    if (hasBegun(h)) continue;
    const first = found.get(h.cluster);
    if (first === undefined || placeOf(h) < placeOf(first)) found.set(h.cluster, h);
  }
  nexts.set(hosts, found);
  return found;
}

function comesLater(run: Run, schedule: Schedule, host: HostRun): Waiting | undefined {
  const order = orderOf(schedule);
  const turn = order.turns.get(host.name);
  const first = nextOf(run, order).get(host.cluster);
  const isCanary = host.name === run.spec.options.canary;
  // A retry behind the way out has begun as far as the order goes.
  if (first !== undefined && first !== host && !hasBegun(host) && !isCanary)
    return wait("not-its-turn", host.name, `${host.name}: the turn of ${first.name} comes first`);
  const away = turn?.after.filter((name) => !isBack(run.hosts.find((h) => h.name === name))) ?? [];
  if (away.length === 0) return undefined;
  const why = turn?.waitsFor ? ` (${turn.waitsFor})` : "";
  return wait("after", host.name, `${host.name} goes when ${away.join(", ")} ${verb(away)} back${why}`);
}

const verb = ({ length }: readonly string[]) => (length === 1 ? "is" : "are");

/** Its turn is over, however it ended, or it has been through and is in service again. */
function isBack(host: HostRun | undefined): boolean {
  if (host === undefined || host.outcome !== undefined) return true;
  if (host.cordoned) return false;
  return host.steps.slice(host.from).some((s) => s.step === "uncordon" && s.result?.verdict === "ok");
}

function canaryFirst(run: Run, host: HostRun, now: number): Waiting | undefined {
  const canary = canaryOf(run);
  if (canary === undefined || canary === host) return undefined;
  const { bakeMs } = run.spec.options;
  if (canary.outcome === undefined)
    return wait("canary", canary.name, `${host.name} waits for the canary ${canary.name}, which goes first and alone`);
  const until = (canary.endedT ?? now) + bakeMs;
  if (canary.outcome !== "updated" || until <= now) return undefined;
  const reason: Reason = {
    rule: "bake",
    subject: canary.name,
    text: `the canary ${canary.name} has to have been back for ${durationText(bakeMs)} before another host goes`,
    fix: "it goes on by itself then",
  };
  return { reason, holds: true, wakeT: until };
}

function budgeted(run: Run, host: HostRun, fleet: FleetView): Waiting | undefined {
  const out = placesTaken(run, host, fleet);
  const reason = budgetDenial(run, host, out, fleet);
  if (reason === undefined) return undefined;
  // What the run's own turns take comes free as they end; anything else is for an operator.
  const without = budgetDenial(
    run,
    host,
    out.filter((o) => !o.isTurn),
    fleet,
  );
  return { reason: without ?? reason, holds: without !== undefined };
}

function approvedBy(run: Run, host: HostRun): Waiting | undefined {
  const { approve } = run.spec.options;
  const { wave, name } = host;
  const pending = pendingApproval(run);
  const canary = canaryOf(run);
  if (approve === "each-wave" && wave > run.approvedWave && !isOver(run, wave))
    return wait("wave", name, `${name} is of wave ${wave}, which an operator approves when all before it are over`);
  const isWaved =
    (approve === "each-wave" && wave > run.approvedWave) ||
    (approve === "after-canary" && canary !== undefined && canary !== host && run.approvedWave <= canary.wave);
  if (pending === undefined || (!isWaved && pending.consents.length === 0)) return undefined;
  const id = run.spec.run;
  const text = `${pending.why}; an operator's word is needed before ${name} goes`;
  return { reason: { rule: "approval", subject: `run ${id}`, text, fix: `slipway run approve ${id}` }, holds: true };
}

function windowed(run: Run, host: HostRun, fleet: FleetView, now: number): Waiting | undefined {
  const reason = windowWait(run, host, fleet);
  return reason && { reason, holds: true, wakeT: windowWakeT(run, fleet, now) };
}

function wait(rule: string, subject: string, text: string): Waiting {
  return { reason: { rule, subject, text, fix: "" }, holds: false };
}
