import { naturalCompare } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { Reason, RunOptions } from "../domain/words.ts";
import { type Leaver, rivals, unitsOf } from "./arrange.ts";
import { movesFreely } from "./duties.ts";
import { misfits, ties } from "./obstacles.ts";
import { fits, guestOf, put, remove, type Site, shortages, siteOf } from "./room.ts";
import { memoryOf } from "./settle.ts";
import { listText, sentence } from "./text.ts";
import type { InFlight, Move } from "./types.ts";

export interface Returns {
  /** In the order in which they should go: important tiers first, then large ones. */
  readonly moves: readonly Move[];
  /** Those that belong here and stay elsewhere; never a failure of the run. */
  readonly refused: readonly Reason[];
}

/**
 * Which instances go back to a host that is in service again. `away`: uuids that this run moved away from it. With `exact` all of
 * those; with `preferred` those whose home it is, whoever moved them.
 */
export function returnsOf(question: {
  readonly host: string;
  readonly hosts: readonly HostInventory[];
  readonly pool: PoolConfig;
  readonly mode: RunOptions["return"];
  readonly away: readonly string[];
  readonly inFlight?: readonly InFlight[];
  readonly comingBack?: ReadonlySet<string>;
  /** Hosts of which too little is known to move anything from them. */
  readonly closed?: ReadonlySet<string>;
}): Returns {
  const { pool } = question;
  const sites = new Map(question.hosts.map((h) => [h.host, siteOf(h, pool, question.comingBack ?? new Set())]));
  const moving = new Set<string>();
  for (const { instance, to } of question.inFlight ?? []) {
    moving.add(instance.uuid);
    const site = sites.get(to);
    const guest = guestOf(instance, pool);
    if (site) put(site, guest, guest.arrival);
  }
  const skip = (host: string, uuid: string) => question.closed?.has(host) || moving.has(uuid);
  return returnTo(question.host, sites, pool, question.mode, new Set(question.away), skip);
}

/** The same on imagined hosts, which are changed accordingly. */
export function returnTo(
  host: string,
  sites: Map<string, Site>,
  pool: PoolConfig,
  mode: RunOptions["return"],
  away: ReadonlySet<string>,
  skip: (host: string, uuid: string) => boolean = () => false,
): Returns {
  const target = sites.get(host);
  if (mode === "none" || !target) return { moves: [], refused: [] };
  const leavers: Leaver[] = [];
  for (const site of sites.values())
    if (site !== target)
      for (const guest of site.guests.values()) {
        const { uuid } = guest.instance;
        const belongs = mode === "exact" ? away.has(uuid) : guest.settled.home === host;
        if (belongs && guest.instance.state !== "shutoff" && !skip(site.name, uuid))
          leavers.push({ guest, from: site.name, avoid: [] });
      }
  leavers.sort(
    (a, b) =>
      a.guest.settled.tier - b.guest.settled.tier ||
      memoryOf(b.guest.instance) - memoryOf(a.guest.instance) ||
      naturalCompare(a.guest.instance.name, b.guest.instance.name),
  );
  const moves: Move[] = [];
  const refused: Reason[] = [];
  for (const unit of unitsOf(leavers)) {
    const why = unit.map((l) => obstacleTo(l, unit, target, sites, pool)).find((r) => r !== undefined);
    const together = new Map<string, number>();
    for (const l of unit) for (const [k, n] of l.guest.arrival) together.set(k, (together.get(k) ?? 0) + n);
    const short = why ? undefined : shortages(target.free, together)[0];
    if (why || short || !fits(target.free, together)) {
      const first = unit[0];
      const names = listText(unit.map((l) => l.guest.instance.name));
      refused.push(
        why ?? {
          rule: short?.rule ?? "memory",
          subject: first?.guest.instance.name ?? host,
          text: `${names} cannot return to ${host}: ${sentence([host], short?.phrase ?? "has no room left")}`,
          fix: "",
        },
      );
      continue;
    }
    for (const { guest, from } of unit) {
      const source = sites.get(from);
      if (source) remove(source, guest.instance.uuid);
      put(target, guest, guest.arrival);
      moves.push({ uuid: guest.instance.uuid, name: guest.instance.name, from, to: host });
    }
  }
  return { moves, refused };
}

function obstacleTo(
  leaver: Leaver,
  unit: readonly Leaver[],
  target: Site,
  sites: ReadonlyMap<string, Site>,
  pool: PoolConfig,
): Reason | undefined {
  const { guest, from } = leaver;
  const { instance, settled } = guest;
  const say = (rule: string, text: string, fix = ""): Reason => ({
    rule,
    subject: instance.name,
    text: `${instance.name} cannot return to ${target.name}: ${text}`,
    fix,
  });
  const source = sites.get(from);
  if (!source) return say("unknown-host", `nothing is known of ${from}`);
  if (settled.problem) return settled.problem;
  const [tie] = ties(instance, source.host);
  if (tie) return say(tie.rule, `it ${tie.phrase}`, tie.fix);
  if (!movesFreely({ ...instance, state: "running" }, pool))
    return say(
      "policy",
      `its policy is ${settled.policy}`,
      settled.policy === "failover" ? "see what slipway rebalance proposes" : "give it the policy migrate",
    );
  const [misfit] = misfits(instance, source.host, target.host, pool, settled.policy);
  if (misfit) return say(misfit.rule, sentence([target.name], misfit.phrase), misfit.fix);
  const [rival] = rivals(target, guest);
  if (rival) {
    const isGroup = settled.apart !== "" && rival.settled.apart === settled.apart;
    const what = isGroup ? ` of the group ${settled.apart} that is kept apart` : ", which it conflicts with,";
    return say("apart", `${rival.instance.name}${what} runs there`);
  }
  if (settled.group) {
    const uuids = new Set(unit.map((l) => l.guest.instance.uuid));
    const staying = [...source.guests.values()].filter(
      (g) => g.settled.group === settled.group && !uuids.has(g.instance.uuid) && g.instance.state !== "shutoff",
    );
    if (staying.length > 0)
      return say(
        "group",
        `${listText(staying.map((g) => g.instance.name))} of its group ${settled.group} would stay on ${from}`,
      );
  }
  return undefined;
}
