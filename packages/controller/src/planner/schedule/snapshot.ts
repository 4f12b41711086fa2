import { type Instance, naturalCompare } from "@slipway/shared";
import type { HostInventory } from "../../domain/inventory.ts";
import type { Reason } from "../../domain/words.ts";
import { dutiesOn, movesFreely, stopProblem } from "../../placement/duties.ts";
import { ties } from "../../placement/obstacles.ts";
import { pictureProblem } from "../../placement/picture.ts";
import { type Amounts, type Guest, type Site, siteOf } from "../../placement/room.ts";
import type { Movability, PoolHost, PoolHostState, PoolInstance, PoolSnapshot } from "../rolling/index.ts";
import { awayOf, migrations } from "./estimate.ts";
import { groupsOf } from "./groups.ts";
import type { ScheduleInput, ScopedHost } from "./input.ts";
import { Names } from "./names.ts";
import { Reach } from "./reach.ts";

/** A pool as the rolling planner sees it, and the way back from its names. */
export interface Pictured {
  readonly snapshot: PoolSnapshot;
  readonly names: Names;
  /** Names of instances in the snapshot that are stopped by right: their policy says so, or an operator consented. */
  readonly consented: readonly string[];
  /** Those that move, and that an operator consented to stop where they cannot. */
  readonly mayStop: readonly string[];
}

interface Cluster {
  readonly name: string;
  readonly scoped: ReadonlyMap<string, ScopedHost>;
  readonly pictures: readonly HostInventory[];
}

/** Why hosts in scope cannot be planned with: what runs there is not known. */
export function unknownsOf(input: ScheduleInput): Reason[] {
  return clustersOf(input).flatMap(({ scoped, pictures }) => {
    const known = new Map(pictures.map((p) => [p.host, p]));
    return [...scoped.values()].flatMap(({ name, state }) => {
      if (state !== "in-scope") return [];
      const picture = known.get(name);
      if (picture) return picture.inventory.platform === "none" ? [] : (pictureProblem(picture, input.nowT) ?? []);
      const text = `${name} has never told what runs there`;
      return [{ rule: "no-picture", subject: name, text, fix: `look at slipway-agent on ${name}` }];
    });
  });
}

export function snapshotOf(input: ScheduleInput): Pictured {
  const clusters = clustersOf(input);
  const hosts: PoolHost[] = [];
  const instances: PoolInstance[] = [];
  const names = new Names(clusters.flatMap((c) => c.pictures));
  const consented: string[] = [];
  const mayStop: string[] = [];
  for (const cluster of clusters) {
    const sites = cluster.pictures.map((p) => siteOf(p, input.pool, input.comingBack ?? new Set()));
    const known = new Set(sites.map((s) => s.name));
    const states = new Map(sites.map((s) => [s.name, stateOf(s.host, cluster.scoped.get(s.name), input)]));
    for (const site of sites)
      hosts.push(hostOf(site.name, states.get(site.name) ?? "unavailable", cluster, input, capacityOf(site)));
    // Away, and never seen by this controller: it still counts as out.
    for (const { name, state } of cluster.scoped.values())
      if (!known.has(name)) hosts.push(hostOf(name, state === "out" ? "out" : "unavailable", cluster, input));
    const found = new Movers(cluster, sites, states, input, names);
    instances.push(...found.instances);
    consented.push(...found.consented);
    mayStop.push(...found.mayStop);
  }
  const quorumGroups = groupsOf(input, new Set(hosts.map((h) => h.name)), names);
  return { snapshot: { hosts, instances, quorumGroups }, names, consented, mayStop };
}

function clustersOf({ hosts, inventories }: ScheduleInput): Cluster[] {
  return [...Map.groupBy(hosts, (h) => h.cluster)].map(([name, members]) => ({
    name,
    scoped: new Map(members.map((h) => [h.name, h])),
    pictures: [...inventories(name)].sort((a, b) => naturalCompare(a.host, b.host)),
  }));
}

function stateOf(picture: HostInventory, own: ScopedHost | undefined, input: ScheduleInput): PoolHostState {
  if (own?.state === "in-scope" || own?.state === "out") return own.state;
  // What is drained stays out.
  const isShut = own?.state === "done" && input.options.op === "drain";
  if (isShut || input.closed(picture.host) || pictureProblem(picture, input.nowT)) return "unavailable";
  return own?.state === "done" ? "done" : "out-of-scope";
}

interface Capacity {
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly hugepagesMiB: number;
}

const NO_CAPACITY: Capacity = { memoryMiB: 0, vcpus: 0, hugepagesMiB: 0 };

function hostOf(
  name: string,
  state: PoolHostState,
  { name: cluster, scoped }: Cluster,
  input: ScheduleInput,
  capacity = NO_CAPACITY,
): PoolHost {
  const { expectedMs, p95Ms } = awayOf({ name, cluster }, input);
  const awayMs = state === "out" ? (scoped.get(name)?.awayMs ?? 0) : 0;
  return {
    ...{ name, state, ...capacity, labels: { ...input.labels(name), cluster } },
    durationMs: Math.max(0, expectedMs - awayMs),
    p95Ms: Math.max(0, p95Ms - awayMs),
  };
}

/** What instances may use of a host in all; virtual processors by the pool file's overcommit already. */
function capacityOf(site: Site): Capacity {
  if (site.host.inventory.platform === "none") return NO_CAPACITY;
  const all = new Map(site.free);
  for (const { takes } of site.guests.values()) add(all, takes);
  return { memoryMiB: sized(all.get("memory")), vcpus: sized(all.get("cpu")), hugepagesMiB: pagesMiB(all) };
}

