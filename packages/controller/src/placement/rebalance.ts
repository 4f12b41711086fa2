import { naturalCompare } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { Reason } from "../domain/words.ts";
import { rivals } from "./arrange.ts";
import { movesFreely } from "./duties.ts";
import { misfits, ties } from "./obstacles.ts";
import { fits, type Guest, put, remove, type Site, siteOf } from "./room.ts";
import { memoryOf, settle } from "./settle.ts";
import type { Move } from "./types.ts";

export interface Rebalance {
  /** In the order in which they are to be made. */
  readonly moves: readonly Move[];
  /** Instances of hosts with more than their share that stay, and why. */
  readonly refused: readonly Reason[];
  /** Weight on each host before and after. */
  readonly loads: readonly { readonly host: string; readonly before: number; readonly after: number }[];
  /** Difference of the heaviest and the lightest host per mean, before and after. */
  readonly spread: { readonly before: number; readonly after: number };
}

/** A target may carry the mean and this much more. */
const ABOVE_MEAN = 1.2;

/**
 * Moves that even out the weights of hosts: always from the heaviest host that has something to give, the move that brings most per
 * cost (memory to be sent; the more important its tier, the dearer). Ends at a spread of `spread` (default 0.2), after `maxMoves`, or
 * when nothing helps. `hosts`: those that take part; others of the cluster in `others`, for rules that look at all instances.
 */
export function rebalance(
  hosts: readonly HostInventory[],
  pool: PoolConfig,
  options: { readonly maxMoves: number; readonly spread?: number; readonly others?: readonly HostInventory[] },
): Rebalance {
  const sites = [...hosts].sort((a, b) => naturalCompare(a.host, b.host)).map((h) => siteOf(h, pool, new Set()));
  const loads = new Map(sites.map((s) => [s, loadOf(s)]));
  const load = (s: Site) => loads.get(s) ?? 0;
  const mean = sites.reduce((sum, s) => sum + load(s), 0) / Math.max(1, sites.length);
  const spread = () => {
    const all = sites.map(load);
    return mean > 0 ? (Math.max(...all) - Math.min(...all)) / mean : 0;
  };
  const before = sites.map((s) => ({ host: s.name, before: load(s) }));
  const spreadBefore = spread();
  const down = downMembers([...hosts, ...(options.others ?? [])], pool);
  const refused = new Map<string, Reason>();
  const moves: Move[] = [];
  const moved = new Set<string>();
  while (moves.length < options.maxMoves && spread() > (options.spread ?? 0.2)) {
    const best = bestMove(sites, load, mean, moved, down, pool, refused);
    if (!best) break;
    const { guest, from, to } = best;
    const { uuid, name } = guest.instance;
    remove(from, uuid);
    put(to, guest, guest.arrival);
    loads.set(from, load(from) - guest.settled.weight);
    loads.set(to, load(to) + guest.settled.weight);
    moved.add(uuid);
    refused.delete(uuid);
    moves.push({ uuid, name, from: from.name, to: to.name });
  }
  return {
    moves,
    refused: [...refused.values()].sort((a, b) => naturalCompare(a.subject, b.subject)),
    loads: before.map((b, i) => ({ ...b, after: load(sites[i] as Site) })),
    spread: { before: spreadBefore, after: spread() },
  };
}

interface Candidate {
  readonly guest: Guest;
  readonly from: Site;
  readonly to: Site;
}

