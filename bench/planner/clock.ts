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
 * What no plan can undercut that empties hosts when their wave comes: hosts out together leave their instances to the free memory of the
 * others, of which only multiples of the instances' common measure can be used. So hosts that are at least so full are spread over so many
 * waves, each of which takes a host's time and the time to empty the fullest of its hosts.
 */
export function floors({ hosts, instances }: PoolSnapshot): { waves: number; makespanMs: number } {
  const measure = instances.reduce((a, it) => common(a, it.memoryMiB), 0);
  const usable = hosts.map((h) => Math.floor(h.memoryMiB / measure) * measure);
  const used = new Map<string, number>();
  for (const it of instances) used.set(it.host, (used.get(it.host) ?? 0) + it.memoryMiB);
  const loads = hosts.map((h) => used.get(h.name) ?? 0);
  const spare = usable.reduce((a, b) => a + b, 0) - loads.reduce((a, b) => a + b, 0);
  const smallest = Math.min(...usable);
  const isEqual = usable.every((u) => u === smallest);
  const wavesFor = (capacity: number, count: number) =>
    isEqual ? Math.ceil(count / Math.floor(spare / smallest)) : Math.ceil(capacity / spare - 1e-9);
  const fullest = [...hosts.keys()].sort((a, b) => (loads[b] as number) - (loads[a] as number));
  let capacity = 0;
  let waves = 0;
  let drained = 0;
  // The fullest hosts need so many waves at least; the next fuller ones that need one more set what that one takes.
  for (const [i, h] of fullest.entries()) {
    capacity += usable[h] as number;
    const needed = wavesFor(capacity, i + 1);
    drained += (needed - waves) * (loads[h] as number);
    waves = needed;
  }
  return { waves, makespanMs: waves * AWAY_MS + drained / LINK_MIB_PER_MS };
}