function add(all: Map<string, number>, takes: Amounts): void {
  for (const [kind, amount] of takes) all.set(kind, (all.get(kind) ?? 0) + amount);
}

function sized(amount: number | undefined): number {
  return Math.max(0, Math.floor(amount ?? 0));
}

const PAGES = "pages:";

function pagesMiB(amounts: Amounts): number {
  let mib = 0;
  for (const [kind, amount] of amounts)
    if (kind.startsWith(PAGES)) mib += (Math.max(0, amount) * Number(kind.slice(PAGES.length))) / 1024;
  return Math.floor(mib);
}

/** The instances of one cluster, sorted by what may be done with them. */
class Movers {
  readonly instances: PoolInstance[] = [];
  readonly consented: string[] = [];
  readonly mayStop: string[] = [];
  readonly #cluster: Cluster;
  readonly #states: ReadonlyMap<string, PoolHostState>;
  readonly #input: ScheduleInput;
  readonly #names: Names;
  readonly #reach: Reach;
  readonly #speeds = new Map<string, (instance: Instance) => number>();

  constructor(
    cluster: Cluster,
    sites: readonly Site[],
    states: ReadonlyMap<string, PoolHostState>,
    input: ScheduleInput,
    names: Names,
  ) {
    this.#cluster = cluster;
    this.#states = states;
    this.#input = input;
    this.#names = names;
    const { pictures } = cluster;
    const barred = pictures.filter((p) => this.#isBarred(p)).map((p) => p.host);
    const all = sites.flatMap((s) => [...s.guests.values()].map((g) => g.instance));
    this.#reach = new Reach(pictures, all, input.pool, new Set(barred));
    for (const site of sites) this.#add(site);
  }

  /** Takes nothing, although it has or had a turn. */
  #isBarred({ host, inventory }: HostInventory): boolean {
    if (inventory.platform === "none" || this.#input.closed(host)) return true;
    return this.#input.options.op === "drain" && this.#cluster.scoped.has(host);
  }

  #add(site: Site): void {
    const { options, onTheWay, comingBack } = this.#input;
    const state = this.#states.get(site.name);
    const duties = state === "in-scope" ? dutiesOn(site, options) : undefined;
    const movers = new Set(duties?.movers.map((m) => m.uuid));
    const stops = new Set([...(duties?.stops ?? []), ...(duties?.leaves ?? [])].map((s) => s.uuid));
    for (const guest of site.guests.values()) {
      const { instance } = guest;
      const name = this.#names.of(instance, site.name);
      const target = onTheWay?.get(instance.uuid);
      if (target !== undefined && this.#states.has(target)) {
        // Where it comes to may have its turn later, and then it goes on.
        const goesOn =
          this.#states.get(target) === "in-scope" && movesFreely({ ...instance, job: "" }, this.#input.pool);
        const there = this.#plain(guest, name, target, "pinned");
        this.instances.push(goesOn ? { ...this.#full(guest, name, site, "live"), host: target } : there);
        continue;
      }
      if (state !== "in-scope") {
        const isLive = state === "done" && movesFreely(instance, this.#input.pool);
        this.instances.push(this.#full(guest, name, site, isLive ? "live" : "pinned"));
        continue;
      }
      const isTied = guest.settled.problem !== undefined || ties(instance, site.host).length > 0;
      const isConsented = duties?.mayStop.has(instance.uuid) ?? false;
      let movability: Movability = "pinned";
      if (stops.has(instance.uuid) || (instance.state === "shutoff" && comingBack?.has(instance.uuid))) {
        movability = "stop";
        this.consented.push(name);
      } else if (movers.has(instance.uuid) && !isTied) {
        movability = "live";
        if (isConsented) this.mayStop.push(name);
      } else if (movers.has(instance.uuid) && stopProblem(instance, "shutdown-restart", site.name) === undefined) {
        movability = "stop";
        if (isConsented) this.consented.push(name);
      }
      this.instances.push(this.#full(guest, name, site, movability));
    }
  }

  #plain({ instance, takes }: Guest, name: string, host: string, movability: Movability): PoolInstance {
    const hugepagesMiB = pagesMiB(takes);
    return {
      ...{ name, host, movability, memoryMiB: takes.get("memory") ?? 0, vcpus: instance.vcpus },
      ...(hugepagesMiB > 0 ? { hugepagesMiB } : {}),
      migrateMs: this.#migrateMs(host)(instance),
    };
  }

  #full(guest: Guest, name: string, site: Site, movability: Movability): PoolInstance {
    const plain = this.#plain(guest, name, site.name, movability);
    const { group, apart } = guest.settled;
    const antiAffinity = apart === "" ? {} : { antiAffinity: [apart] };
    if (movability !== "live") return { ...plain, ...antiAffinity };
    const allowed = this.#reach.of(guest.instance, site.host);
    const home = this.#homeOf(guest, site.name);
    return {
      ...{ ...plain, ...antiAffinity },
      // Only what moves goes with its group.
      ...(group === "" ? {} : { affinity: group }),
      ...(allowed ? { allowed } : {}),
      ...(home === undefined ? {} : { home }),
    };
  }

  #migrateMs(host: string): (instance: Instance) => number {
    let of = this.#speeds.get(host);
    if (of === undefined) {
      of = migrations({ name: host, cluster: this.#cluster.name }, this.#input);
      this.#speeds.set(host, of);
    }
    return of;
  }

  /** Only hosts that have a turn call their instances back. */
  #homeOf({ settled }: Guest, host: string): string | undefined {
    const mode = this.#input.options.return;
    const home = mode === "exact" ? host : mode === "preferred" ? settled.home : "";
    const state = this.#states.get(home);
    return state === "in-scope" || state === "out" ? home : undefined;
  }
}