/** From the heaviest host that can give; nothing when none above the mean can. */
function bestMove(
  sites: readonly Site[],
  load: (s: Site) => number,
  mean: number,
  moved: ReadonlySet<string>,
  down: ReadonlyMap<string, string>,
  pool: PoolConfig,
  refused: Map<string, Reason>,
): Candidate | undefined {
  const heaviest = [...sites].filter((s) => load(s) > mean).sort((a, b) => load(b) - load(a));
  const lightest = [...sites].sort((a, b) => load(a) - load(b));
  for (const from of heaviest) {
    let best: (Candidate & { gain: number }) | undefined;
    const guests = [...from.guests.values()].sort(
      (a, b) => b.settled.weight - a.settled.weight || naturalCompare(a.instance.name, b.instance.name),
    );
    for (const guest of guests) {
      if (moved.has(guest.instance.uuid)) continue;
      const why = stays(guest, from, down, pool);
      if (why) {
        refused.set(guest.instance.uuid, why);
        continue;
      }
      const w = guest.settled.weight;
      // A move helps when it leaves the two hosts nearer to each other than they were.
      const open = lightest.filter(
        (to) => to !== from && w > 0 && load(to) + w < load(from) && load(to) + w <= mean * ABOVE_MEAN,
      );
      const to = open.find((s) => takes(s, guest, from, pool));
      if (!to) {
        if (w > 0)
          refused.set(guest.instance.uuid, {
            rule: open.length > 0 ? "no-target" : "too-heavy",
            subject: guest.instance.name,
            text:
              open.length > 0
                ? `${guest.instance.name} stays on ${from.name}: no lighter host can take it`
                : `${guest.instance.name} stays on ${from.name}: with its weight of ${w} every other host would carry more than ${Math.round((ABOVE_MEAN - 1) * 100)} % above the mean of ${Math.round(mean)}, or no less than ${from.name}`,
            fix: "",
          });
        continue;
      }
      const gain = (load(from) - Math.max(load(from) - w, load(to) + w)) / cost(guest);
      if (!best || gain > best.gain) best = { guest, from, to, gain };
    }
    if (best) return best;
  }
  return undefined;
}

/** Memory to be sent in GiB, dearer for more important tiers (lower numbers). */
function cost(guest: Guest): number {
  return Math.max(1, memoryOf(guest.instance) / 1024) / (1 + Math.max(0, guest.settled.tier));
}

function takes(to: Site, guest: Guest, from: Site, pool: PoolConfig): boolean {
  return (
    fits(to.free, guest.arrival) &&
    rivals(to, guest).length === 0 &&
    misfits(guest.instance, from.host, to.host, pool, guest.settled.policy).length === 0
  );
}

/** Why an instance is not moved for the sake of balance. */
function stays(guest: Guest, from: Site, down: ReadonlyMap<string, string>, pool: PoolConfig): Reason | undefined {
  const { instance, settled } = guest;
  const say = (rule: string, why: string, fix = ""): Reason => ({
    rule,
    subject: instance.name,
    text: `${instance.name} stays on ${from.name}: ${why}`,
    fix,
  });
  if (settled.problem) return settled.problem;
  const [tie] = ties(instance, from.host);
  if (tie) return say(tie.rule, `it ${tie.phrase}`, tie.fix);
  if (instance.state !== "running") return say("instance-state", `it is ${instance.state}`);
  if (instance.job !== "") return say("busy", `it is ${instance.job} just now`);
  // What its platform can start elsewhere is proposed as well: whoever approves a proposal approves of the short stop.
  if (settled.policy !== "failover" && !movesFreely(instance, pool))
    return say("policy", `its policy is ${settled.policy}`);
  if (settled.home === from.name) return say("at-home", "it is at home there");
  const other = down.get(settled.apart);
  if (other !== undefined)
    return say("member-down", `${other}, of the same group ${settled.apart}, is down`, `start ${other}`);
  const mates = [...from.guests.values()].filter((g) => g !== guest && g.settled.group === settled.group);
  if (settled.group && mates.length > 0)
    return say("group", `it belongs with ${mates[0]?.instance.name} (group ${settled.group})`);
  return undefined;
}

/** For each group that is kept apart a member that runs nowhere. */
function downMembers(hosts: readonly HostInventory[], pool: PoolConfig): ReadonlyMap<string, string> {
  const all = hosts.flatMap((h) => h.inventory.instances);
  const running = new Set(all.filter((i) => i.state === "running").map((i) => i.uuid));
  const down = new Map<string, string>();
  for (const i of all) {
    const { apart } = settle(i, pool);
    if (apart && !running.has(i.uuid) && !down.has(apart)) down.set(apart, i.name);
  }
  return down;
}

function loadOf(site: Site): number {
  return [...site.guests.values()].reduce((sum, g) => sum + g.settled.weight, 0);
}
