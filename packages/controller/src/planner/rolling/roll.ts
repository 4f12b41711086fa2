import { AWAY, type Board, FINAL, type Step, UNLIMITED, WAITING } from "./board.ts";
import { type Way, wayToEmpty } from "./exact.ts";
import type { Gate } from "./gate.ts";
import { LIVE, type Pool } from "./pool.ts";
import type { RollingOptions } from "./snapshot.ts";

/** One way of rolling a pool; planning tries several. */
export interface Variant {
  /** Moves onto hosts whose turn is still to come, as a share of the instances of each cluster. */
  readonly detours: number;
  /** 0, or the number of a disturbance of the order in which hosts are considered. */
  readonly shake: number;
  /** Hosts that take equally long go together, so that waves do not wait for one of them. */
  readonly grouped?: boolean;
  /** Look at every arrangement where nothing simpler empties a host. */
  readonly exact?: boolean;
}

/** Moves are grouped by wave; the last group may follow the last wave. */
export interface Rolled {
  readonly waves: readonly (readonly number[])[];
  readonly steps: readonly (readonly Step[])[];
  /** Moves of instances, not of units. */
  readonly moves: number;
  /** The longest durations of the waves' hosts, summed up. */
  readonly lengthMs: number;
  /** Hosts that could not be emptied; empty if the roll is complete. */
  readonly stuck: readonly number[];
  /** True if every arrangement was looked at: then no plan exists. */
  readonly proven: boolean;
}

/** Candidates in a row that do not fit into a wave before it is taken for full. */
const FULL_AFTER = 200;
const FORCED_TRIES = 48;

/** Rolls the pool wave by wave: each wave takes as many hosts as find room for their instances, the rest of it is policy. */
export class Roll {
  readonly #pool: Pool;
  readonly #board: Board;
  readonly #gate: Gate;
  readonly #options: RollingOptions;
  readonly #byRank: Int32Array;
  #shake = 0;
  #exact = false;
  #grouped = false;
  #proven = false;
  #budget: Float64Array;

  constructor(pool: Pool, board: Board, gate: Gate, options: RollingOptions) {
    this.#pool = pool;
    this.#board = board;
    this.#gate = gate;
    this.#options = options;
    this.#byRank = new Int32Array(pool.units);
    for (let u = 0; u < pool.units; u++) this.#byRank[pool.rank[u] as number] = u;
    this.#budget = new Float64Array(pool.clusterNames.length);
  }

