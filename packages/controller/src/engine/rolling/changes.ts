import type { FleetView } from "../../domain/fleet.ts";
import type { Run } from "../../domain/run.ts";
import type { Schedule } from "../../domain/schedule.ts";
import { sizeText } from "../../placement/text.ts";
import { basisOf, type Pictured } from "../../planner/schedule/index.ts";
import { hasBegun } from "./fold.ts";

/**
 * What is otherwise than the schedule of the run assumes, in words: instances that came to a host or left it by other hands, hosts that
 * carry or could carry something else. What the run itself has moved is no change. Empty: all is as assumed, as far as can be told.
 */
export function changesSince(
  run: Run,
  schedule: Schedule,
  { snapshot, names, mayStop }: Pictured,
  unsettled: ReadonlySet<string>,
  fleet: FleetView,
): string[] {
  const changes: string[] = [];
  const uuidOf = (name: string) => names.known(name)?.uuid ?? name;
  const live = Map.groupBy(
    snapshot.instances.filter((i) => i.movability === "live" && !mayStop.includes(i.name)),
    (i) => i.host,
  );
  const ownName = new Map(snapshot.instances.map((i) => [uuidOf(i.name), names.known(i.name)?.name ?? i.name]));
  const expected = expectedOn(run, schedule);
  const told = new Set<string>();
  for (const host of run.hosts) {
    if (hasBegun(host) || unsettled.has(host.name)) continue;
    const { here, open } = expected.get(host.name) ?? { here: new Map<string, string>(), open: new Set<string>() };
    const found = new Set((live.get(host.name) ?? []).map((i) => uuidOf(i.name)));
    const came = [...found].filter((uuid) => !here.has(uuid) && !open.has(uuid));
    const left = [...here].filter(([uuid]) => !found.has(uuid) && !mayStop.includes(ownName.get(uuid) ?? ""));
    for (const uuid of came) changes.push(`${ownName.get(uuid) ?? uuid} runs on ${host.name} now`);
    for (const [, name] of left) changes.push(`${name} does not run on ${host.name} any more`);
    if (came.length + left.length > 0) told.add(host.name);
  }
  const [now, moved] = [basisOf(snapshot), movedSince(run, snapshot.instances, uuidOf)];
  for (const [host, was] of Object.entries(schedule.basis ?? {})) {
    const is = now[host];
    if (is === undefined || unsettled.has(host) || told.has(host)) continue;
    const own = run.hosts.find((h) => h.name === host);
    // What is drained stays out, as it should.
    if (own?.outcome === "updated" && own.cordoned) continue;
    if (was[0] > 0 && is[0] === 0) changes.push(whyClosed(run, fleet, host));
    else if (was[0] === 0 && is[0] > 0) changes.push(`${host} takes instances again`);
    else if (was[0] !== is[0]) changes.push(`${host} has room for ${sizeText(is[0])} and had for ${sizeText(was[0])}`);
    const should = was[1] + (moved.get(host) ?? 0);
    if (is[0] > 0 && should !== is[1])
      changes.push(
        `${host} carries ${sizeText(is[1])} of instances where ${sizeText(Math.max(0, should))} were expected`,
      );
  }
  return changes;
}

interface Expected {
  /** By uuid, with names. */
  readonly here: Map<string, string>;
  /** May be there or not: they come from a host whose turn is going on. */
  readonly open: Set<string>;
}

/** What should be on each host by now and has to leave it, as scheduled and as the run has moved it since. */
function expectedOn(run: Run, schedule: Schedule): Map<string, Expected> {
  const out = new Map<string, Expected>();
  const states = new Map(run.hosts.map((h) => [h.name, h]));
  const places = placesSince(run);
  const before = new Map<string, string>();
  for (const { uuid, name, from } of schedule.moves) {
    const expected = out.get(from) ?? { here: new Map(), open: new Set() };
    out.set(from, expected);
    const last = before.get(uuid);
    before.set(uuid, from);
    const isHere = places.has(uuid) ? places.get(uuid) === from : last === undefined;
    if (isHere) expected.here.set(uuid, name);
    else if (last !== undefined) {
      const source = states.get(last);
      if (source === undefined || (hasBegun(source) && source.outcome === undefined)) expected.open.add(uuid);
    }
  }
  return out;
}

/** Where the run's own migrations have put instances since it was scheduled. */
function placesSince({ hosts, scheduledT }: Run): Map<string, string> {
  const moved = hosts.flatMap((h) => h.settled).filter((s) => s.outcome === "moved" && s.t > scheduledT);
  return new Map(moved.sort((x, y) => x.t - y.t).map(({ uuid, to = "" }) => [uuid, to]));
}

/** By how much what hosts carry has changed by the run's own migrations, in MiB. */
function movedSince(
  run: Run,
  instances: Pictured["snapshot"]["instances"],
  uuidOf: (name: string) => string,
): Map<string, number> {
  const sizes = new Map(instances.map((i) => [uuidOf(i.name), i.memoryMiB]));
  const out = new Map<string, number>();
  const add = (host: string, size: number) => out.set(host, (out.get(host) ?? 0) + size);
  for (const h of run.hosts)
    for (const { uuid, outcome, from, to, t } of h.settled) {
      if (outcome !== "moved" || to === undefined || t <= run.scheduledT) continue;
      add(to, sizes.get(uuid) ?? 0);
      add(from, -(sizes.get(uuid) ?? 0));
    }
  return out;
}

function whyClosed(run: Run, fleet: FleetView, host: string): string {
  const own = run.hosts.find((h) => h.name === host);
  if (own?.cordoned) return `${host} ${own.outcome ?? "is out"} and stays cordoned`;
  if ((fleet.host(host)?.cordonedBy.length ?? 0) > 0) return `${host} has been cordoned`;
  return fleet.host(host)?.connected === false ? `${host} is away` : `${host} takes no instances any more`;
}
