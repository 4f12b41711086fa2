// The truth about small pools, by looking at everything. Knows memory, virtual CPUs, labels, anti-affinity and limits; the
// pools it is given use nothing else.
import type { PoolSnapshot, RollingOptions } from "../../packages/controller/src/planner/rolling/index.ts";
import { limitsBroken, misfit, type Rules, rulesOf } from "./checker.ts";

export interface Truth {
  readonly feasible: boolean;
  /** Fewest waves; with equal durations and quick moves no schedule is shorter than these. Undefined where infeasible. */
  readonly waves: number | undefined;
  /** Fewest moves; undefined where infeasible or not found within the effort. */
  readonly moves: number | undefined;
}

/** Undefined where there are more than `most` arrangements. */
export function truthOf(snapshot: PoolSnapshot, options: RollingOptions, most: number): Truth | undefined {
  const game = new Game(rulesOf(snapshot, options));
  const empties = game.reachableEmpties(most);
  if (!empties) return undefined;
  const scope = game.scope;
  const canBeEmpty = (set: number) => [...empties].some((mask) => (mask & set) === set);
  const feasible = scope.every((h) => canBeEmpty(1 << h) && game.mayBeOut(1 << h));
  if (!feasible) return { feasible, waves: undefined, moves: undefined };
  const all = scope.reduce((mask, h) => mask | (1 << h), 0);
  // Every arrangement can be reached from every other while nobody is out, so a wave is any set that can be empty.
  const waves = new Map<number, number>([[0, 0]]);
  for (let set = 1; set <= all; set++) {
    if ((set & all) !== set) continue;
    let least = Number.POSITIVE_INFINITY;
    for (let part = set; part > 0; part = (part - 1) & set)
      if (canBeEmpty(part) && game.mayBeOut(part))
        least = Math.min(least, 1 + (waves.get(set ^ part) ?? Number.POSITIVE_INFINITY));
    waves.set(set, least);
  }
  return { feasible, waves: waves.get(all), moves: game.fewestMoves(all, most) };
}

class Game {
  readonly scope: readonly number[];
  readonly #rules: Rules;
  readonly #memory: readonly number[];
  readonly #cpu: readonly number[];
  readonly #takes: readonly (readonly boolean[])[];
  readonly #rivals: readonly (readonly number[])[];
  /** Instances alike in everything: exchanging two of them changes nothing. */
  readonly #kind: readonly number[];
  readonly #start: readonly number[];

  constructor(rules: Rules) {
    this.#rules = rules;
    const { snapshot, options } = rules;
    const names = snapshot.hosts.map((h) => h.name);
    this.scope = rules.inScope.map((name) => names.indexOf(name));
    this.#memory = snapshot.hosts.map((h) => h.memoryMiB - (options.reserveMiB ?? 0));
    this.#cpu = snapshot.hosts.map((h) => Math.floor(h.vcpus * (options.cpuOvercommit ?? 4)));
    const key = (i: number) => {
      const { name: _, host: __, home: ___, migrateMs: ____, ...rest } = snapshot.instances[i] ?? ({} as never);
      return JSON.stringify(rest);
    };
    const order = [...snapshot.instances.keys()].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a - b));
    const instances = order.map((i) => snapshot.instances[i] as (typeof snapshot.instances)[number]);
    this.#kind = instances.map((_, i) => order.findIndex((o) => key(o) === key(order[i] as number)));
    this.#takes = instances.map((it) => snapshot.hosts.map((h) => misfit(rules, it, h) === ""));
    this.#rivals = instances.map((it) =>
      instances.flatMap((other, k) =>
        other !== it && it.antiAffinity?.some((g) => other.antiAffinity?.includes(g)) ? [k] : [],
      ),
    );
    this.#start = this.#sorted(instances.map((it) => names.indexOf(it.host)));
    this.#demand = instances.map((it) => [it.memoryMiB, it.vcpus]);
  }

  readonly #demand: readonly (readonly [number, number])[];

  mayBeOut(set: number): boolean {
    const names = this.#rules.snapshot.hosts.map((h) => h.name).filter((_, h) => (set & (1 << h)) !== 0);
    return limitsBroken(this.#rules, names).length === 0;
  }

  /** For every arrangement that moves can reach: the set of hosts that are empty in it. */
  reachableEmpties(most: number): Set<number> | undefined {
    const empties = new Set<number>();
    const seen = new Set<string>([String.fromCharCode(...this.#start)]);
    const queue = [this.#start];
    for (let state = queue.pop(); state; state = queue.pop()) {
      empties.add(this.#empty(state));
      for (const next of this.#moves(state)) {
        const key = String.fromCharCode(...next);
        if (seen.has(key)) continue;
        if (seen.size >= most) return undefined;
        seen.add(key);
        queue.push(next);
      }
    }
    return empties;
  }

  /** A* over arrangements and hosts done: every instance on a host that is not done has to move at least once more. */
  fewestMoves(all: number, most: number): number | undefined {
    const left = (state: readonly number[], done: number) => state.filter((h) => (all & ~done & (1 << h)) !== 0).length;
    const done0 = this.#empty(this.#start) & all;
    const buckets: { state: readonly number[]; done: number; cost: number }[][] = [];
    const best = new Map<string, number>();
    const push = (state: readonly number[], done: number, cost: number) => {
      const key = String.fromCharCode(done, ...state);
      if ((best.get(key) ?? Number.POSITIVE_INFINITY) <= cost) return;
      best.set(key, cost);
      const f = cost + left(state, done);
      while (buckets.length <= f) buckets.push([]);
      buckets[f]?.push({ state, done, cost });
    };
    push(this.#start, done0, 0);
    for (const bucket of buckets)
      for (let node = bucket.pop(); node; node = bucket.pop()) {
        if (node.done === all) return node.cost;
        if ((best.get(String.fromCharCode(node.done, ...node.state)) ?? 0) < node.cost) continue;
        if (best.size > most) return undefined;
        for (const next of this.#moves(node.state)) push(next, node.done | (this.#empty(next) & all), node.cost + 1);
      }
    return undefined;
  }

  #empty(state: readonly number[]): number {
    let mask = (1 << this.#memory.length) - 1;
    for (const h of state) mask &= ~(1 << h);
    return mask;
  }

  *#moves(state: readonly number[]): Generator<number[]> {
    const memory = [...this.#memory];
    const cpu = [...this.#cpu];
    for (const [i, h] of state.entries()) {
      memory[h] = (memory[h] as number) - (this.#demand[i]?.[0] ?? 0);
      cpu[h] = (cpu[h] as number) - (this.#demand[i]?.[1] ?? 0);
    }
    for (const [i, from] of state.entries()) {
      if (i > 0 && this.#kind[i] === this.#kind[i - 1] && state[i - 1] === from) continue;
      const [needs, cpus] = this.#demand[i] ?? [0, 0];
      for (let to = 0; to < memory.length; to++) {
        if (to === from || !this.#takes[i]?.[to] || (memory[to] as number) < needs || (cpu[to] as number) < cpus)
          continue;
        if (this.#rivals[i]?.some((k) => state[k] === to)) continue;
        const next = [...state];
        next[i] = to;
        yield this.#sorted(next);
      }
    }
  }

  #sorted(state: number[]): number[] {
    for (let from = 0; from < state.length; ) {
      let to = from + 1;
      while (to < state.length && this.#kind[to] === this.#kind[from]) to++;
      if (to - from > 1) {
        const part = state.slice(from, to).sort((a, b) => a - b);
        for (let k = from; k < to; k++) state[k] = part[k - from] as number;
      }
      from = to;
    }
    return state;
  }
}