  run(variant: Variant): Rolled {
    const pool = this.#pool;
    const board = this.#board;
    const gate = this.#gate;
    this.#shake = variant.shake;
    this.#exact = variant.exact ?? false;
    this.#grouped = variant.grouped ?? false;
    this.#proven = false;
    gate.reset();
    board.reset(this.#turns());
    const instances = new Float64Array(pool.clusterNames.length);
    for (let u = 0; u < pool.units; u++)
      if (pool.state[pool.at[u] as number] === "in-scope") {
        const c = pool.cluster[pool.at[u] as number] as number;
        instances[c] = (instances[c] as number) + (pool.members[u] as readonly number[]).length;
      }
    this.#budget = instances.map((n) => Math.floor(n * variant.detours + 1e-9));
    let left = [...pool.hosts.keys()].filter((h) => pool.state[h] === "in-scope");
    const alreadyOut = [...pool.hosts.keys()].filter((h) => pool.state[h] === "out");
    const waves: number[][] = [];
    const steps: Step[][] = [];
    const close = (wave: number[]) => {
      steps.push(board.log.filter((s) => !s.dead));
      board.log = [];
      waves.push(wave);
    };
    while (left.length > 0 || (waves.length === 0 && alreadyOut.length > 0)) {
      const wave = this.#wave(left, waves.length === 0);
      if (waves.length === 0) wave.unshift(...alreadyOut);
      if (wave.length === 0) {
        const way = this.#exact ? this.#unblock(left) : undefined;
        if (!way || !gate.add(way.host)) break;
        // What has to come onto the host first is a wave of its own without hosts.
        const turn = way.moves.findLastIndex(([, to]) => to === way.host) + 1;
        board.detours = UNLIMITED;
        for (const [i, [u, to]] of way.moves.entries()) {
          if (i === turn && turn > 0) {
            close([]);
            board.nextWave();
          }
          board.move(u, to, i >= turn && board.world.at[u] === way.host ? "drain" : "make-room");
        }
        board.setRole(way.host, AWAY);
        wave.push(way.host);
      }
      close(wave);
      for (const h of wave) {
        board.setRole(h, FINAL);
        gate.remove(h);
      }
      board.nextWave();
      const gone = new Set(wave);
      left = left.filter((h) => !gone.has(h));
      if (this.#options.return === "exact") this.#returnHome();
    }
    if (left.length === 0 && this.#options.return === "preferred") this.#returnHome();
    if (board.log.some((s) => !s.dead)) steps.push(board.log.filter((s) => !s.dead));
    let moves = 0;
    for (const list of steps) for (const s of list) moves += (pool.members[s.unit] as readonly number[]).length;
    const longest = (wave: readonly number[]) => Math.max(0, ...wave.map((h) => pool.hosts[h]?.durationMs ?? 0));
    const lengthMs = waves.reduce((sum, wave) => sum + longest(wave), 0);
    return { waves, steps, moves, lengthMs, stuck: left, proven: this.#proven };
  }

  /** Hosts with few instances per capacity are expected to go early, as are those that the operator names first. */
  #turns(): Float64Array {
    const pool = this.#pool;
    const counts = new Float64Array(pool.hosts.length);
    for (let u = 0; u < pool.units; u++) counts[pool.at[u] as number] = (counts[pool.at[u] as number] as number) + 1;
    const turn = counts.map((n, h) =>
      this.#grouped ? -(pool.hosts[h]?.durationMs ?? 0) : (n / Math.max(1, pool.memCap[h] as number)) * this.#jitter(h),
    );
    for (const [i, name] of (this.#options.order ?? []).entries())
      turn[pool.hostIndex.get(name) ?? 0] = i - pool.hosts.length;
    return turn;
  }

  #jitter(h: number): number {
    if (this.#shake === 0) return 1;
    let x = Math.imul(h + 1, 0x9e3779b1) ^ Math.imul(this.#shake, 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
    x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
    return 0.6 + 0.8 * (((x ^ (x >>> 15)) >>> 0) / 4_294_967_296);
  }

  #wave(left: readonly number[], isFirst: boolean): number[] {
    const canary = this.#options.canary;
    const canaryHost = canary ? this.#pool.hostIndex.get(canary.host) : undefined;
    if (canaryHost !== undefined && left.includes(canaryHost)) return this.#forced([canaryHost], 1);
    // A canary that is out already still has to prove itself.
    if (isFirst && canaryHost !== undefined && this.#pool.state[canaryHost] === "out") return [];
    const ordered = (this.#options.order ?? [])
      .map((name) => this.#pool.hostIndex.get(name) as number)
      .filter((h) => left.includes(h));
    if (ordered.length > 0) return this.#inOrder(ordered);
    const wave: number[] = [];
    const byCluster = Map.groupBy(left, (h) => this.#pool.cluster[h] as number);
    for (const [c, hosts] of byCluster) wave.push(...this.#fill(c, hosts));
    if (wave.length > 0) return wave;
    for (const hosts of byCluster.values()) {
      const forced = this.#forced(this.#byCount(hosts), FORCED_TRIES);
      if (forced.length > 0) return forced;
    }
    return [];
  }

  /** As many hosts as possible from the front of the list, without leaving one out. */
  #inOrder(hosts: readonly number[]): number[] {
    const wave: number[] = [];
    const board = this.#board;
    for (const h of hosts) {
      // What has just arrived on it would have to move twice in one wave.
      if (board.hasReceived(h)) break;
      board.detours = wave.length === 0 ? UNLIMITED : (this.#budget[this.#pool.cluster[h] as number] as number);
      if (!this.#take(h, wave.length === 0)) break;
      wave.push(h);
    }
    return wave;
  }

  #byCount(hosts: readonly number[]): number[] {
    const { count } = this.#board.world;
    return [...hosts].sort(
      (a, b) => (count[a] as number) * this.#jitter(a) - (count[b] as number) * this.#jitter(b) || a - b,
    );
  }

  /** One host, whatever its instances' detours cost: the one that costs least of the first that can go at all. */
  #forced(hosts: readonly number[], tries: number): number[] {
    const board = this.#board;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    let found = 0;
    for (const [i, h] of hosts.entries()) {
      if (found >= tries || (best >= 0 && i >= 4 * tries)) break;
      const mark = board.log.length;
      board.detours = UNLIMITED;
      if (!this.#take(h, true)) continue;
      found++;
      const cost = UNLIMITED - board.detours + (board.log.length - mark) / 1e6;
      this.#leave(h, mark);
      if (cost < least) {
        least = cost;
        best = h;
      }
    }
    if (best < 0) return [];
    board.detours = UNLIMITED;
    return this.#take(best, true) ? [best] : [];
  }

  /** Takes a host out if the gate allows it and all its instances find room. */
  #take(h: number, withRoom: boolean): boolean {
    const board = this.#board;
    if (!this.#gate.add(h)) return false;
    const mark = board.log.length;
    board.setRole(h, AWAY);
    for (const u of this.#movable(h))
      if (!(withRoom ? board.placeWithRoom(u) : board.place(u))) {
        this.#leave(h, mark);
        return false;
      }
    return true;
  }

  #leave(h: number, mark: number): void {
    this.#board.undo(mark);
    this.#board.setRole(h, WAITING);
    this.#gate.remove(h);
  }

  /** A host and the moves that empty it, where looking at every arrangement finds some. */
  #unblock(left: readonly number[]): Way | undefined {
    const canary = this.#options.canary ? this.#pool.hostIndex.get(this.#options.canary.host) : undefined;
    const order = (this.#options.order ?? []).map((name) => this.#pool.hostIndex.get(name) as number);
    const next = canary !== undefined && left.includes(canary) ? canary : order.find((h) => left.includes(h));
    const hosts = next === undefined ? left : [next];
    const byCluster = Map.groupBy(hosts, (h) => this.#pool.cluster[h] as number);
    this.#proven = true;
    for (const goals of byCluster.values()) {
      const way = wayToEmpty(this.#board, goals);
      if (way === "unknown") this.#proven = false;
      else if (way !== "none") return way;
    }
    return undefined;
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
  #fill(c: number, hosts: readonly number[]): number[] {
    const board = this.#board;
    board.detours = this.#budget[c] as number;
    const start = board.log.length;
    const candidates = this.#candidates(hosts);
    let wave = this.#firstChoice(c, candidates);
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
      if (this.#take(h, false)) {
        for (const u of units) home.set(u, h);
        wave.push(h);
        misses = 0;
      } else misses++;
    }
    if (wave.length === hosts.length) this.#spread(c, start, home);
    this.#budget[c] = board.detours;
    return wave;
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
        key: this.#grouped ? -(pool.hosts[h]?.durationMs ?? 0) * this.#jitter(h) : (weight / cap) * this.#jitter(h),
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
      if (!clusters.has(cluster[h] as number) || role[h] === AWAY || role[h] === 3) continue;
      free += Math.max(0, world.mem[h] as number);
      if (role[h] === FINAL) final += Math.max(0, world.mem[h] as number);
    }
    return { capacity, free, final };
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
        finalMem += mem;
        finalCpu += cpu;
      } else if (role[h] === WAITING) {
        waitingMem += mem;
        waitingCpu += cpu;
      }
    }
    let mem = 0;
    let cpu = 0;
    let count = 0;
    const wave: number[] = [];
    for (const h of candidates) {
      const moreMem = mem + world.load(h);
      const moreCpu = cpu + (pool.cpuCap[h] as number) - (world.cpu[h] as number);
      const moreCount = count + (world.count[h] as number);
      const average = moreMem / Math.max(1, moreCount);
      const detourMem = Math.min(waitingMem - Math.max(0, world.mem[h] as number), board.detours * average);
      const detourCpu = board.detours > 0 ? waitingCpu - Math.max(0, world.cpu[h] as number) : 0;
      if (moreMem > finalMem + Math.max(0, detourMem) || moreCpu > finalCpu + Math.max(0, detourCpu)) break;
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

  /** Brings instances back to homes that are done; swaps that need a third place are tried as long as something moves. */
  #returnHome(): void {
    const pool = this.#pool;
    const { world, role } = this.#board;
    for (let moved = true; moved; ) {
      moved = false;
      for (let u = 0; u < pool.units; u++) {
        const home = pool.home[u] as number;
        if (home < 0 || world.at[u] === home || role[home] !== FINAL || pool.movability[u] !== LIVE) continue;
        if (!world.fits(u, home)) continue;
        this.#board.move(u, home, "return");
        moved = true;
      }
    }
  }
}
