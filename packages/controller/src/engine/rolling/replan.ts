import type { FleetView } from "../../domain/fleet.ts";
import type { HostInventory } from "../../domain/inventory.ts";
import type { Run } from "../../domain/run.ts";
import type { Schedule } from "../../domain/schedule.ts";
import { pictureProblem } from "../../placement/index.ts";
import { basisOf, scheduleDifference, scheduleOf, snapshotOf } from "../../planner/schedule/index.ts";
import type { Desk } from "../desk.ts";
import { AWAY_PATIENCE_MS } from "../evacuate/targets.ts";
import { changesSince } from "./changes.ts";
import { hasBegun } from "./fold.ts";
import { onTheWay, restOf, unsettledHosts } from "./rest.ts";

/** So many changes are named in the log; the rest is counted. */
const MOST_TOLD = 4;

/** What the world looked like when a schedule was last compared with it; nothing is worked out again while it looks the same. */
const looked = new WeakMap<Schedule, { readonly key: readonly unknown[]; readonly changes: string }>();

/**
 * Before a host begins: is the world as the schedule of the run assumes? If not, the rest of the run is planned anew from present
 * pictures and that is recorded. Where no plan is found the old order goes on, each host's own gate decides, and the host says so.
 * True when something was recorded. While a host only waits, changes that made no difference are not planned with again and again.
 */
export function replan(desk: Desk, isWaiting: boolean): boolean {
  const { run, host, fleet, now } = desk;
  const { schedule } = run;
  // At most once in one moment, whatever the planner makes of it.
  if (schedule?.basis === undefined || run.scheduledT === now) return false;
  const pictures = picturesOf(run, fleet);
  if (isUnclear(run, fleet, pictures, now)) return false;
  const key = keyOf(run, fleet, pictures, now);
  const last = looked.get(schedule);
  if (last?.key.length === key.length && last.key.every((k, i) => k === key[i])) return false;
  const rest = restOf(run, fleet, now);
  const pictured = snapshotOf(rest);
  const unsettled = unsettledHosts(run, fleet);
  const changes = changesSince(run, schedule, pictured, unsettled, fleet);
  looked.set(schedule, { key, changes: changes.join() });
  if (changes.length === 0 || (isWaiting && last?.changes === changes.join())) return false;
  const found = scheduleOf({ ...rest, onTheWay: onTheWay(run, fleet) });
  if (found.kind === "none") {
    const why = found.reasons.map((r) => r.text).join("; ");
    const text = `${told(changes)}, and there is no plan for the rest of the run any more: ${why}; it goes on in the order that it had, and each host is asked at its own turn`;
    if (run.hosts.some((h) => h.notes.some((n) => n.rule === "no-plan" && n.text === text))) return false;
    desk.record({ type: "host-noted", host: host.name, note: { rule: "no-plan", subject: host.name, text, fix: "" } });
    return true;
  }
  const basis = Object.fromEntries(Object.entries(basisOf(pictured.snapshot)).filter(([name]) => !unsettled.has(name)));
  const next = { ...waved(run, found.schedule), basis };
  const begun = new Set(run.hosts.filter(hasBegun).map((h) => h.name));
  const difference = scheduleDifference(schedule, next, begun);
  if (Object.values(difference).every((list) => list.length === 0)) return false;
  desk.record({ type: "run-replanned", schedule: next, difference, reason: told(changes) });
  return true;
}

function picturesOf(run: Run, fleet: FleetView): HostInventory[] {
  return [...new Set(run.hosts.map((h) => h.cluster))].flatMap((c) => fleet.inventoriesOf(c));
}

/** A host that is to come, or that was counted on, has just gone silent: in a moment it is back or counts as lost. */
function isUnclear(run: Run, fleet: FleetView, pictures: readonly HostInventory[], now: number): boolean {
  const toCome = new Set(run.hosts.filter((h) => !hasBegun(h)).map((h) => h.name));
  const going = new Set(run.hosts.filter((h) => hasBegun(h) && h.outcome === undefined).map((h) => h.name));
  return pictures.some((p) => {
    if (going.has(p.host) || pictureProblem(p, now) === undefined) return false;
    const fact = fleet.host(p.host);
    const since = fact?.connected === false ? fact.sinceT : p.readT;
    return toCome.has(p.host) || fact?.connected === true || now < since + AWAY_PATIENCE_MS;
  });
}

function keyOf(run: Run, fleet: FleetView, pictures: readonly HostInventory[], now: number): unknown[] {
  const hosts = run.hosts.map((h) => `${h.name} ${h.outcome ?? (hasBegun(h) ? "out" : "")} ${h.settled.length}`).join();
  const marks = pictures.map(
    (p) => `${fleet.host(p.host)?.cordonedBy.join("+")} ${pictureProblem(p, now)?.rule ?? ""}`,
  );
  const unsettled = unsettledHosts(run, fleet);
  // Those tell nothing that is gone by, and their pictures change all the time.
  const settled = pictures.filter((p) => !unsettled.has(p.host)).map((p) => p.inventory);
  return [fleet.pool, fleet.quorum, hosts, marks.join(), [...unsettled].join(), ...settled];
}

/** Waves are counted on: a wave of which hosts are still to come goes on with the first of the rest. */
function waved(run: Run, schedule: Schedule): Schedule {
  const begun = Math.max(0, ...run.hosts.filter(hasBegun).map((h) => h.wave));
  const goesOn = run.hosts.some((h) => !hasBegun(h) && h.wave === begun);
  const by = begun + (goesOn ? 0 : 1) - Math.min(...schedule.turns.map((t) => t.wave));
  if (by === 0 || schedule.turns.length === 0) return schedule;
  const shifted = <T extends { readonly wave: number }>(of: T): T => ({ ...of, wave: Math.max(1, of.wave + by) });
  return { ...schedule, turns: schedule.turns.map(shifted), moves: schedule.moves.map(shifted) };
}

function told(changes: readonly string[]): string {
  const more = changes.length - MOST_TOLD;
  return more > 1 ? `${changes.slice(0, MOST_TOLD).join(", ")}, and ${more} more changes` : changes.join(", ");
}
