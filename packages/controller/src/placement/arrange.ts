import type { PoolConfig } from "../domain/pool.ts";
import { failsOver } from "./failover.ts";
import { conflict } from "./fleet-rules.ts";
import { misfits, ties } from "./obstacles.ts";
import { pack } from "./pack.ts";
import { processorsAlike, seesProcessor } from "./processor.ts";
import { reserveHolds } from "./reserve.ts";
import type { Guest, Site } from "./room.ts";
import { memoryOf } from "./settle.ts";
import type { Role, Tried } from "./types.ts";

/** A mover with what is known of it. */
export interface Leaver {
  readonly guest: Guest;
  readonly from: string;
  readonly avoid: readonly Tried[];
  readonly wanted?: string | undefined;
}

/** Steps of one search; a small pool is searched to the end with far less. */
const BUDGET = 2_000_000;
/** Steps of all searches about the same hosts together; beyond them only the quick tries are made. */
const PURSE = 4_000_000;

/** Rank of the target that a schedule has chosen: before all others. */
const WANTED = -1;

/** Finds targets for leavers on given hosts. Remembers who can run where, so that many questions about the same hosts are cheap. */
export class Arranger {
  readonly sites: ReadonlyMap<string, Site>;
  readonly pool: PoolConfig;
  readonly #roles: ReadonlyMap<string, Role>;
  readonly #able = new Map<Leaver, Map<Site, boolean>>();
  readonly #bound = new Map<Leaver, boolean>();
  readonly #oneWay = new Map<Site, boolean>();
  readonly #open: readonly Site[];
  readonly #answers = new Map<string, ReadonlyMap<Leaver, string> | undefined>();
  #reserve = true;
  #purse = PURSE;

  constructor(sites: ReadonlyMap<string, Site>, roles: ReadonlyMap<string, Role>, pool: PoolConfig) {
    this.sites = sites;
    this.pool = pool;
    this.#roles = roles;
    this.#open = [...sites.values()].filter((s) => !["source", "closed"].includes(this.role(s.name).is));
  }

  /** Nothing is left for further searches. */
  get tired(): boolean {
    return this.#purse <= 0;
  }

  role(host: string): Role {
    return this.#roles.get(host) ?? { is: "target" };
  }

