import { durationText } from "@slipway/shared";
import type { HostInventory } from "../../domain/inventory.ts";
import type { HostRun, LedgerRecord, Run, StepRecord } from "../../domain/run.ts";
import { settle } from "../../placement/index.ts";
import type { Desk } from "../desk.ts";
import { controllerResult, endOf, pausedReason } from "../result.ts";
import { advanceAll, courseOf } from "./advance.ts";
import { beginStart, closeEntry, pendingStop, recallStop } from "./halt.ts";
import { notStarted } from "./notes.ts";
import type { Op } from "./ops.ts";
import { hasNoPlatform, isAlive, pictureOf, staleness } from "./pictures.ts";
import { bringBack, returnMode } from "./return.ts";

/** How often an instance is tried to be started in one restore. */
const START_ATTEMPTS = 2;

/**
 * Puts back what the turn of a host took away: once the host itself shows what it has, what was stopped there is started, then
 * what should come back returns. What cannot be started stays in the ledger; what cannot return is told. Neither fails the host.
 */
export function restore(desk: Desk, step: StepRecord): void {
  const { run, host, fleet, now } = desk;
  const { maintenanceWaitMs } = run.spec.options;
  const late = desk.expired(step.startedT + maintenanceWaitMs)
    ? `the restore did not end within ${durationText(maintenanceWaitMs)}`
    : undefined;
  // An abort and an operator's word are what restores are for; only time ends one.
  const { givesUp } = courseOf(desk, undefined);
  const ops = advanceAll(desk, { noMore: late, cancel: late, givesUp });
  takeOver(desk);
  if (desk.hasRecords) return;
  const entries = entriesOf(run, host);
  const picture = pictureOf(fleet, host.cluster, host.name);
  const mode = returnMode(run, host);
  const isUntouched = entries.length === 0 && mode === "none" && wasNotWorkedOn(run, host);
  if (ops.length === 0 && (isUntouched || hasNoPlatform(picture))) {
    done(desk, step);
    return;
  }
  const stale = staleness(host.name, picture, now);
  if (stale || picture === undefined) {
    if (stale) desk.wait(stale);
    if (late !== undefined && ops.length === 0) {
      const { host: name, step: what, attempt } = step;
      const reason = stale ? `${late}: ${stale.text}` : late;
      desk.record({ type: "step-abandoned", host: name, step: what, attempt, code: "restore-timed-out", reason });
    }
    return;
  }
  const waiting = startAgain(desk, step, picture, entries, ops, late);
  if (desk.hasRecords || waiting) return;
  if (!bringBack(desk, step, mode, late) || desk.hasRecords || ops.length > 0) return;
  done(desk, step);
}

/** Instances that stand in this run's ledger as stopped for the turn of the host. */
function entriesOf(run: Run, host: HostRun): LedgerRecord[] {
  return run.ledger.filter((l) => l.host === host.name && l.kind === "instance" && l.closedAt === undefined);
}

/** What earlier runs, now over, have left stopped on the host is this run's to start. */
function takeOver(desk: Desk): void {
  const { run, host, fleet } = desk;
  for (const standing of fleet.ledgerOf(host.name)) {
    const { kind, subject, change, undo, name } = standing.entry;
    if (kind !== "instance" || !standing.runEnded || standing.run === run.spec.run) continue;
    const id = `${run.spec.run}:${host.name}:${subject}:from-${standing.run}`;
    if (run.ledger.some((l) => l.id === id)) continue;
    desk.record({ type: "ledger-opened", id, host: host.name, change, undo, kind, subject, name });
    desk.takeOver(standing);
  }
}

/** Was there neither maintenance nor a reboot in this attempt? Then there is no health to be waited for. */
function wasNotWorkedOn(run: Run, host: HostRun): boolean {
  if (run.spec.options.op === "restore") return false;
  return !host.steps.slice(host.from).some((s) => s.step === "Maintenance" || s.step === "reboot");
}

/**
 * Where else an instance is that was stopped here, by what was seen since; `isSure`: it runs there. Started here it would run twice.
 * A picture from before the stop says nothing.
 */
function aliveElsewhere({ run, host, fleet, now }: Desk, uuid: string): { host: string; isSure: boolean } | undefined {
  const stops = run.hosts.flatMap((h) => h.settled).filter((s) => s.uuid === uuid && s.purpose === "drain");
  const since = stops.findLast((s) => s.outcome === "stopped" || s.outcome === "saved")?.t ?? Number.NEGATIVE_INFINITY;
  for (const p of fleet.inventoriesOf(host.cluster)) {
    const there =
      p.host === host.name || p.readT < since ? undefined : p.inventory.instances.find((i) => i.uuid === uuid);
    if (there === undefined || !isAlive(there)) continue;
    const runs = there.state === "running" || there.state === "paused";
    return { host: p.host, isSure: runs && staleness(p.host, p, now) === undefined };
  }
  return undefined;
}

/** Starts what was stopped, lower tiers first. True while there is something to wait for. */
function startAgain(
  desk: Desk,
  step: StepRecord,
  picture: HostInventory,
  entries: readonly LedgerRecord[],
  ops: readonly Op[],
  late: string | undefined,
): boolean {
  const { run, host, fleet } = desk;
  const due: { entry: LedgerRecord; tier: number }[] = [];
  let isPending = false;
  for (const entry of entries) {
    const { subject: uuid, name } = entry;
    if (ops.some((op) => op.uuid === uuid)) continue;
    const here = picture.inventory.instances.find((i) => i.uuid === uuid);
    const elsewhere = aliveElsewhere(desk, uuid);
    const pending = pendingStop(host, uuid);
    if (pending && late === undefined) {
      recallStop(desk, pending);
      isPending = true;
      continue;
    }
    const tries = host.settled.filter((s) => s.uuid === uuid && s.purpose === "restore" && s.t >= step.startedT);
    if (pending) notStarted(desk, uuid, name, "whether its host still shuts it down is not known");
    else if (here && (here.state === "running" || here.state === "paused")) closeEntry(desk, uuid, "it runs");
    else if (elsewhere?.isSure) closeEntry(desk, uuid, `it is on ${elsewhere.host}, by other hands`);
    else if (elsewhere && late === undefined) {
      const text = `instance ${name} may run on ${elsewhere.host}, which does not say so just now`;
      desk.wait({
        rule: "instance-unknown",
        subject: host.name,
        text,
        fix: `look at slipway-agent on ${elsewhere.host}`,
      });
      desk.expired(desk.now + 1_000);
      isPending = true;
    } else if (elsewhere) notStarted(desk, uuid, name, `it may run on ${elsewhere.host}, which does not say so`);
    else if (here === undefined) notStarted(desk, uuid, name, `it is not defined on ${host.name} any more`);
    else if (tries.length >= START_ATTEMPTS) notStarted(desk, uuid, name, tries.at(-1)?.reason ?? "");
    else if (late !== undefined) notStarted(desk, uuid, name, late);
    else due.push({ entry, tier: settle(here, fleet.pool).tier });
  }
  if (desk.hasRecords) return true;
  if (ops.some((op) => op.kind !== "move")) return true;
  if (due.length === 0) return isPending;
  if (run.paused) {
    desk.wait(pausedReason(run));
    return true;
  }
  const first = Math.min(...due.map((d) => d.tier));
  for (const { entry, tier } of due) if (tier === first) beginStart(desk, entry.subject, entry.name);
  return true;
}

function done(desk: Desk, step: StepRecord): void {
  desk.record(endOf(step, controllerResult("ok", "", step.startedAt, desk.now - step.startedT)));
}
