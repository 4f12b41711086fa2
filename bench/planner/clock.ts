import type { PoolSnapshot, RollingPlan } from "../../packages/controller/src/planner/rolling/index.ts";

/** How long a host is away, and what its link carries: 10 Gb/s in MiB per millisecond, both ways at once. */
export const AWAY_MS = 600_000;
export const LINK_MIB_PER_MS = 10e9 / 8 / 2 ** 20 / 1000;

/** A plan as the common clock sees it: phases of traffic and of hosts away, one after the other. */
export interface Played {
  readonly waves: number;
  readonly moves: number;
  readonly makespanMs: number;
}

interface Traffic {
  readonly instance: string;
  readonly from: string;
  readonly to: string;
}

/** One clock for every strategy: links are shared perfectly, a phase lasts as long as its busiest link needs. */
export class Clock {
  readonly #memory: ReadonlyMap<string, number>;
  waves = 0;
  moves = 0;
  makespanMs = 0;

  constructor(snapshot: PoolSnapshot) {
    this.#memory = new Map(snapshot.instances.map((it) => [it.name, it.memoryMiB]));
  }

  traffic(list: readonly Traffic[]): void {
    const out = new Map<string, number>();
    const into = new Map<string, number>();
    let most = 0;
    for (const { instance, from, to } of list) {
      const memory = this.#memory.get(instance) ?? 0;
      for (const [map, host] of [
        [out, from],
        [into, to],
      ] as const) {
        const sum = (map.get(host) ?? 0) + memory;
        map.set(host, sum);
        most = Math.max(most, sum);
      }
    }
    this.moves += list.length;
    this.makespanMs += most / LINK_MIB_PER_MS;
  }

  away(): void {
    this.waves++;
    this.makespanMs += AWAY_MS;
  }
}

/** A plan of ours under the common clock, with barriers. */
export function playPlan(snapshot: PoolSnapshot, plan: RollingPlan): Played {
  const clock = new Clock(snapshot);
  for (const w of plan.waves.keys()) {
    clock.traffic(plan.moves.filter((move) => move.wave === w));
    clock.away();
  }
  clock.traffic(plan.moves.filter((move) => move.wave === plan.waves.length));
  return clock;
}

function common(a: number, b: number): number {
  return b === 0 ? a : common(b, a % b);
}

/**
 * What no plan can undercut: hosts out together leave their instances to the free memory of the others, of which only
 * multiples of the instances' common measure can be used; each wave takes a host's time and at least the shortest drain.
 */
export function floors({ hosts, instances }: PoolSnapshot): { waves: number; makespanMs: number } {
  const measure = instances.reduce((a, it) => common(a, it.memoryMiB), 0);
  const usable = (memory: number) => Math.floor(memory / measure) * measure;
  const capacity = hosts.reduce((sum, h) => sum + usable(h.memoryMiB), 0);
  const used = new Map<string, number>();
  for (const it of instances) used.set(it.host, (used.get(it.host) ?? 0) + it.memoryMiB);
  const loads = hosts.map((h) => used.get(h.name) ?? 0);
  const spare = capacity - loads.reduce((a, b) => a + b, 0);
  let waves = Math.ceil(capacity / spare - 1e-9);
  const smallest = Math.min(...hosts.map((h) => usable(h.memoryMiB)));
  if (hosts.every((h) => usable(h.memoryMiB) === smallest))
    waves = Math.ceil(hosts.length / Math.floor(spare / smallest));
  return { waves, makespanMs: waves * (AWAY_MS + Math.min(...loads) / LINK_MIB_PER_MS) };
}
