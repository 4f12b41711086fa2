import type { FleetView } from "../../domain/fleet.ts";
import type { HostRun, Run } from "../../domain/run.ts";
import type { Reason } from "../../domain/words.ts";
import type { ScheduleInput, ScopedHost } from "../../planner/schedule/index.ts";
import { opsOfRun } from "../evacuate/ops.ts";
import { isAlive, isKnownGone } from "../evacuate/pictures.ts";
import { comingBack } from "../evacuate/targets.ts";
import { hasBegun } from "./fold.ts";

/** The rest of a run as the planner is asked about it: what is over is done, what goes on is out, what is to come is in scope. */
export function restOf(run: Run, fleet: FleetView, now: number): ScheduleInput {
  const clusters = [...new Set(run.hosts.map((h) => h.cluster))];
  const pictures = clusters.flatMap((c) => fleet.inventoriesOf(c));
  return {
    hosts: run.hosts.map((h) => scoped(h, now)),
    inventories: (cluster) => fleet.inventoriesOf(cluster),
    pool: fleet.pool,
    ...(fleet.quorum ? { quorum: fleet.quorum } : {}),
    labels: (host) => fleet.host(host)?.labels,
    closed: (host) => closedFor(run, fleet, host),
    options: run.spec.options,
    ...(fleet.usual ? { durations: fleet.usual } : {}),
    nowT: now,
    comingBack: comingBack(run, fleet, pictures),
  };
}

function scoped(host: HostRun, now: number): ScopedHost {
  const { name, cluster } = host;
  if (!hasBegun(host)) return { name, cluster, state: "in-scope" };
  if (host.outcome !== undefined) return { name, cluster, state: "done" };
  const since = host.steps.findLast((s) => s.step === "drain")?.endedT;
  return { name, cluster, state: "out", ...(since === undefined ? {} : { awayMs: now - since }) };
}

/** A host that has ended and is still out of service is none to move anything to, like one that others keep cordoned. */
function closedFor(run: Run, fleet: FleetView, name: string): Reason | undefined {
  const own = run.hosts.find((h) => h.name === name);
  const because = (rule: string, text: string): Reason => ({
    ...{ rule, subject: name, text },
    fix: `slipway uncordon ${name}`,
  });
  if (own?.outcome !== undefined && own.cordoned)
    return because("cordoned", `${name} ${own.outcome} and stays cordoned`);
  const who = fleet.host(name)?.cordonedBy.filter((holder) => holder !== run.spec.run) ?? [];
  if (who.length === 0) return undefined;
  return because(
    "cordoned",
    `${name} is cordoned by ${who.map((w) => (w === "operator" ? "an operator" : `run ${w}`)).join(" and ")}`,
  );
}

/** Instances (uuid) that are on their way, or still have to leave a host whose turn is going on: where they will be. */
export function onTheWay(run: Run, fleet: FleetView): Map<string, string> {
  const out = new Map<string, string>();
  for (const op of opsOfRun(run)) if (op.kind === "move") out.set(op.uuid, op.to);
  for (const host of run.hosts) {
    if (host.outcome !== undefined || !hasBegun(host)) continue;
    const picture = fleet.inventoriesOf(host.cluster).find((p) => p.host === host.name);
    if (picture === undefined) continue;
    const here = new Set(
      picture.inventory.instances.filter((i) => isAlive(i) && !isKnownGone(host, picture, i.uuid)).map((i) => i.uuid),
    );
    for (const m of run.schedule?.moves ?? [])
      if (m.from === host.name && m.kind === "drain" && here.has(m.uuid) && !out.has(m.uuid)) out.set(m.uuid, m.to);
  }
  return out;
}

/**
 * Hosts of which no picture can tell yet what runs there: migrations come and go, or have, since it was taken. One that is away tells
 * nothing more, so that what it told last counts.
 */
export function unsettledHosts(run: Run, fleet: FleetView): ReadonlySet<string> {
  const out = new Set<string>();
  for (const op of opsOfRun(run)) for (const host of [op.from, op.to]) out.add(host);
  const readT = new Map<string, number>();
  for (const cluster of new Set(run.hosts.map((h) => h.cluster)))
    for (const p of fleet.inventoriesOf(cluster)) readT.set(p.host, p.readT);
  for (const host of run.hosts) {
    if (host.outcome === undefined && hasBegun(host)) out.add(host.name);
    for (const { from, to = from, t } of host.settled)
      for (const side of [from, to])
        if (fleet.host(side)?.connected !== false && t >= (readT.get(side) ?? Number.POSITIVE_INFINITY)) out.add(side);
  }
  return out;
}
