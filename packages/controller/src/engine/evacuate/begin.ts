import type { ActionRecord } from "../../domain/action.ts";
import { noPlaceAnyMore } from "../../placement/index.ts";
import type { Course, Desk } from "../desk.ts";
import type { Lanes } from "./admit.ts";
import { closedMeanwhile } from "./coming.ts";
import { dutiesOf, isBusy } from "./duties.ts";
import { baseOf, isOpen, type Op, QUICK_MS, settleOp, startAction, whyNotDone } from "./ops.ts";
import { isAlive, pictureOf, staleness } from "./pictures.ts";
import { comingBack, inFlightOf } from "./targets.ts";

/** The word of a target that is older than this is asked for once more before the migration begins, in milliseconds. */
const ADMITTED_MS = 60_000;
/** A target of which too little is known is waited for this long by what waits anyway, in milliseconds. */
const TARGET_AWAY_MS = 10_000;

/**
 * The part of a migration before it begins: its target is asked ahead and holds room for it, a lane is waited for, and it begins the
 * moment one is free. Nothing has touched the instance so far; what is not to move any more is withdrawn, so that the target forgets it.
 */
export function beginWhenFree(desk: Desk, op: Op, course: Course, lanes: Lanes): void {
  const last = op.actions.at(-1);
  if (last === undefined || isOpen(last)) return;
  const unwanted = course.noMore ?? closedMeanwhile(desk, op) ?? changedMeanwhile(desk, op) ?? awayForLong(desk, op);
  if (last.verb === "withdraw") {
    const reason = unwanted ?? fullMeanwhile(desk, op) ?? `it was not to move to ${op.to} any more`;
    settleOp(desk, op, "stayed", { reason });
    return;
  }
  // An admission that failed, or is not known, has not touched the instance.
  if (last.result?.verdict !== "ok") {
    settleOp(desk, op, "stayed", { reason: whyNotDone(last) });
    return;
  }
  if (unwanted !== undefined) {
    withdraw(desk, op);
    return;
  }
  if (desk.run.paused || isHeldUp(desk, op) || !lanes.mayBegin(op.from, op.to)) return;
  if (!isFresh(desk, last)) {
    const { kind: _, ...spec } = last.spec;
    startAction(desk, "admit", op.to, op.uuid, spec);
    return;
  }
  const full = fullMeanwhile(desk, op);
  if (full !== undefined) {
    withdraw(desk, op);
    return;
  }
  lanes.begin(op.from, op.to);
  migrate(desk, op);
}

function withdraw(desk: Desk, op: Op): void {
  startAction(desk, "withdraw", op.to, op.uuid, baseOf(op, QUICK_MS));
}

/** A controller that was away does not know for how long. */
function isFresh({ fleet, now }: Desk, { endedT = 0 }: ActionRecord): boolean {
  return endedT > (fleet.startedT ?? Number.NEGATIVE_INFINITY) && now <= endedT + ADMITTED_MS;
}

/** It has gone or stopped by itself while it waited, or is not to be moved by its policy any more. */
function changedMeanwhile({ fleet, host, run, now }: Desk, { from, name, purpose, uuid }: Op): string | undefined {
  const picture = pictureOf(fleet, host.cluster, from);
  if (picture === undefined || staleness(from, picture, now)) return undefined;
  const here = picture.inventory.instances.find((i) => i.uuid === uuid);
  if (!here || !isAlive(here)) return `${name} does not run on ${from} any more`;
  if (purpose !== "drain") return undefined;
  const duty = dutiesOf(picture, fleet.pool, run.spec.options).find((d) => d.instance.uuid === uuid);
  return duty?.how === "move" && !duty.problem ? undefined : `${name} is not to be moved away from ${from} any more`;
}

/** Room was held for it at its target, but somebody else may have taken it, or the target has less than before. */
function fullMeanwhile({ fleet, host, run }: Desk, { to, uuid }: Op): string | undefined {
  const hosts = fleet.inventoriesOf(host.cluster);
  const picture = hosts.find((p) => p.host === to);
  if (picture === undefined) return undefined;
  const coming = inFlightOf(run, fleet, host.cluster).filter((f) => f.to === to);
  return noPlaceAnyMore(uuid, picture, coming, fleet.pool, comingBack(run, fleet, hosts));
}

/** Its target has told nothing for too long to be counted on. */
function awayForLong({ fleet, host, now }: Desk, { to }: Op): string | undefined {
  const away = staleness(to, pictureOf(fleet, host.cluster, to), now);
  return away && now >= awaySince(fleet, to, host.cluster) + TARGET_AWAY_MS ? away.text : undefined;
}

function awaySince(fleet: Desk["fleet"], name: string, cluster: string): number {
  const fact = fleet.host(name);
  return fact?.connected === false ? fact.sinceT : (pictureOf(fleet, cluster, name)?.readT ?? 0);
}

/** Too little is known of one side just now, or somebody else has something under way with the instance. */
function isHeldUp(desk: Desk, { from, name, to, uuid }: Op): boolean {
  const { fleet, host, now } = desk;
  const source = pictureOf(fleet, host.cluster, from);
  const stale = staleness(from, source, now);
  const away = staleness(to, pictureOf(fleet, host.cluster, to), now);
  if (away) desk.expired(awaySince(fleet, to, host.cluster) + TARGET_AWAY_MS);
  const here = source?.inventory.instances.find((instance) => instance.uuid === uuid);
  const isTaken = here !== undefined && isBusy({ instance: here });
  const text = `instance ${name} on ${from} is ${here?.job || here?.state}`;
  const busy = isTaken ? { rule: "instance-busy", subject: host.name, text, fix: "" } : undefined;
  const reason = stale ?? away ?? busy;
  if (reason) desk.wait(reason);
  return reason !== undefined;
}

function migrate(desk: Desk, op: Op): void {
  const limits = desk.fleet.pool.migration;
  const capacity = pictureOf(desk.fleet, desk.host.cluster, op.to)?.inventory.capacity;
  const disks = op.actions[0]?.spec.copies ?? [];
  startAction(desk, "move", op.from, op.uuid, {
    ...baseOf(op, limits.timeoutMs),
    move: {
      to: op.to,
      uri: capacity?.migrationUri ?? "",
      address: capacity?.migrationAddress ?? "",
      storage: disks.length > 0 ? "all" : "",
      bandwidthMib: limits.bandwidthMib,
      downtimeMs: limits.downtimeMs,
      autoConverge: limits.autoConverge,
      postCopy: limits.postCopy,
      stuckMs: limits.stuckMs,
      disks,
    },
  });
}
