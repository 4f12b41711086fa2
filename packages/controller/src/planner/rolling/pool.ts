import { SlipwayError } from "@slipway/shared";
import { clusterOf } from "../plan.ts";
import type { PoolHost, PoolHostState, PoolInstance, PoolSnapshot, RollingOptions } from "./snapshot.ts";

/** Movability of a unit, as a number that orders: a unit is as hard to move as its hardest member. */
export const LIVE = 0;
export const STOP = 1;
export const PINNED = 2;

/** Hosts that a unit may run on. */
export interface Profile {
  readonly allows: Uint8Array;
  readonly hosts: readonly number[];
}

/**
 * A snapshot as indices and typed arrays. A *unit* is what moves as one: an instance, or the members of an affinity group
 * that share a host.
 */
export interface Pool {
  readonly snapshot: PoolSnapshot;
  readonly hosts: readonly PoolHost[];
  readonly hostIndex: ReadonlyMap<string, number>;
  readonly state: readonly PoolHostState[];
  readonly memCap: Int32Array;
  readonly cpuCap: Int32Array;
  readonly hugeCap: Int32Array;
  readonly cluster: Int32Array;
  readonly clusterNames: readonly string[];
  readonly units: number;
  readonly mem: Int32Array;
  readonly cpu: Int32Array;
  readonly huge: Int32Array;
  readonly at: Int32Array;
  /** Instances of a unit. */
  readonly members: readonly (readonly number[])[];
  readonly movability: Uint8Array;
  /** Index into profiles, or -1 where every host of the cluster will do. */
  readonly profile: Int32Array;
  readonly profiles: readonly Profile[];
  /** Anti-affinity groups of a unit, and units of a group. */
  readonly groupsOf: readonly (readonly number[])[];
  readonly groups: readonly (readonly number[])[];
  readonly secondary: Int32Array;
  readonly home: Int32Array;
  readonly migrateMs: Float64Array;
  /** Position of a unit among all when the hardest to place come first. */
  readonly rank: Int32Array;
  readonly hasSecondaries: boolean;
}

const NO_GROUPS: readonly number[] = [];

/** Errors: `bad-input` where the snapshot or the options name what is not there or have impossible sizes. */
export function compile(snapshot: PoolSnapshot, options: RollingOptions): Pool {
  const { hosts, instances } = snapshot;
  const hostIndex = new Map<string, number>();
  for (const [h, host] of hosts.entries()) {
    if (hostIndex.has(host.name)) throw new SlipwayError("bad-input", `host ${host.name}: it is there twice`);
    hostIndex.set(host.name, h);
    for (const [what, value] of [
      ["memory", host.memoryMiB],
      ["vcpus", host.vcpus],
      ["duration", host.durationMs],
    ] as const)
      if (!Number.isFinite(value) || value < 0 || value > 2 ** 31 - 1)
        throw new SlipwayError("bad-input", `host ${host.name}: ${what} ${value} is out of range`);
  }
  const known = (name: string, whose: string) => {
    const h = hostIndex.get(name);
    if (h === undefined) throw new SlipwayError("not-found", `${whose}: there is no host ${JSON.stringify(name)}`);
    return h;
  };
  for (const name of options.exclude ?? []) known(name, "exclude");
  for (const name of options.order ?? []) known(name, "order");
  if (options.canary) known(options.canary.host, "canary");
  const excluded = new Set(options.exclude);
  const state = hosts.map((h) => (h.state === "in-scope" && excluded.has(h.name) ? "out-of-scope" : h.state));
  const overcommit = options.cpuOvercommit ?? 4;
  const reserve = options.reserveMiB ?? 0;
  const clusterNames: string[] = [];
  const clusterIndex = new Map<string, number>();
  const cluster = Int32Array.from(hosts, (h) => indexIn(clusterIndex, clusterNames, clusterOf(h.labels)));

  const members = unitsOf(instances);
  const n = members.length;
  const pool = {
    mem: new Int32Array(n),
    cpu: new Int32Array(n),
    huge: new Int32Array(n),
    at: new Int32Array(n),
    movability: new Uint8Array(n),
    profile: new Int32Array(n).fill(-1),
    secondary: new Int32Array(n).fill(-1),
    home: new Int32Array(n).fill(-1),
    migrateMs: new Float64Array(n),
  };
  const profiles = new Profiles(hosts, hostIndex);
  const groupIndex = new Map<string, number>();
  const groups: number[][] = [];
  const groupsOf: (readonly number[])[] = new Array(n);
  for (let u = 0; u < n; u++) {
    const own = new Set<number>();
    for (const i of members[u] as readonly number[]) {
      const it = instances[i] as PoolInstance;
      if (!(it.memoryMiB >= 0 && it.memoryMiB < 2 ** 31 && it.vcpus >= 0 && it.migrateMs >= 0))
        throw new SlipwayError("bad-input", `instance ${it.name}: its sizes are out of range`);
      const at = hostIndex.get(it.host);
      if (at === undefined) throw new SlipwayError("not-found", `instance ${it.name}: there is no host ${it.host}`);
      pool.at[u] = at;
      pool.mem[u] = (pool.mem[u] as number) + it.memoryMiB;
      pool.cpu[u] = (pool.cpu[u] as number) + it.vcpus;
      pool.huge[u] = (pool.huge[u] as number) + (it.hugepagesMiB ?? 0);
      pool.migrateMs[u] = (pool.migrateMs[u] as number) + it.migrateMs;
      const movability = it.movability === "live" ? LIVE : it.movability === "stop" ? STOP : PINNED;
      pool.movability[u] = Math.max(pool.movability[u] as number, movability);
      if (it.secondary !== undefined) pool.secondary[u] = known(it.secondary, it.name);
      if (it.home !== undefined) pool.home[u] = known(it.home, it.name);
      if (it.requires !== undefined || it.allowed !== undefined)
        pool.profile[u] = profiles.narrowed(pool.profile[u] as number, it);
      for (const name of it.antiAffinity ?? []) {
        let g = groupIndex.get(name);
        if (g === undefined) {
          g = groups.length;
          groupIndex.set(name, g);
          groups.push([]);
        }
        if (!own.has(g)) groups[g]?.push(u);
        own.add(g);
      }
    }
    groupsOf[u] = own.size === 0 ? NO_GROUPS : [...own];
  }
  return {
    ...pool,
    snapshot,
    hosts,
    hostIndex,
    state,
    memCap: Int32Array.from(hosts, (h) => h.memoryMiB - reserve),
    cpuCap: Int32Array.from(hosts, (h) => Math.floor(h.vcpus * overcommit + 1e-9)),
    hugeCap: Int32Array.from(hosts, (h) => h.hugepagesMiB ?? 0),
    cluster,
    clusterNames,
    units: n,
    members,
    profiles: profiles.all,
    groupsOf,
    groups,
    rank: ranks(pool.mem, pool.profile, profiles.all),
    hasSecondaries: pool.secondary.some((s) => s >= 0),
  };
}

