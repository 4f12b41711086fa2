import { AWAY, type Board, NO_TARGET } from "./board.ts";
import { LIVE } from "./pool.ts";

/** Arrangements looked at before the question is given up: a full look pays only where there are few units. */
const mostStates = (units: number) => (units <= 14 ? 120_000 : 4_000);
/** Weight of what is left to move against what has been moved: above 1 trades a few moves for much less looking. */
const GREED = 2;

export interface Way {
  readonly host: number;
  readonly moves: readonly (readonly [unit: number, to: number])[];
}

/**
 * Moves that empty one of these hosts (all of one cluster), found by looking at every arrangement that single moves can
 * reach. `none`: no arrangement leaves one of them empty, which is a proof, since every move can be taken back and
 * therefore the order of hosts does not matter. `unknown`: there are too many arrangements.
 */
export function wayToEmpty(board: Board, goals: readonly number[]): Way | "none" | "unknown" {
  return new Arrangements(board, goals).search();
}

/** Units of equal demands and rights are one class: exchanging them makes no other arrangement. */
class Arrangements {
  readonly #board: Board;
  readonly #hosts: readonly number[];
  readonly #units: readonly number[];
  readonly #classOf: readonly number[];
  readonly #goals: readonly number[];
  /** What is free on the hosts without any of the units. */
  readonly #mem: Int32Array;
  readonly #cpu: Int32Array;
  readonly #huge: Int32Array;
  readonly #states: Uint8Array[] = [];
  readonly #parents: number[] = [];
  readonly #changes: (readonly [unit: number, to: number])[] = [];
  readonly #seen = new Set<number | string>();
  readonly #queue: number[][] = [];

