import { naturalCompare } from "@slipway/shared";
import type { PoolConfig } from "../domain/pool.ts";
import type { Reason } from "../domain/words.ts";
import { Arranger, type Leaver } from "./arrange.ts";
import { explain, noReserve } from "./explain.ts";
import { pushAside, withoutRoom } from "./make-room.ts";
import { smallestRemoval } from "./removal.ts";
import { copyOf, guestOf, put, type Site, siteOf, takesRoom } from "./room.ts";
import type { Blocker, Move, Mover, Placement, Question, Role } from "./types.ts";

/**
 * Where every mover goes: all of them packed together onto what remains, with what is there and what is on its way. Deterministic;
 * the order of hosts and movers does not matter.
 */
export function place(question: Question): Placement {
  const comingBack = question.comingBack ?? new Set<string>();
  const hosts = [...question.hosts].sort((a, b) => naturalCompare(a.host, b.host));
  const sites = new Map(hosts.map((h) => [h.host, siteOf(h, question.pool, comingBack)]));
  for (const { instance, to } of question.inFlight ?? []) {
    const site = sites.get(to);
    const guest = guestOf(instance, question.pool);
    if (site) put(site, guest, guest.arrival);
  }
  const onTheWay = new Set((question.inFlight ?? []).map((f) => f.instance.uuid));
  const movers = question.movers.filter((m) => !onTheWay.has(m.uuid));
  const { made, refused } = pushAside(question.makeRoom ?? [], sites, question.roles, question.pool);
  const { placement } = placeOn(sites, question.roles, movers, question.mayStop ?? new Set(), question.pool);
  return { ...placement, makeRoom: made, blockers: placement.blockers.map((b) => withoutRoom(b, refused)) };
}

/** The same on hosts as they are imagined. `after`: how they are then; the sites given are not touched. */
export function placeOn(
  sites: ReadonlyMap<string, Site>,
  roles: ReadonlyMap<string, Role>,
  movers: readonly Mover[],
  mayStop: ReadonlySet<string>,
  pool: PoolConfig,
): { placement: Placement; after: Map<string, Site> } {
  const stays: string[] = [];
  const leavers: Leaver[] = [];
  for (const mover of movers) {
    const guest = sites.get(mover.from)?.guests.get(mover.uuid);
    if (guest && takesRoom(guest.instance, new Set()))
      leavers.push({ guest, from: mover.from, avoid: mover.avoid ?? [], wanted: mover.wanted });
    else stays.push(mover.uuid);
  }
  leavers.sort(
    (a, b) => naturalCompare(a.from, b.from) || naturalCompare(a.guest.instance.name, b.guest.instance.name),
  );

  const arranger = new Arranger(sites, roles, pool);
  const blockers: Blocker[] = [];
  // Where nothing is taken out nothing is made worse.
  const out = [...sites.values()].filter((site) => arranger.role(site.name).is === "source");
  if (!arranger.keepReserve()) blockers.push(...noReserve(out, pool));
  const removed = smallestRemoval(leavers, (l) => mayStop.has(l.guest.instance.uuid), arranger);
  const rest = leavers.filter((l) => !removed.includes(l));
  const targets = arranger.arrange(rest) ?? new Map<Leaver, string>();

  const moves: Move[] = [];
  const warnings: Reason[] = [];
  const after = new Map(sites);
  for (const leaver of rest) {
    const to = targets.get(leaver) ?? "";
    const before = after.get(to);
    if (!before) continue;
    const site = before === sites.get(to) ? copyOf(before) : before;
    after.set(to, site);
    const { uuid, name } = leaver.guest.instance;
    put(site, leaver.guest, leaver.guest.arrival);
    moves.push({ uuid, name, from: leaver.from, to });
    if (arranger.deadEnd(leaver, before))
      warnings.push({
        rule: "cpu-one-way",
        subject: name,
        text: `${name} can run on ${to} but not leave it again: no other host has all CPU features of ${to}`,
        fix: `give ${name} a CPU model that all hosts can run`,
      });
  }
  const stops: Placement["stops"][number][] = [];
  for (const leaver of removed) {
    const blocker = explain(leaver, after, arranger);
    const { uuid, name } = leaver.guest.instance;
    if (mayStop.has(uuid)) stops.push({ uuid, name, from: leaver.from, reason: blocker.reason });
    else blockers.push(blocker);
  }
  return {
    placement: { feasible: blockers.length === 0, moves, makeRoom: [], stops, stays, blockers, warnings },
    after,
  };
}
