import type { HostInventory } from "../../domain/inventory.ts";
import type { HostRun, Run, StepRecord } from "../../domain/run.ts";
import type { RunOptions } from "../../domain/words.ts";
import { returnsOf } from "../../placement/index.ts";
import type { Desk } from "../desk.ts";
import { pausedReason } from "../result.ts";
import { beginMove, Lanes } from "./admit.ts";
import { note } from "./notes.ts";
import { pictureOf, staleness } from "./pictures.ts";
import { comingBack, inFlightOf } from "./targets.ts";

/** What comes back: after a drain that failed, or a turn that was cut short, only what the operator chose for that. */
export function returnMode(run: Run, host: HostRun): RunOptions["return"] {
  const { options } = run.spec;
  if (options.op === "restore") return options.return;
  const walk = host.steps.slice(host.from);
  const isCutShort =
    run.abort !== undefined ||
    host.directed !== undefined ||
    walk.some((s) => s.step === "drain" && s.result?.verdict !== "ok");
  if (isCutShort) return options.onDrainFailure === "return" ? "exact" : "none";
  return options.return;
}

/**
 * Brings instances back to the host that is being restored, each tried once, as many as find room. True once nothing is left to
 * try. Their host takes them because the cordon is this run's.
 */
export function bringBack(desk: Desk, step: StepRecord, mode: RunOptions["return"], late: string | undefined): boolean {
  if (mode === "none") return true;
  const { run, host, fleet } = desk;
  const tried = new Set(host.settled.filter((s) => s.purpose === "return" && s.t >= step.startedT).map((s) => s.uuid));
  for (const s of host.settled)
    if (s.purpose === "return" && s.t >= step.startedT && s.outcome === "stayed")
      notBack(desk, s.uuid, s.name, s.from, s.reason);
  if (desk.hasRecords) return false;
  const hosts = fleet.inventoriesOf(host.cluster);
  if (late === undefined && isOutOfSight(desk, hosts)) return false;
  const inFlight = inFlightOf(run, fleet, host.cluster);
  const found = returnsOf({
    ...{ host: host.name, hosts, pool: fleet.pool, mode, inFlight },
    away: awayFrom(run, host),
    comingBack: comingBack(run, fleet, hosts),
    closed: notAsked(desk),
  });
  const wanted = found.moves.filter(({ uuid }) => !tried.has(uuid));
  for (const { rule, subject, text, fix } of found.refused)
    if (!host.notes.some((n) => n.text === text))
      desk.record({ type: "host-noted", host: host.name, note: { rule: `not-returned-${rule}`, subject, text, fix } });
  if (desk.hasRecords) return false;
  if (wanted.length === 0) return true;
  const never = late ?? closedByOthers(desk);
  if (never !== undefined) {
    for (const { uuid, name, from } of wanted) notBack(desk, uuid, name, from, never);
    return !desk.hasRecords;
  }
  if (run.paused) {
    desk.wait(pausedReason(run));
    return false;
  }
  const lanes = new Lanes(desk);
  for (const { uuid, from } of wanted) {
    const instance = pictureOf(fleet, host.cluster, from)?.inventory.instances.find((i) => i.uuid === uuid);
    if (!instance || !lanes.mayAsk(from, host.name)) continue;
    lanes.ask(from, host.name);
    beginMove(desk, instance, "return", from, host.name);
  }
  return false;
}

/** How long the picture of a target may take to show what has just arrived there, in milliseconds. */
const ARRIVAL_MS = 5_000;

/** An instance has just been moved away and no picture shows it yet, or only on its way: whether it returns cannot be decided. */
function isOutOfSight(desk: Desk, hosts: readonly HostInventory[]): boolean {
  const there = hosts.flatMap((h) => h.inventory.instances.filter((i) => i.state !== "incoming"));
  const seen = new Set(there.map((i) => i.uuid));
  const missing = desk.host.settled.find(
    (s) => s.purpose === "drain" && s.outcome === "moved" && !seen.has(s.uuid) && !desk.expired(s.t + ARRIVAL_MS),
  );
  if (!missing) return false;
  const { name, to } = missing;
  const text = `instance ${name} has just moved to ${to}, which does not show it yet`;
  desk.wait({ rule: "not-shown-yet", subject: desk.host.name, text, fix: "" });
  return true;
}

/** This run's own cordon lets returns in, and so does one of a run that is over, which it takes over; somebody else's does not. */
function closedByOthers({ fleet, run, host }: Desk): string | undefined {
  const mine = fleet.ledgerOf(host.name).filter((e) => e.entry.kind === "cordon" && e.runEnded);
  const others = (fleet.host(host.name)?.cordonedBy ?? []).filter(
    (holder) => holder !== run.spec.run && !mine.some((e) => e.run === holder),
  );
  if (others.length === 0) return undefined;
  return `${host.name} is cordoned by ${others.map((h) => (h === "operator" ? "an operator" : `run ${h}`)).join(" and ")}, too`;
}

/** What this run, or one whose entries it took over, has moved away from the host. */
function awayFrom(run: Run, host: HostRun): string[] {
  const moved = host.settled.filter((s) => s.purpose === "drain" && s.outcome === "moved" && s.from === host.name);
  const taken = run.ledger.flatMap((l) => (l.host === host.name ? (l.away ?? []) : []));
  return [...moved.map((s) => s.uuid), ...taken];
}

/** Hosts that instances are not taken from: too little is known of them, or they are emptied in a turn of their own. */
function notAsked(desk: Desk): Set<string> {
  const { run, host, fleet, now } = desk;
  const out = new Set(run.hosts.filter((h) => h.cordoned && h.name !== host.name).map((h) => h.name));
  for (const p of fleet.inventoriesOf(host.cluster)) if (staleness(p.host, p, now)) out.add(p.host);
  return out;
}

function notBack(desk: Desk, uuid: string, name: string, from: string, why: string): void {
  note(
    desk,
    "not-returned",
    uuid,
    `instance ${name} stays on ${from} and does not return to ${desk.host.name}: ${why}`,
  );
}
