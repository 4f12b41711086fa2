import { Random } from "@slipway/simulator/random";
import type {
  DomainLimit,
  PoolHost,
  PoolHostState,
  PoolInstance,
  PoolSnapshot,
  QuorumGroup,
  RollingOptions,
} from "../../packages/controller/src/planner/rolling/index.ts";

export interface Puzzle {
  readonly snapshot: PoolSnapshot;
  readonly options: RollingOptions;
}

/** A random pool with random wishes: every feature turns up, alone and together, in pools from roomy to hopeless. */
export function randomPuzzle(seed: number): Puzzle {
  const random = new Random(seed);
  const size = random.pick([3, 4, 5, 6, 8, 12]);
  const hosts = hostsOf(random, size);
  const instances = instancesOf(random, hosts);
  const quorumGroups = random.chance(0.3) ? [quorumOf(random, hosts, instances)] : [];
  return { snapshot: { hosts, instances, quorumGroups }, options: optionsOf(random, hosts, instances) };
}

function hostsOf(random: Random, size: number): PoolHost[] {
  const clusters = random.chance(0.2) ? 2 : 1;
  const isEven = random.chance(0.5);
  const isPlain = random.chance(0.6);
  return Array.from({ length: size }, (_, h) => {
    const memoryMiB = isEven ? 64 : random.pick([32, 48, 64, 96, 128]);
    const durationMs = random.int(1, 20) * 30_000;
    const state: PoolHostState = isPlain
      ? "in-scope"
      : random.pick(["in-scope", "in-scope", "in-scope", "done", "out-of-scope", "out", "unavailable"] as const);
    return {
      name: `h${h}`,
      memoryMiB,
      vcpus: Math.ceil(memoryMiB / random.pick([8, 4, 2])),
      hugepagesMiB: random.pick([0, 16]),
      labels: {
        ...(clusters > 1 ? { cluster: `c${h % clusters}` } : {}),
        ...(random.chance(0.9) ? { rack: `r${h % 3}` } : {}),
        ...(random.chance(0.5) ? { gpu: "yes" } : {}),
      },
      durationMs,
      p95Ms: durationMs * 1.5,
      state,
    };
  });
}

function instancesOf(random: Random, hosts: readonly PoolHost[]): PoolInstance[] {
  const fill = random.pick([0.3, 0.5, 0.6, 0.7, 0.8, 0.9]);
  const sets = random.chance(0.4) ? random.int(1, 4) : 0;
  const mates = random.chance(0.2) ? 2 : 0;
  const isPicky = random.chance(0.3);
  const isStiff = random.chance(0.2);
  const isTied = random.chance(0.12);
  const instances: PoolInstance[] = [];
  for (const host of hosts) {
    if (host.state === "out") continue;
    let memory = 0;
    let cpu = 0;
    let huge = 0;
    const taken = new Set<string>();
    for (let tries = 0; tries < 6; tries++) {
      const memoryMiB = random.pick([2, 4, 8, 16, 24, 32]);
      const vcpus = random.int(0, Math.ceil(memoryMiB / 4));
      const hugepagesMiB = random.chance(0.1) ? 8 : 0;
      const fits = (cap: number, used: number, more: number) => used + more <= cap;
      if (!fits(host.memoryMiB * fill, memory, memoryMiB) || !fits(host.vcpus * 2, cpu, vcpus)) continue;
      if (!fits(host.hugepagesMiB ?? 0, huge, hugepagesMiB)) continue;
      const others = hosts.filter((h) => h !== host && h.labels["cluster"] === host.labels["cluster"]);
      const secondary = isTied && others.length > 0 && random.chance(0.7) ? random.pick(others).name : undefined;
      const set = sets > 0 && random.chance(0.4) ? `set${random.int(1, sets)}` : undefined;
      if (set !== undefined && taken.has(set)) continue;
      if (set !== undefined) taken.add(set);
      memory += memoryMiB;
      cpu += vcpus;
      huge += hugepagesMiB;
      instances.push({
        name: `vm${instances.length}`,
        host: host.name,
        memoryMiB,
        vcpus,
        ...(hugepagesMiB > 0 ? { hugepagesMiB } : {}),
        movability: isStiff && random.chance(0.15) ? random.pick(["stop", "stop", "stop", "pinned"] as const) : "live",
        ...(isPicky && host.labels["gpu"] === "yes" && random.chance(0.3) ? { requires: { gpu: "yes" } } : {}),
        ...(isPicky && random.chance(0.15)
          ? { allowed: [host.name, ...hosts.filter(() => random.chance(0.6)).map((h) => h.name)] }
          : {}),
        ...(set === undefined ? {} : { antiAffinity: [set] }),
        ...(secondary === undefined ? {} : { secondary }),
        ...(set === undefined && mates > 0 && random.chance(0.4) ? { affinity: `pair${random.int(1, mates)}` } : {}),
        ...(random.chance(0.5) ? { home: host.name } : {}),
        migrateMs: memoryMiB * random.int(300, 1200),
      });
    }
  }
  return instances;
}

function quorumOf(random: Random, hosts: readonly PoolHost[], instances: readonly PoolInstance[]): QuorumGroup {
  const names = random.chance(0.7) || instances.length < 3 ? hosts.map((h) => h.name) : instances.map((i) => i.name);
  const members = [0, 1, 2, 3, 4].slice(0, random.pick([3, 5])).flatMap((i) => names[i] ?? []);
  return { name: "etcd", members, minUp: Math.floor(members.length / 2) + random.int(0, 1) };
}

function optionsOf(random: Random, hosts: readonly PoolHost[], instances: readonly PoolInstance[]): RollingOptions {
  const name = () => random.pick(hosts).name;
  const rival = name();
  const other = name();
  const limits: DomainLimit[] = [
    { label: "rack", maxDomains: random.int(1, 2) },
    { label: "rack", maxHosts: random.pick([1, 2, "50%"] as const) },
    { label: "cluster", maxHosts: "40%" },
  ];
  return {
    mode: random.pick(["waves", "moves"] as const),
    cpuOvercommit: 2,
    ...(random.chance(0.3) ? { maxOut: random.pick([1, 2, "30%", "50%"] as const) } : {}),
    ...(random.chance(0.3) ? { domainLimits: limits.filter(() => random.chance(0.5)) } : {}),
    ...(random.chance(0.15) ? { canary: { host: name(), bakeMs: random.int(0, 10) * 60_000 } } : {}),
    ...(random.chance(0.1) ? { order: [...new Set([name(), name(), name()])] } : {}),
    ...(random.chance(0.1) ? { exclude: [name()] } : {}),
    ...(random.chance(0.3) ? { return: random.pick(["preferred", "exact"] as const) } : {}),
    ...(random.chance(0.3) ? { migrationsPerSource: 2, migrationsPerTarget: random.int(1, 3) } : {}),
    ...(random.chance(0.1) ? { reserveMiB: 4 } : {}),
    ...(random.chance(0.1) ? { balance: random.pick([0.05, 0.2]) } : {}),
    ...(random.chance(0.5) ? { consented: instances.filter((i) => i.movability === "stop").map((i) => i.name) } : {}),
    ...(random.chance(0.15)
      ? {
          mayGoOut: (going, out) =>
            ![rival, other].every((h) => going.includes(h) || out.includes(h)) || rival === other,
        }
      : {}),
  };
}