  constructor(board: Board, goals: readonly number[]) {
    const { pool, world, role } = board;
    this.#board = board;
    const c = pool.cluster[goals[0] as number];
    const usable = (h: number) => pool.cluster[h] === c && role[h] !== AWAY && role[h] !== NO_TARGET;
    this.#hosts = [...pool.hosts.keys()].filter(usable);
    const keyed: { u: number; key: string }[] = [];
    for (let u = 0; u < pool.units; u++) {
      if (pool.movability[u] !== LIVE || !usable(world.at[u] as number)) continue;
      const isAlone = (pool.groupsOf[u]?.length ?? 0) > 0 || (pool.secondary[u] as number) >= 0;
      const demand = [pool.mem[u], pool.cpu[u], pool.huge[u], pool.profile[u], pool.members[u]?.length];
      keyed.push({ u, key: isAlone ? `alone ${u}` : demand.join(" ") });
    }
    keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.u - b.u));
    this.#units = keyed.map((k) => k.u);
    this.#classOf = keyed.map((k) => keyed.findIndex((other) => other.key === k.key));
    this.#goals = goals.map((h) => this.#hosts.indexOf(h));
    const without = (free: Int32Array, demand: Int32Array) => {
      const sum = Int32Array.from(this.#hosts, (h) => free[h] as number);
      for (const u of this.#units) {
        const at = this.#hosts.indexOf(world.at[u] as number);
        sum[at] = (sum[at] as number) + (demand[u] as number);
      }
      return sum;
    };
    this.#mem = without(world.mem, pool.mem);
    this.#cpu = without(world.cpu, pool.cpu);
    this.#huge = without(world.huge, pool.huge);
  }

  search(): Way | "none" | "unknown" {
    const start = Uint8Array.from(this.#units, (u) => this.#hosts.indexOf(this.#board.world.at[u] as number));
    for (let i = 1; i < start.length; i++) this.#canonical(start, i);
    this.#add(start, -1, [-1, -1], 0);
    for (let f = 0; f < this.#queue.length; f++) {
      const bucket = this.#queue[f];
      while (bucket && bucket.length > 0) {
        const index = bucket.pop() as number;
        const state = this.#states[index] as Uint8Array;
        const goal = this.#goals.find((g) => !state.includes(g));
        if (goal !== undefined) return { host: this.#hosts[goal] as number, moves: this.#path(index) };
        if (this.#states.length > mostStates(this.#units.length)) return "unknown";
        this.#expand(index, state, f);
        // A cheaper bucket may have been filled.
        f = Math.max(0, f - GREED);
        break;
      }
      if (bucket && bucket.length > 0) f--;
    }
    return "none";
  }

  #expand(index: number, state: Uint8Array, f: number): void {
    const { pool } = this.#board;
    const depth = f - GREED * this.#left(state);
    const mem = this.#mem.slice();
    const cpu = this.#cpu.slice();
    const huge = this.#huge.slice();
    for (const [i, u] of this.#units.entries()) {
      const at = state[i] as number;
      mem[at] = (mem[at] as number) - (pool.mem[u] as number);
      cpu[at] = (cpu[at] as number) - (pool.cpu[u] as number);
      huge[at] = (huge[at] as number) - (pool.huge[u] as number);
    }
    for (const [i, u] of this.#units.entries()) {
      // Of a class on one host, moving the first is as good as moving any.
      if (i > 0 && this.#classOf[i] === this.#classOf[i - 1] && state[i] === state[i - 1]) continue;
      for (const [t, h] of this.#hosts.entries()) {
        if (t === state[i]) continue;
        if ((mem[t] as number) < (pool.mem[u] as number) || (cpu[t] as number) < (pool.cpu[u] as number)) continue;
        if ((pool.huge[u] as number) > 0 && (huge[t] as number) < (pool.huge[u] as number)) continue;
        if (!this.#allows(u, h) || this.#hasRival(u, h, state)) continue;
        const next = state.slice();
        next[i] = t;
        this.#add(this.#canonical(next, i), index, [i, t], depth + 1);
      }
    }
  }

  #allows(u: number, h: number): boolean {
    const { pool } = this.#board;
    const profile = pool.profile[u] as number;
    if (profile >= 0 && pool.profiles[profile]?.allows[h] !== 1) return false;
    const secondary = pool.secondary[u] as number;
    return secondary < 0 || h === secondary || h === pool.at[u];
  }

  #hasRival(u: number, h: number, state: Uint8Array): boolean {
    const { pool, world } = this.#board;
    for (const g of pool.groupsOf[u] as readonly number[])
      for (const other of pool.groups[g] as readonly number[]) {
        if (other === u) continue;
        const i = this.#units.indexOf(other);
        const at = i < 0 ? (world.at[other] as number) : this.#hosts[state[i] as number];
        if (at === h) return true;
      }
    return false;
  }

  #left(state: Uint8Array): number {
    let least = state.length;
    for (const g of this.#goals) {
      let count = 0;
      for (const at of state) if (at === g) count++;
      least = Math.min(least, count);
    }
    return least;
  }

  /** Sorts the units of each class by host, which only unit `i` may have left: exchanging them makes no other arrangement. */
  #canonical(state: Uint8Array, i: number): Uint8Array {
    const cls = this.#classOf;
    const swap = (a: number, b: number) => {
      const kept = state[a] as number;
      state[a] = state[b] as number;
      state[b] = kept;
    };
    for (; i > 0 && cls[i - 1] === cls[i] && (state[i - 1] as number) > (state[i] as number); i--) swap(i, i - 1);
    for (; cls[i + 1] === cls[i] && (state[i + 1] as number) < (state[i] as number); i++) swap(i, i + 1);
    return state;
  }

  /** A number where one can hold every arrangement. */
  #key(state: Uint8Array): number | string {
    const base = this.#hosts.length;
    if (base ** state.length > Number.MAX_SAFE_INTEGER) return String.fromCharCode(...state);
    let key = 0;
    for (const at of state) key = key * base + at;
    return key;
  }

  #add(state: Uint8Array, parent: number, change: readonly [number, number], depth: number): void {
    const key = this.#key(state);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const index = this.#states.length;
    this.#states.push(state);
    this.#parents.push(parent);
    this.#changes.push(change);
    const f = depth + GREED * this.#left(state);
    while (this.#queue.length <= f) this.#queue.push([]);
    this.#queue[f]?.push(index);
  }

  /** The moves to a state, with real units for those of a class. */
  #path(index: number): (readonly [number, number])[] {
    const steps: { cls: number; from: number; to: number }[] = [];
    for (let i = index; (this.#parents[i] as number) >= 0; i = this.#parents[i] as number) {
      const [unit, to] = this.#changes[i] as readonly [number, number];
      const before = this.#states[this.#parents[i] as number] as Uint8Array;
      steps.push({ cls: this.#classOf[unit] as number, from: before[unit] as number, to });
    }
    const at = this.#units.map((u) => this.#hosts.indexOf(this.#board.world.at[u] as number));
    return steps.reverse().map(({ cls, from, to }) => {
      const i = this.#units.findIndex((_, k) => this.#classOf[k] === cls && at[k] === from);
      at[i] = to;
      return [this.#units[i] as number, this.#hosts[to] as number] as const;
    });
  }
}
