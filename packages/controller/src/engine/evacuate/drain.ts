import { durationText } from "@slipway/shared";
import type { HostInventory } from "../../domain/inventory.ts";
import type { HostRun, Run, StepRecord } from "../../domain/run.ts";
import type { Reason } from "../../domain/words.ts";
import type { Desk } from "../desk.ts";
import { controllerResult, endOf, pausedReason } from "../result.ts";
import { beginMove, Lanes } from "./admit.ts";
import { advanceAll, courseOf } from "./advance.ts";
import { comingTo } from "./coming.ts";
import { byTier, type Duty, dutiesOf, isBusy } from "./duties.ts";
import { beginStop } from "./halt.ts";
import { makeRoom } from "./make-room.ts";
import { note, noteLeavers } from "./notes.ts";
import type { Op } from "./ops.ts";
import { hasNoPlatform, isAlive, isKnownGone, isMarked, pictureOf, staleness } from "./pictures.ts";
import { type Arrangement, arrange, triedFor } from "./targets.ts";

/** Code of a drain that could not empty its host. */
export const BLOCKED = "drain-blocked";

/** How often within one turn a host is emptied again because instances were started on it meanwhile. */
export const MAX_DRAINS = 3;

/**
 * Empties a host that is cordoned: what migrates goes first, what has to stop follows when nothing else is left, and the step ends
 * well only when the host itself shows nothing but what its policy leaves there. What cannot leave is never stopped for that: the
 * drain fails and names it.
 */
export function drain(desk: Desk, step: StepRecord): void {
  const { run, host, fleet, now } = desk;
  const { maintenanceWaitMs } = run.spec.options;
  const late = desk.expired(step.startedT + maintenanceWaitMs)
    ? `the drain did not end within ${durationText(maintenanceWaitMs)}`
    : undefined;
  const course = courseOf(desk, late);
  const ops = advanceAll(desk, course);
  if (desk.hasRecords) return;
  if (course.noMore !== undefined) {
    if (ops.length === 0) endEarly(desk, step, course.noMore, late);
    return;
  }
  const picture = pictureOf(fleet, host.cluster, host.name);
  if (picture && hasNoPlatform(picture)) {
    done(desk, step);
    return;
  }
  const stale = staleness(host.name, picture, now) ?? unmarked(run, picture);
  if (picture === undefined || stale) {
    if (stale) lookAgain(desk, stale);
    return;
  }
  const here = dutiesOf(picture, fleet.pool, run.spec.options).filter(
    (d) => !isKnownGone(host, picture, d.instance.uuid),
  );
  if (tell(desk, here)) return;
  const lost = whereabouts(desk, step);
  if (lost) {
    blocked(desk, step, ops, lost);
    return;
  }
  const left = here.filter((d) => d.how !== "stay");
  if (left.length === 0) {
    if (ops.length > 0) return;
    const last = outlived(host, picture);
    if (last) {
      const text = `${host.name} has not told of its instances since ${last.name} left it`;
      lookAgain(desk, { rule: "no-picture", subject: host.name, text, fix: "" });
      return;
    }
    const coming = comingTo(run, host.name, picture);
    if (coming) {
      lookAgain(desk, coming);
      return;
    }
    noteLeavers(desk, picture, step);
    if (!desk.hasRecords) done(desk, step);
    return;
  }
  if (walkDrains(desk) > MAX_DRAINS) {
    const names = left.map((d) => d.instance.name).join(", ");
    abandon(desk, step, BLOCKED, `instances are started on ${host.name} again and again: ${names}`);
    return;
  }
  if (run.paused) {
    desk.wait(pausedReason(run));
    return;
  }
  moveOn(desk, step, ops, left);
}

function moveOn(desk: Desk, step: StepRecord, ops: readonly Op[], left: readonly Duty[]): void {
  const { run, host, fleet, now } = desk;
  const open = new Set(ops.map((op) => op.uuid));
  const idle = left.filter((d) => !open.has(d.instance.uuid));
  const busy = idle.find((d) => isBusy(d));
  const stopFailed = host.settled.findLast(
    (s) =>
      s.outcome === "failed" &&
      s.purpose === "drain" &&
      s.t >= step.startedT &&
      idle.some((d) => d.instance.uuid === s.uuid),
  );
  if (stopFailed) {
    blocked(desk, step, ops, `instance ${stopFailed.name} could not leave ${host.name}: ${stopFailed.reason}`);
    return;
  }
  const problem = idle.find((d) => d.problem)?.problem;
  if (problem) {
    blocked(desk, step, ops, withFix(problem));
    return;
  }
  const movers = idle.filter((d) => d.how === "move" && !isBusy(d)).sort(byTier);
  const lanes = new Lanes(desk);
  const consented: Duty[] = [];
  if (movers.length > 0) {
    // With as many asked for as may wait there is nothing to decide; what is tried out is seen when one has begun.
    if (!lanes.mayAskFrom(host.name)) return;
    const isSpent = (d: Duty) => triedFor(host, d.instance.uuid).length >= fleet.pool.migration.attempts;
    const spent = movers.find((d) => isSpent(d) && !d.mayStop);
    if (spent) {
      const tried = triedFor(host, spent.instance.uuid);
      blocked(
        desk,
        step,
        ops,
        `instance ${spent.instance.name} could not be moved: ${tried.map((t) => `${t.host}: ${t.why}`).join("; ")}`,
      );
      return;
    }
    const found = arrange(run, host, fleet, now);
    const blocker = found.placement.blockers.find((b) => b.host === host.name || b.host === "");
    if (blocker) {
      standsStill(desk, step, ops, found, blocker.reason);
      return;
    }
    const filled = makeRoom(desk, found.placement.makeRoom, lanes);
    for (const d of movers) {
      const { uuid } = d.instance;
      const to = found.placement.moves.find((m) => m.uuid === uuid)?.to;
      const isStopped = found.placement.stops.some((s) => s.uuid === uuid);
      if (isStopped || isSpent(d)) consented.push(d);
      else if (to !== undefined && !filled.has(to) && lanes.mayAsk(host.name, to)) {
        lanes.ask(host.name, to);
        beginMove(desk, d.instance, "drain", host.name, to);
      }
    }
    if (consented.length < movers.length) return;
  }
  if (busy) {
    desk.wait(underWay(desk, busy));
    return;
  }
  // What has to stop is stopped as late as can be: when all else has left; tier by tier.
  if (ops.length > 0) return;
  const stops = [...consented, ...idle.filter((d) => d.how === "stop" || d.how === "save")].sort(byTier);
  for (const d of stops)
    if (d.settled.tier === stops[0]?.settled.tier)
      beginStop(desk, d.instance, d.how === "save" ? "save" : "stop", d.how === "move" ? "consent" : d.by);
}

