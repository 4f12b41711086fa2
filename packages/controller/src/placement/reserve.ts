import type { PoolConfig } from "../domain/pool.ts";
import { misfits, ties } from "./obstacles.ts";
import { pack } from "./pack.ts";
import type { Guest, Site } from "./room.ts";
import { memoryOf } from "./settle.ts";

/** Combinations of lost hosts that are tried; beyond it, only those of the fullest hosts. */
const MAX_COMBINATIONS = 1100;
const BUDGET = 20_000;

/**
 * Could the rest take in what runs on any `spareHosts` of these hosts? Instances that nothing but their host can run (devices, local
 * disks) are lost with it either way and are not counted.
 */
export function reserveHolds(sites: readonly Site[], pool: PoolConfig): boolean {
  const n = pool.capacity.spareHosts;
  if (n === 0) return true;
  if (sites.length <= n) return sites.every((s) => s.guests.size === 0);
  const emptiest = [...sites].sort((a, b) => (b.free.get("memory") ?? 0) - (a.free.get("memory") ?? 0));
  return losses(sites, n).every((lost) => takenIn(lost, emptiest, pool));
}

function takenIn(lost: readonly Site[], emptiest: readonly Site[], pool: PoolConfig): boolean {
  const rest = emptiest.filter((s) => !lost.includes(s));
  const homeless = lost.flatMap((from) =>
    [...from.guests.values()]
      .filter((g) => g.instance.state === "running" || g.instance.state === "paused")
      .filter((g) => ties(g.instance, from.host).length === 0)
      .map((guest) => ({ guest, from })),
  );
  // The emptiest hosts nearly always do.
  const few = rest.slice(0, homeless.length + 8);
  return fit(homeless, few, pool) || (few.length < rest.length && fit(homeless, rest, pool));
}

function fit(homeless: readonly { guest: Guest; from: Site }[], rest: readonly Site[], pool: PoolConfig): boolean {
  const can = (h: { guest: Guest; from: Site }, s: Site) =>
    misfits(h.guest.instance, h.from.host, s.host, pool, h.guest.settled.policy).length === 0;
  const counted = homeless.filter((h) => rest.some((s) => can(h, s)));
  const kinds = [...new Set(counted.flatMap((h) => [...h.guest.takes.keys()]))];
  return (
    pack({
      needs: counted.map((h) => kinds.map((k) => h.guest.takes.get(k) ?? 0)),
      free: rest.map((s) => kinds.map((k) => s.free.get(k) ?? 0)),
      apart: counted.map((h) => (h.guest.settled.apart ? [h.guest.settled.apart] : [])),
      allowed: (u, b) => {
        const h = counted[u];
        const s = rest[b];
        if (!h || !s || !can(h, s)) return false;
        const { apart } = h.guest.settled;
        return !apart || ![...s.guests.values()].some((g) => g.settled.apart === apart);
      },
      rank: () => 0,
      budget: BUDGET,
    }).found !== undefined
  );
}

/** Every choice of `n` of them, the fullest first; when those are too many, of the fullest only. */
function losses(sites: readonly Site[], n: number): Site[][] {
  const load = new Map(sites.map((s) => [s, used(s)]));
  let from = [...sites].sort((a, b) => (load.get(b) ?? 0) - (load.get(a) ?? 0));
  while (from.length > n && combinations(from.length, n) > MAX_COMBINATIONS) from = from.slice(0, -1);
  const out: Site[][] = [];
  const choose = (at: number, chosen: Site[]): void => {
    if (chosen.length === n) out.push(chosen);
    else for (const [i, site] of from.entries()) if (i >= at) choose(i + 1, [...chosen, site]);
  };
  choose(0, []);
  return out;
}

function used(site: Site): number {
  return [...site.guests.values()].reduce((sum, g) => sum + memoryOf(g.instance), 0);
}

function combinations(of: number, n: number): number {
  let count = 1;
  for (let i = 0; i < n; i++) count = (count * (of - i)) / (i + 1);
  return count;
}
