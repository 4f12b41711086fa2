import { Random } from "@slipway/simulator/random";
import type { PoolHost, PoolInstance, PoolSnapshot } from "../../packages/controller/src/planner/rolling/snapshot.ts";
import { AWAY_MS, LINK_MIB_PER_MS } from "./clock.ts";

export type Disks = "shared" | "drbd-pairs" | "drbd-ring" | "drbd-random" | "half-drbd";

export interface PoolKind {
  readonly hosts: number;
  /** Share of the pool's memory in use. */
  readonly used: number;
  readonly seed: number;
  /** 1: all hosts alike; 3: hosts of half, once and twice the size. */
  readonly sizes?: 1 | 3;
  readonly disks?: Disks;
  /** Instances in sets of that many, of which no two may share a host. */
  readonly setsOf?: number;
}

export const INSTANCES_PER_HOST = 20;
const GIB = 1024;
/** Instances of these sizes in GiB, with their shares. */
const MIX = [
  [2, 0.25],
  [4, 0.3],
  [8, 0.25],
  [16, 0.15],
  [32, 0.05],
] as const;

/** A pool of that kind, always the same for the same kind. Every host is about equally full. */
export function poolOf({ hosts: n, used, seed, sizes = 1, disks = "shared", setsOf }: PoolKind): PoolSnapshot {
  const random = new Random(seed * 7919 + n);
  const factors = Array.from({ length: n }, (_, h) => (sizes === 1 ? 1 : ([0.5, 1, 2][h % 3] as number)));
  const memories = Array.from({ length: n * INSTANCES_PER_HOST }, () => drawn(random) * GIB);
  const total = memories.reduce((a, b) => a + b, 0);
  const unit = total / used / factors.reduce((a, b) => a + b, 0);
  const capacity = factors.map((f) => Math.ceil(f * unit));
  const hosts: PoolHost[] = capacity.map((memoryMiB, h) => ({
    name: `node${String(h).padStart(5, "0")}`,
    memoryMiB,
    // Twice what the instances need at four virtual CPUs a CPU, so that memory binds.
    vcpus: Math.ceil(memoryMiB / GIB / 8),
    labels: { cluster: "pool", rack: `r${h % 10}` },
    durationMs: AWAY_MS,
    state: "in-scope",
  }));
  const place = new Placement(capacity, random);
  const at = place.all(memories, setsOf);
  const instances: PoolInstance[] = memories.map((memoryMiB, i) => {
    const h = at[i] as number;
    const secondary = secondaryOf(disks, h, i, n, random);
    return {
      name: `vm${String(i).padStart(6, "0")}`,
      host: hosts[h]?.name ?? "",
      memoryMiB,
      vcpus: Math.max(1, Math.floor(memoryMiB / GIB / 4)),
      movability: "live",
      migrateMs: memoryMiB / LINK_MIB_PER_MS,
      ...(setsOf === undefined ? {} : { antiAffinity: [`set${Math.floor(i / setsOf)}`] }),
      ...(secondary === undefined ? {} : { secondary: hosts[secondary]?.name ?? "" }),
    };
  });
  return { hosts, instances };
}

function drawn(random: Random): number {
  let x = random.next();
  for (const [gib, share] of MIX) {
    if (x < share) return gib;
    x -= share;
  }
  return MIX[0][0];
}

/** The large instances at random, the small ones where the least is used, so that hosts differ in kind but not in fill. */
class Placement {
  readonly #capacity: readonly number[];
  readonly #load: Float64Array;
  readonly #random: Random;

  constructor(capacity: readonly number[], random: Random) {
    this.#capacity = capacity;
    this.#load = new Float64Array(capacity.length);
    this.#random = random;
  }

