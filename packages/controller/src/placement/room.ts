import type { Instance } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { Obstacle } from "./facts.ts";
import { memoryOf, type Settled, settle } from "./settle.ts";
import { sizeText } from "./text.ts";

/**
 * What an instance takes, by kind: `memory` (MiB), `cpu` (virtual processors), `pages:KIB` (huge pages), `node:ID` (MiB bound
 * strictly to a NUMA node), `pool:NAME` (MiB of disks to be copied into a storage pool).
 */
export type Amounts = ReadonlyMap<string, number>;

/** An instance while it is being placed. */
export interface Guest {
  readonly instance: Instance;
  readonly settled: Settled;
  /** What it takes where it runs. */
  readonly takes: Amounts;
  /** What it takes where it arrives: on top of that, space for the disks that are copied along. */
  readonly arrival: Amounts;
}

/** A host while instances are being placed on it: a copy that may be changed. */
export interface Site {
  readonly name: string;
  readonly host: HostInventory;
  /** What runs here, comes back here or is on its way here, by uuid. */
  readonly guests: Map<string, Guest>;
  /** What is left of it; below zero where it carries more than it should. */
  readonly free: Map<string, number>;
}

/** Instances that are off take nothing, unless the run that stopped them brings them back. */
export function takesRoom(instance: Instance, comingBack: ReadonlySet<string>): boolean {
  return instance.state !== "shutoff" || comingBack.has(instance.uuid);
}

export function guestOf(instance: Instance, pool: PoolConfig): Guest {
  return new LazyGuest(instance, pool);
}

/** Most guests of a cluster are only counted; what is asked of few is found out when it is asked. */
class LazyGuest implements Guest {
  readonly instance: Instance;
  readonly #pool: PoolConfig;
  #settled: Settled | undefined;
  #takes: Amounts | undefined;

  constructor(instance: Instance, pool: PoolConfig) {
    this.instance = instance;
    this.#pool = pool;
  }

  get settled(): Settled {
    this.#settled ??= settle(this.instance, this.#pool);
    return this.#settled;
  }

  get takes(): Amounts {
    this.#takes ??= amountsOf(this.instance);
    return this.#takes;
  }

  get arrival(): Amounts {
    return this.settled.policy === "migrate-with-storage" ? withDisks(this.instance, this.takes) : this.takes;
  }
}

function amountsOf(instance: Instance): Amounts {
  const takes = new Map<string, number>([["cpu", instance.vcpus]]);
  const memory = memoryOf(instance);
  // Huge pages are set aside: ordinary memory cannot come out of them, nor the other way round.
  if (instance.hugepageKib > 0)
    takes.set(`pages:${instance.hugepageKib}`, Math.ceil((memory * 1024) / instance.hugepageKib));
  else takes.set("memory", memory);
  for (const node of instance.numaNodes) takes.set(`node:${node}`, Math.ceil(memory / instance.numaNodes.length));
  return takes;
}

function withDisks(instance: Instance, amounts: Amounts): Amounts {
  const takes = new Map(amounts);
  for (const disk of instance.disks)
    if (disk.sharedAs === "" && disk.source !== "" && disk.device !== "cdrom" && disk.device !== "floppy")
      takes.set(`pool:${disk.pool}`, (takes.get(`pool:${disk.pool}`) ?? 0) + disk.sizeMib);
  return takes;
}