/** A migration was given up and no host shows its instance since: a host that shows nothing of it is not empty for that. */
function whereabouts({ host, fleet }: Desk, step: StepRecord): string | undefined {
  const shown = (uuid: string) =>
    fleet.inventoriesOf(host.cluster).some((p) => p.inventory.instances.some((i) => i.uuid === uuid && isAlive(i)));
  const given = host.settled.find(
    (s) =>
      s.outcome === "failed" && s.purpose === "drain" && s.to !== undefined && s.t >= step.startedT && !shown(s.uuid),
  );
  return given?.reason;
}

/** Its host's agent has not said yet that it takes no instances: until then the host may fill as fast as it is emptied. */
function unmarked(run: Run, picture: HostInventory | undefined): Reason | undefined {
  if (picture === undefined || isMarked(picture, run.spec.run)) return undefined;
  return {
    rule: "cordon-unconfirmed",
    subject: picture.host,
    text: `${picture.host}: its agent has not confirmed yet that it takes no instances`,
    fix: "",
  };
}

function underWay(desk: Desk, { instance }: Duty): Reason {
  const what = instance.job || instance.state;
  return {
    rule: "instance-busy",
    subject: desk.host.name,
    text: `instance ${instance.name} on ${desk.host.name} is ${what === "unknown" ? "in a state that its platform does not know" : what}`,
    fix: "",
  };
}

/** An instance that the picture still shows and that the run knows to have gone since. */
function outlived(host: HostRun, picture: HostInventory): Duty["instance"] | undefined {
  return picture.inventory.instances.find((i) => isAlive(i) && isKnownGone(host, picture, i.uuid));
}

/** Pictures may become newer without a change that would call for a decision. */
function lookAgain(desk: Desk, reason: Reason): void {
  desk.wait(reason);
  desk.expired(desk.now + 1_000);
}

/** Tells once what there is to do, and of each instance that comes later. */
function tell(desk: Desk, here: readonly Duty[]): boolean {
  const { host } = desk;
  if (host.evacuees.length === 0) {
    if (here.length === 0) return false;
    const instances = here.map(({ instance: { uuid, name }, how }) => ({ uuid, name, how }));
    desk.record({ type: "evacuation-planned", host: host.name, instances });
    return true;
  }
  const known = new Set(host.evacuees.map((e) => e.uuid));
  for (const { instance, how } of here) {
    if (how === "stay" || known.has(instance.uuid)) continue;
    note(desk, "newcomer", instance.uuid, `instance ${instance.name} was started on ${host.name} while it is emptied`);
  }
  return desk.hasRecords;
}

/** No target for one: a host that will be one again in a moment is waited for. */
function standsStill(desk: Desk, step: StepRecord, ops: readonly Op[], found: Arrangement, reason: Reason): void {
  const { passing, until } = found;
  if (passing && (until === undefined || !desk.expired(until))) {
    desk.wait(passing);
    return;
  }
  blocked(desk, step, ops, withFix(reason));
}

/** What is under way is finished first. */
function blocked(desk: Desk, step: StepRecord, ops: readonly Op[], reason: string): void {
  if (ops.length === 0) abandon(desk, step, BLOCKED, `drain: ${reason}`);
  else
    desk.wait({
      rule: BLOCKED,
      subject: desk.host.name,
      text: `${reason}; what is under way is finished first`,
      fix: "",
    });
}

const withFix = (r: Reason) => (r.fix ? `${r.text}; ${r.fix}` : r.text);

function endEarly(desk: Desk, step: StepRecord, why: string, late: string | undefined): void {
  if (late === why) abandon(desk, step, "drain-timed-out", late);
  else desk.record(endOf(step, controllerResult("cancelled", why, step.startedAt, desk.now - step.startedT)));
}

function done(desk: Desk, step: StepRecord): void {
  desk.record(endOf(step, controllerResult("ok", "", step.startedAt, desk.now - step.startedT)));
}

function abandon(desk: Desk, { host, step, attempt }: StepRecord, code: string, reason: string): void {
  desk.record({ type: "step-abandoned", host, step, attempt, code, reason });
}

/** How often the host has been drained in the present attempt at its turn. */
function walkDrains({ host }: Desk): number {
  return host.steps.slice(host.from).filter((s) => s.step === "drain").length;
}