  /** Is there the reserve that the pool file asks for, even before anything moves? If not, it is not asked for any more. */
  keepReserve(): boolean {
    this.#reserve = this.pool.capacity.spareHosts > 0;
    if (this.#reserve && reserveHolds(this.#open, this.pool)) return true;
    const broken = this.#reserve;
    this.#reserve = false;
    return !broken;
  }

  /** Targets for all of them, or nothing when there is no such arrangement (or none was found within the bounds). */
  arrange(leavers: readonly Leaver[]): ReadonlyMap<Leaver, string> | undefined {
    const key = leavers.map((l) => l.guest.instance.uuid).join();
    if (!this.#answers.has(key)) this.#answers.set(key, this.#find(leavers));
    return this.#answers.get(key);
  }

  #find(leavers: readonly Leaver[]): ReadonlyMap<Leaver, string> | undefined {
    if (leavers.some((l) => this.#tied(l))) return undefined;
    const units = unitsOf(leavers);
    if (units.some((u) => repeats(u.flatMap((l) => l.guest.settled.apart || [])))) return undefined;
    const kinds = [...new Set(leavers.flatMap((l) => [...l.guest.arrival.keys()]))];
    const bins = this.#open;
    const anchors = units.map((u) => this.anchors(u));
    const seesAll = units.map((u) => u.some((l) => seesProcessor(l.guest.instance)));
    const ranks = bins.map((b) => this.#rank(b));
    const { found, steps } = pack({
      needs: units.map((u) => kinds.map((k) => u.reduce((sum, l) => sum + (l.guest.arrival.get(k) ?? 0), 0))),
      free: bins.map((b) => kinds.map((k) => b.free.get(k) ?? 0)),
      apart: units.map((u) => u.flatMap((l) => l.guest.settled.apart || [])),
      allowed: (u, b) => {
        const site = bins[b];
        if (!site || (anchors[u]?.size && !anchors[u].has(site.name))) return false;
        return (units[u] ?? []).every((l) => this.#can(l, site));
      },
      rank: (u, b) => {
        const site = bins[b];
        if (units[u]?.some((l) => l.wanted !== undefined && l.wanted === site?.name)) return WANTED;
        const oneWay = site && seesAll[u] && this.#isOneWay(site);
        return (ranks[b] ?? 0) + (oneWay ? 10 : 0);
      },
      // A look at all losses is about this much work.
      accept: this.#reserve ? { ok: (at) => this.#reserveWith(units, at), cost: 1000 * bins.length } : undefined,
      budget: Math.min(BUDGET, this.#purse),
    });
    this.#purse -= steps;
    if (!found) return undefined;
    return new Map(units.flatMap((u, i) => u.map((l) => [l, bins[found[i] ?? -1]?.name ?? ""] as const)));
  }

  /** Is a reserve kept for the loss of hosts? */
  get reserved(): boolean {
    return this.#reserve;
  }

  /** Hosts where others of its group are; it goes there. Empty: anywhere. */
  anchors(unit: readonly Leaver[], sites = this.sites): ReadonlySet<string> {
    const group = unit[0]?.guest.settled.group;
    if (!group) return new Set();
    const moving = new Set(unit.map((l) => l.guest.instance.uuid));
    const at = [...sites.values()].filter(
      (s) =>
        this.role(s.name).is !== "source" &&
        [...s.guests.values()].some((g) => g.settled.group === group && !moving.has(g.instance.uuid)),
    );
    return new Set(at.map((s) => s.name));
  }

  /** It would get there, and then find no host to go on to. */
  deadEnd(leaver: Leaver, site: Site): boolean {
    return seesProcessor(leaver.guest.instance) && this.#isOneWay(site);
  }

  /** No other host has all that its processor has. */
  #isOneWay(site: Site): boolean {
    let oneWay = this.#oneWay.get(site);
    if (oneWay === undefined) {
      const there = site.host.inventory.capacity;
      oneWay = ![...this.sites.values()].some((s) => {
        const here = s.host.inventory.capacity;
        return s !== site && here !== undefined && there !== undefined && processorsAlike(here, there);
      });
      this.#oneWay.set(site, oneWay);
    }
    return oneWay;
  }

  /** Nothing but room, group and reserve speaks against it. */
  #can(leaver: Leaver, site: Site): boolean {
    let known = this.#able.get(leaver);
    if (!known) {
      known = new Map();
      this.#able.set(leaver, known);
    }
    let can = known.get(site);
    if (can === undefined) {
      const { instance, settled } = leaver.guest;
      const from = this.sites.get(leaver.from);
      can =
        !leaver.avoid.some((t) => t.host === site.name) &&
        from !== undefined &&
        rivals(site, leaver.guest).length === 0 &&
        misfits(instance, from.host, site.host, this.pool, settled.policy).length === 0;
      known.set(site, can);
    }
    return can;
  }

  #tied(leaver: Leaver): boolean {
    let tied = this.#bound.get(leaver);
    if (tied === undefined) {
      const from = this.sites.get(leaver.from);
      tied = !from || leaver.guest.settled.problem !== undefined || ties(leaver.guest.instance, from.host).length > 0;
      this.#bound.set(leaver, tied);
    }
    return tied;
  }

  #rank(site: Site): number {
    const role = this.role(site.name);
    if (role.is === "done") return 0;
    // Of hosts whose turn comes the last one: more hosts are done by then.
    return role.is === "later" ? 3 - role.turn / (role.turn + 1) : 1;
  }

  #reserveWith(units: readonly (readonly Leaver[])[], at: readonly number[]): boolean {
    const arriving = new Map<number, Guest[]>();
    for (const [u, b] of at.entries())
      arriving.set(b, [...(arriving.get(b) ?? []), ...(units[u] ?? []).map((l) => l.guest)]);
    const then = this.#open.map((s, b) => {
      const more = arriving.get(b);
      return more ? withGuests(s, more) : s;
    });
    return reserveHolds(then, this.pool);
  }
}

function withGuests(site: Site, guests: readonly Guest[]): Site {
  const free = new Map(site.free);
  for (const g of guests) for (const [k, n] of g.arrival) free.set(k, (free.get(k) ?? 0) - n);
  return { ...site, free, guests: new Map([...site.guests, ...guests.map((g) => [g.instance.uuid, g] as const)]) };
}

/** Instances there that it is kept apart from. */
export function rivals(site: Site, guest: Guest): readonly Guest[] {
  const { instance, settled } = guest;
  const { apart } = settled;
  const others = () => [...site.guests.values()].filter((g) => g.instance.uuid !== instance.uuid);
  if (failsOver(site.host.inventory.platform))
    return others().filter((g) => (apart && g.settled.apart === apart) || conflict(instance, g.instance));
  return apart ? others().filter((g) => g.settled.apart === apart) : [];
}

/** Leavers that go together: those of one group, whichever hosts they come from. */
export function unitsOf(leavers: readonly Leaver[]): (readonly Leaver[])[] {
  const units: Leaver[][] = [];
  const groups = new Map<string, Leaver[]>();
  for (const leaver of leavers) {
    const { group } = leaver.guest.settled;
    const known = group ? groups.get(group) : undefined;
    if (known) known.push(leaver);
    else {
      const unit = [leaver];
      units.push(unit);
      if (group) groups.set(group, unit);
    }
  }
  return units;
}

/** Larger first: the order in which instances are named as being in the way. */
export function bigger(a: Leaver, b: Leaver): number {
  return b.guest.settled.tier - a.guest.settled.tier || memoryOf(b.guest.instance) - memoryOf(a.guest.instance);
}

function repeats(words: readonly string[]): boolean {
  return new Set(words).size < words.length;
}