/** The host with everything on it that takes room. */
export function siteOf(host: HostInventory, pool: PoolConfig, comingBack: ReadonlySet<string>): Site {
  const capacity = host.inventory.capacity;
  const free = new Map<string, number>();
  if (capacity) {
    const setAside = capacity.hugepages.reduce((sum, h) => sum + (h.sizeKib * h.total) / 1024, 0);
    free.set("memory", Math.floor(Math.max(0, capacity.memoryMib - setAside) * pool.capacity.memoryOvercommit));
    free.set("cpu", Math.floor(capacity.cpus * pool.capacity.cpuOvercommit));
    for (const h of capacity.hugepages) free.set(`pages:${h.sizeKib}`, h.total);
    for (const n of capacity.numa) free.set(`node:${n.id}`, n.memoryMib);
    for (const p of capacity.pools) if (p.active) free.set(`pool:${p.name}`, p.freeMib);
  }
  const site: Site = { name: host.host, host, guests: new Map(), free };
  const pagesUsed = new Map<string, number>();
  let memory = 0;
  let cpus = 0;
  for (const instance of host.inventory.instances) {
    if (!takesRoom(instance, comingBack)) continue;
    const guest = guestOf(instance, pool);
    if (instance.hugepageKib > 0 || instance.numaNodes.length > 0) put(site, guest, guest.takes);
    else {
      // The usual case, without the detour over amounts by kind.
      site.guests.set(instance.uuid, guest);
      memory += memoryOf(instance);
      cpus += instance.vcpus;
    }
    if (instance.state !== "shutoff" && instance.hugepageKib > 0) {
      const kind = `pages:${instance.hugepageKib}`;
      pagesUsed.set(kind, (pagesUsed.get(kind) ?? 0) + (guest.takes.get(kind) ?? 0));
    }
  }
  free.set("memory", (free.get("memory") ?? 0) - memory);
  free.set("cpu", (free.get("cpu") ?? 0) - cpus);
  // Huge pages in use by something that is no instance (a software switch, a database of the host) are not to be had.
  for (const h of capacity?.hugepages ?? []) {
    const kind = `pages:${h.sizeKib}`;
    const others = Math.max(0, h.total - h.free - (pagesUsed.get(kind) ?? 0));
    free.set(kind, (free.get(kind) ?? 0) - others);
  }
  return site;
}

export function put(site: Site, guest: Guest, takes: Amounts): void {
  if (site.guests.has(guest.instance.uuid)) return;
  site.guests.set(guest.instance.uuid, guest);
  for (const [kind, amount] of takes) site.free.set(kind, (site.free.get(kind) ?? 0) - amount);
}

/** Gives back what `put` took, but for the copies of disks: those stay until somebody removes them. */
export function remove(site: Site, uuid: string): void {
  const guest = site.guests.get(uuid);
  if (!guest) return;
  site.guests.delete(uuid);
  for (const [kind, amount] of guest.takes) site.free.set(kind, (site.free.get(kind) ?? 0) + amount);
}

export function copyOf(site: Site): Site {
  return { ...site, guests: new Map(site.guests), free: new Map(site.free) };
}

export function fits(free: ReadonlyMap<string, number>, takes: Amounts): boolean {
  for (const [kind, amount] of takes) if (amount > 0 && amount > (free.get(kind) ?? 0)) return false;
  return true;
}

/** What there is too little of; `missing` in the unit of its kind. Phrases have the host as their subject. */
export function shortages(
  free: ReadonlyMap<string, number>,
  takes: Amounts,
): readonly (Obstacle & { kind: string; missing: number })[] {
  const out: (Obstacle & { kind: string; missing: number })[] = [];
  for (const [kind, amount] of takes) {
    const left = Math.max(0, free.get(kind) ?? 0);
    if (amount <= 0 || amount <= (free.get(kind) ?? 0)) continue;
    const missing = amount - (free.get(kind) ?? 0);
    const colon = kind.indexOf(":");
    const what = colon < 0 ? kind : kind.slice(0, colon);
    const which = kind.slice(colon + 1);
    switch (what) {
      case "memory":
        out.push({ kind, missing, rule: "memory", phrase: `has ${sizeText(left)} left`, fix: "" });
        break;
      case "cpu":
        out.push({
          kind,
          missing,
          rule: "cpu",
          phrase: `has ${left} vCPUs left of ${amount} needed`,
          fix: "raise capacity.cpuOvercommit in the pool file",
        });
        break;
      case "pages":
        out.push({
          kind,
          missing,
          rule: "hugepages",
          phrase: `has ${left} huge pages of ${which} KiB left of ${amount} needed`,
          fix: "",
        });
        break;
      case "node":
        out.push({
          kind,
          missing,
          rule: "numa",
          phrase: `has ${sizeText(left)} left on NUMA node ${which} of ${sizeText(amount)} needed`,
          fix: "",
        });
        break;
      default:
        out.push({
          kind,
          missing,
          rule: "storage-space",
          phrase: `has ${sizeText(left)} left in storage pool ${which} of ${sizeText(amount)} to be copied`,
          fix: "",
        });
    }
  }
  return out;
}