  all(memories: readonly number[], setsOf = 1): number[] {
    const at = new Array<number>(memories.length).fill(-1);
    const order = [...memories.keys()].sort((a, b) => (memories[b] as number) - (memories[a] as number) || a - b);
    const rivals = (i: number) => {
      const first = i - (i % setsOf);
      return new Set(Array.from({ length: setsOf }, (_, k) => at[first + k]));
    };
    const heap = new LeastLoaded(this.#capacity.length, (h) => this.#share(h));
    for (const i of order) {
      const memory = memories[i] as number;
      const taken = setsOf > 1 ? rivals(i) : new Set();
      let h = -1;
      if (memory >= 16 * GIB)
        for (let tries = 0; tries < 50 && h < 0; tries++) {
          const pick = this.#random.int(0, this.#capacity.length - 1);
          const after = (this.#load[pick] as number) + memory;
          if (!taken.has(pick) && after <= 0.45 * (this.#capacity[pick] as number)) h = pick;
        }
      if (h < 0) h = heap.least((x) => !taken.has(x));
      at[i] = h;
      this.#load[h] = (this.#load[h] as number) + memory;
      heap.changed(h);
    }
    return at;
  }

  #share(h: number): number {
    return (this.#load[h] as number) / (this.#capacity[h] as number);
  }
}

/** A binary heap of hosts whose keys only grow. */
class LeastLoaded {
  readonly #heap: number[];
  readonly #where: number[];
  readonly #key: (h: number) => number;

  constructor(n: number, key: (h: number) => number) {
    this.#heap = Array.from({ length: n }, (_, h) => h);
    this.#where = [...this.#heap];
    this.#key = key;
  }

  /** The first acceptable host, looking a little further than the top where it is not. */
  least(accept: (h: number) => boolean): number {
    const near = this.#heap.slice(0, 64).sort((a, b) => this.#key(a) - this.#key(b) || a - b);
    const found = near.find(accept) ?? this.#heap.find(accept);
    if (found === undefined) throw new Error("no host is acceptable");
    return found;
  }

  changed(h: number): void {
    let i = this.#where[h] as number;
    for (;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (
          child < this.#heap.length &&
          this.#key(this.#heap[child] as number) < this.#key(this.#heap[least] as number)
        )
          least = child;
      if (least === i) return;
      const other = this.#heap[least] as number;
      this.#heap[least] = this.#heap[i] as number;
      this.#where[this.#heap[least] as number] = least;
      this.#heap[i] = other;
      this.#where[other] = i;
      i = least;
    }
  }
}

function secondaryOf(disks: Disks, h: number, i: number, n: number, random: Random): number | undefined {
  switch (disks) {
    case "shared":
      return undefined;
    case "drbd-pairs":
      return h % 2 === 0 ? Math.min(h + 1, n - 1) : h - 1;
    case "drbd-ring":
      return (h + 1 + (i % 4)) % n;
    case "half-drbd":
    case "drbd-random": {
      if (disks === "half-drbd" && i % 2 === 0) return undefined;
      const other = random.int(0, n - 2);
      return other >= h ? other + 1 : other;
    }
  }
}

/** The pool in the text form that Ganeti's tools read. */
export function ganetiText({ hosts, instances }: PoolSnapshot): string {
  const used = new Map<string, number>();
  const disks = new Map<string, number>();
  for (const it of instances) {
    used.set(it.host, (used.get(it.host) ?? 0) + it.memoryMiB);
    for (const host of [it.host, it.secondary ?? ""]) disks.set(host, (disks.get(host) ?? 0) + 1);
  }
  const disk = 1024;
  const plenty = 64 * 1024 * 1024;
  const nodes = hosts.map((host, h) =>
    [
      host.name,
      host.memoryMiB,
      0,
      host.memoryMiB - (used.get(host.name) ?? 0),
      plenty,
      plenty - disk * (disks.get(host.name) ?? 0),
      host.vcpus,
      h === 0 ? "M" : "N",
      "uuid-1",
      1,
    ].join("|"),
  );
  const rows = instances.map((it) =>
    [
      it.name,
      it.memoryMiB,
      disk,
      it.vcpus,
      "running",
      "Y",
      it.host,
      it.secondary ?? "",
      it.secondary === undefined ? "rbd" : "drbd",
      (it.antiAffinity ?? []).map((set) => `service:${set}`).join(","),
      1,
    ].join("|"),
  );
  const hasSets = instances.some((it) => (it.antiAffinity ?? []).length > 0);
  const specs = "128,1,1024,1,1,1|128,1,1024,1,1,1;1048576,64,1048576,16,8,12";
  const policy = `${specs}|diskless,file,sharedfile,plain,blockdev,drbd,rbd,ext|64.0|1024.0`;
  return [
    `group-1|uuid-1|preferred|`,
    "",
    ...nodes,
    "",
    ...rows,
    "",
    ...(hasSets ? ["htools:iextags:service"] : []),
    "",
    `|${policy}`,
    `group-1|${policy}`,
    "",
  ].join("\n");
}