function indexIn(index: Map<string, number>, names: string[], name: string): number {
  const found = index.get(name);
  if (found !== undefined) return found;
  index.set(name, names.length);
  names.push(name);
  return names.length - 1;
}

function unitsOf(instances: readonly PoolInstance[]): number[][] {
  const units: number[][] = [];
  const together = new Map<string, number[]>();
  for (const [i, it] of instances.entries()) {
    const key = it.affinity === undefined ? undefined : JSON.stringify([it.affinity, it.host]);
    const mates = key === undefined ? undefined : together.get(key);
    if (mates) {
      mates.push(i);
      continue;
    }
    const unit = [i];
    if (key !== undefined) together.set(key, unit);
    units.push(unit);
  }
  return units;
}

/** Units that few hosts can take come first, then the largest. */
function ranks(mem: Int32Array, profile: Int32Array, profiles: readonly Profile[]): Int32Array {
  const choice = Float64Array.from(profile, (p) =>
    p < 0 ? Number.MAX_SAFE_INTEGER : (profiles[p]?.hosts.length ?? 0),
  );
  const order = Uint32Array.from(mem.keys()).sort(
    (a, b) => (choice[a] as number) - (choice[b] as number) || (mem[b] as number) - (mem[a] as number) || a - b,
  );
  const rank = new Int32Array(mem.length);
  for (let r = 0; r < order.length; r++) rank[order[r] as number] = r;
  return rank;
}

class Profiles {
  readonly all: Profile[] = [];
  readonly #index = new Map<string, number>();
  readonly #hosts: readonly PoolHost[];
  readonly #hostIndex: ReadonlyMap<string, number>;

  constructor(hosts: readonly PoolHost[], hostIndex: ReadonlyMap<string, number>) {
    this.#hosts = hosts;
    this.#hostIndex = hostIndex;
  }

  /** The profile of a unit with that profile so far when this instance joins it. */
  narrowed(before: number, it: PoolInstance): number {
    const key = JSON.stringify([before, it.requires ?? {}, it.allowed ?? null]);
    const known = this.#index.get(key);
    if (known !== undefined) return known;
    const allows = new Uint8Array(this.#hosts.length);
    const allowed = it.allowed ? new Set(it.allowed.map((name) => this.#hostIndex.get(name))) : undefined;
    const wants = Object.entries(it.requires ?? {});
    const hosts: number[] = [];
    for (const [h, host] of this.#hosts.entries()) {
      if (before >= 0 && this.all[before]?.allows[h] !== 1) continue;
      if (allowed && !allowed.has(h)) continue;
      if (!wants.every(([label, value]) => host.labels[label] === value)) continue;
      allows[h] = 1;
      hosts.push(h);
    }
    this.all.push({ allows, hosts });
    this.#index.set(key, this.all.length - 1);
    return this.all.length - 1;
  }
}
