import { AWAY, type Board, FINAL, NO_TARGET, WAITING } from "./board.ts";
import type { Gate } from "./gate.ts";
import { LIVE, type Pool } from "./pool.ts";

/** Candidates in a row that do not fit into a wave before it is taken for full. */
const FULL_AFTER = 200;
const GENTLE_SHAKES = 15;

/** Takes hosts out: single ones, and as many of a cluster at once as find room for their instances. */
export class WaveMaker {
  /** See `Variant`. */
  shake = 0;
  grouped = false;
  even = false;
  /** Detours that each cluster may make yet. */
  budget: Float64Array;
  readonly #pool: Pool;
  readonly #board: Board;
  readonly #gate: Gate;
  readonly #byRank: Int32Array;

  constructor(pool: Pool, board: Board, gate: Gate) {
    this.#pool = pool;
    this.#board = board;
    this.#gate = gate;
    this.#byRank = new Int32Array(pool.units);
    for (let u = 0; u < pool.units; u++) this.#byRank[pool.rank[u] as number] = u;
    this.budget = new Float64Array(pool.clusterNames.length);
  }

  /** 1, or with a shake a number around it that is always the same for a host. */
  jitter(h: number): number {
    if (this.shake === 0) return 1;
    let x = Math.imul(h + 1, 0x9e3779b1) ^ Math.imul(this.shake, 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
    x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
    const chance = ((x ^ (x >>> 15)) >>> 0) / 4_294_967_296;
    // Late shakes, which only small pools come to, draw lots: even an empty host may be worth more as a target.
    return this.shake <= GENTLE_SHAKES ? 0.6 + 0.8 * chance : chance;
  }

  /** Takes a host out if the gate allows it and all its instances find room. */
  take(h: number, withRoom: boolean): boolean {
    const board = this.#board;
    if (!this.#gate.add(h)) return false;
    const mark = board.log.length;
    board.setRole(h, AWAY);
    for (const u of this.#movable(h))
      if (!(withRoom ? board.placeWithRoom(u) : board.place(u))) {
        this.leave(h, mark);
        return false;
      }
    return true;
  }

  leave(h: number, mark: number): void {
    this.#board.undo(mark);
    this.#board.setRole(h, WAITING);
    this.#gate.remove(h);
  }

  /** Units of a host that have to leave it, the hardest to place first. */
  #movable(h: number): number[] {
    const { rank, movability } = this.#pool;
    return this.#board.world
      .unitsOn(h)
      .filter((u) => movability[u] === LIVE)
      .sort((a, b) => (rank[a] as number) - (rank[b] as number));
  }

  /**
   * The hosts of one cluster for the next wave: a first choice by sums, all their instances placed largest first, hosts
   * whose instances find no room left out again, and then whatever still fits added host by host.
   */
  fill(c: number, hosts: readonly number[]): number[] {
    const board = this.#board;
    board.detours = this.budget[c] as number;
    const start = board.log.length;
    const candidates = this.#candidates(hosts);
    let wave = this.#firstChoice(c, candidates);
    // The last hosts are not to leave a wave behind them for that.
    if (this.even && wave.length < hosts.length) board.limit(this.#heaviest(wave));
    const placed = wave.map((h) => this.#movable(h));
    const units = Int32Array.from(placed.flat(), (u) => this.#pool.rank[u] as number)
      .sort()
      .map((r) => this.#byRank[r] as number);
    let failing: number[] = [];
    for (const u of units) if (!board.place(u)) failing.push(u);
    const home = new Map<number, number>();
    for (const [i, list] of placed.entries()) for (const u of list) home.set(u, wave[i] as number);
    while (failing.length > 0) {
      const still = failing.filter((u) => !board.placeWithRoom(u));
      if (still.length === 0) break;
      const hostsOf = [...new Set(still.map((u) => home.get(u) as number))];
      // The hosts that were wanted least are given up first, some at a time: each one makes room for the others.
      const rankOf = new Map(wave.map((h, i) => [h, i]));
      hostsOf.sort((a, b) => (rankOf.get(b) ?? 0) - (rankOf.get(a) ?? 0));
      const given = new Set(hostsOf.slice(0, Math.max(1, hostsOf.length >> 2)));
      for (const step of board.log) if (!step.dead && step.kind === "drain" && given.has(step.from)) board.kill(step);
      for (const h of given) {
        board.setRole(h, WAITING);
        this.#gate.remove(h);
      }
      wave = wave.filter((h) => !given.has(h));
      failing = still.filter((u) => !given.has(home.get(u) as number));
    }
    const chosen = new Set(wave);
    let misses = 0;
    for (const h of candidates) {
      if (misses >= FULL_AFTER) break;
      if (chosen.has(h) || board.hasReceived(h)) continue;
      const units = this.#movable(h);
      if (this.take(h, false)) {
        for (const u of units) home.set(u, h);
        wave.push(h);
        misses = 0;
      } else misses++;
    }
    if (wave.length === hosts.length) this.#spread(c, start, home);
    // Room that was made for hosts which stay in after all is not wanted, least of all on a host that is taken out in another way.
    if (wave.length === 0) board.undo(start);
    this.budget[c] = board.detours;
    return wave;
  }

  /** The most memory that one of these hosts has to send. */
  #heaviest(wave: readonly number[]): number {
    const { world } = this.#board;
    return wave.reduce((most, h) => Math.max(most, world.load(h)), 0);
  }

  /** Places the last wave's instances anew where most room is: the end is more even, and no link gets it all. */
  #spread(c: number, start: number, home: ReadonlyMap<number, number>): void {
    const board = this.#board;
    const placed = board.log.slice(start).filter((s) => !s.dead);
    if (placed.some((s) => s.kind !== "drain" || home.get(s.unit) !== s.from)) return;
    board.undo(start);
    if (
      board.spread(
        placed.map((s) => s.unit),
        c,
      )
    )
      return;
    board.undo(start);
    for (const step of placed) board.move(step.unit, step.to, "drain");
  }

  /** In the order in which they should go: first what a tight limit forces, then what frees most for least. */
  #candidates(hosts: readonly number[]): number[] {
    const pool = this.#pool;
    const { world, mostFree } = this.#board;
    let biggest = 0;
    const isLate = (h: number) => {
      biggest = 0;
      for (let u = world.first[h] as number; u >= 0; u = world.next[u] as number)
        biggest = Math.max(biggest, pool.mem[u] as number);
      return biggest > mostFree ? 1 : 0;
    };
    const tight = this.#gate.tightness(hosts);
    const spare = this.#spare(hosts);
    const expected = spare.capacity / Math.max(1, spare.free);
    const nothingFinal = spare.final === 0;
    const keyed = hosts.map((h) => {
      const cap = Math.max(1, pool.memCap[h] as number);
      const weight = nothingFinal ? (world.count[h] as number) : world.load(h);
      return {
        h,
        tight: (tight[h] as number) >= expected ? (tight[h] as number) : 0,
        late: isLate(h),
        key:
          this.jitter(h) *
          (this.shake > GENTLE_SHAKES
            ? 1
            : this.grouped
              ? -(pool.hosts[h]?.durationMs ?? 0)
              : this.even
                ? world.load(h)
                : weight / cap),
      };
    });
    keyed.sort((a, b) => b.tight - a.tight || a.late - b.late || a.key - b.key || a.h - b.h);
    return keyed.map((k) => k.h);
  }

  #spare(hosts: readonly number[]): { capacity: number; free: number; final: number } {
    const { memCap, cluster } = this.#pool;
    const { world, role } = this.#board;
    const clusters = new Set(hosts.map((h) => cluster[h]));
    let capacity = 0;
    let free = 0;
    let final = 0;
    for (const h of hosts) capacity += memCap[h] as number;
    for (let h = 0; h < memCap.length; h++) {
      if (!clusters.has(cluster[h] as number) || role[h] === AWAY || role[h] === NO_TARGET) continue;
      free += Math.max(0, world.mem[h] as number);
      if (role[h] === FINAL) final += Math.max(0, world.mem[h] as number);
    }
    return { capacity, free, final };
  }

  /** What the final hosts of a cluster can take when each is given no more than so much. */
  #finalUpTo(c: number): (most: number) => number {
    const board = this.#board;
    const { world, role } = board;
    const free: number[] = [];
    for (let h = 0; h < role.length; h++)
      if (this.#pool.cluster[h] === c && role[h] === FINAL)
        free.push(Math.max(0, (world.mem[h] as number) - board.held(h)));
    free.sort((a, b) => a - b);
    const sums = [0];
    for (const f of free) sums.push((sums.at(-1) as number) + f);
    return (most) => {
      let low = 0;
      let high = free.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((free[middle] as number) <= most) low = middle + 1;
        else high = middle;
      }
      return (sums[low] as number) + (free.length - low) * most;
    };
  }

  /** A prefix of the candidates whose instances fit into what is free by their sums; marks them as away. */
  #firstChoice(c: number, candidates: readonly number[]): number[] {
    const pool = this.#pool;
    const board = this.#board;
    const { world, role } = board;
    let finalMem = 0;
    let finalCpu = 0;
    let waitingMem = 0;
    let waitingCpu = 0;
    for (let h = 0; h < role.length; h++) {
      if (pool.cluster[h] !== c) continue;
      const mem = Math.max(0, world.mem[h] as number);
      const cpu = Math.max(0, world.cpu[h] as number);
      if (role[h] === FINAL) {
        finalMem += Math.max(0, mem - board.held(h));
        finalCpu += cpu;
      } else if (role[h] === WAITING) {
        waitingMem += mem;
        waitingCpu += cpu;
      }
    }
    let mem = 0;
    let cpu = 0;
    let count = 0;
    let most = 0;
    const taken = this.even ? this.#finalUpTo(c) : () => finalMem;
    const wave: number[] = [];
    for (const h of candidates) {
      most = Math.max(most, world.load(h));
      const moreMem = mem + world.load(h);
      const moreCpu = cpu + (pool.cpuCap[h] as number) - (world.cpu[h] as number);
      const moreCount = count + (world.count[h] as number);
      const average = moreMem / Math.max(1, moreCount);
      const detourMem = Math.min(waitingMem - Math.max(0, world.mem[h] as number), board.detours * average);
      const detourCpu = board.detours > 0 ? waitingCpu - Math.max(0, world.cpu[h] as number) : 0;
      if (moreMem > taken(most) + Math.max(0, detourMem) || moreCpu > finalCpu + Math.max(0, detourCpu)) break;
      if (!this.#gate.add(h)) continue;
      board.setRole(h, AWAY);
      wave.push(h);
      mem = moreMem;
      cpu = moreCpu;
      count = moreCount;
      waitingMem -= Math.max(0, world.mem[h] as number);
      waitingCpu -= Math.max(0, world.cpu[h] as number);
    }
    return wave;
  }
}
