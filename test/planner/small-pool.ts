import { Random } from "@slipway/simulator/random";
import type { PoolHost, PoolInstance } from "../../packages/controller/src/planner/rolling/index.ts";
import type { Puzzle } from "./random-pool.ts";

/** A pool of at most 6 hosts and 12 instances, equal durations, moves that take next to no time: what exhaustive search can judge. */
export function smallPuzzle(seed: number, mode: "waves" | "moves"): Puzzle {
  const random = new Random(seed + 500_000);
  const size = random.int(2, 6);
  const fill = random.pick([0.4, 0.5, 0.6, 0.7, 0.8, 0.95]);
  const isEven = random.chance(0.6);
  const sizes = random.pick([[4, 8, 16], [8], [5, 7, 11, 13], [2, 4, 24], [16, 24, 32]] as const);
  const isPicky = random.chance(0.2);
  const sets = random.chance(0.25) ? 1 : 0;
  const hosts: PoolHost[] = Array.from({ length: size }, (_, h) => ({
    name: `h${h}`,
    memoryMiB: isEven ? 48 : random.pick([32, 48, 64]),
    vcpus: 16,
    labels: { rack: `r${h % 2}`, ...(random.chance(0.6) ? { gpu: "yes" } : {}) },
    durationMs: 600_000,
    state: random.chance(0.1) ? "out-of-scope" : "in-scope",
  }));
  const instances: PoolInstance[] = [];
  for (let tries = 0; tries < 40 && instances.length < 12; tries++) {
    const host = random.pick(hosts);
    const memoryMiB = random.pick(sizes);
    const here = instances.filter((it) => it.host === host.name);
    if (here.reduce((sum, it) => sum + it.memoryMiB, memoryMiB as number) > host.memoryMiB * fill) continue;
    const inSet = sets > 0 && random.chance(0.4) && here.every((it) => it.antiAffinity === undefined);
    instances.push({
      name: `vm${instances.length}`,
      host: host.name,
      memoryMiB,
      vcpus: 1,
      movability: "live",
      migrateMs: 1,
      ...(inSet ? { antiAffinity: ["set"] } : {}),
      ...(isPicky && host.labels["gpu"] === "yes" && random.chance(0.3) ? { requires: { gpu: "yes" } } : {}),
    });
  }
  const options = {
    mode,
    ...(random.chance(0.2) ? { maxOut: random.int(1, 2) } : {}),
    ...(random.chance(0.2) ? { domainLimits: [{ label: "rack", maxDomains: 1 }] } : {}),
  };
  return { snapshot: { hosts, instances }, options };
}
