import { AWAY, type Board, FINAL, type Step, UNLIMITED } from "./board.ts";
import { type Way, wayToEmpty } from "./exact.ts";
import type { Gate } from "./gate.ts";
import { level } from "./level.ts";
import { LIVE, type Pool } from "./pool.ts";
import type { RollingOptions } from "./snapshot.ts";
import { WaveMaker } from "./wave.ts";

/** One way of rolling a pool; planning tries several. */
export interface Variant {
  /** Moves onto hosts whose turn is still to come, as a share of the instances of each cluster. */
  readonly detours: number;
  /** 0, or the number of a disturbance of the order in which hosts are considered. */
  readonly shake: number;
  /** Hosts that take equally long go together, so that waves do not wait for one of them. */
  readonly grouped?: boolean;
  /** No target is given more in one wave than the wave's fullest host sends, so that no link is busy for longer. */
  readonly even?: boolean;
  /** Some memory of some hosts is left free for newcomers. */
  readonly roomy?: boolean;
  /** Look at every arrangement where nothing simpler empties a host. */
  readonly exact?: boolean;
}

/** Moves are grouped by wave; the last group may follow the last wave. */
export interface Rolled {
  readonly waves: readonly (readonly number[])[];
  readonly steps: readonly (readonly Step[])[];
  /** Moves of instances, not of units. */
  readonly moves: number;
  /** The longest durations of the waves' hosts, and how long the busiest host of each wave sends or receives, summed up. */
  readonly lengthMs: number;
  /** Hosts that could not be emptied; empty if the roll is complete. */
  readonly stuck: readonly number[];
  /** True if every arrangement was looked at: then no plan exists. */
  readonly proven: boolean;
}

const FORCED_TRIES = 48;

/** Rolls the pool wave by wave: each wave takes as many hosts as find room for their instances, the rest of it is policy. */
export class Roll {
  readonly #pool: Pool;
  readonly #board: Board;
  readonly #gate: Gate;
  readonly #options: RollingOptions;
  readonly #maker: WaveMaker;
  #exact = false;
  #proven = false;

  constructor(pool: Pool, board: Board, gate: Gate, options: RollingOptions) {
    this.#pool = pool;
    this.#board = board;
    this.#gate = gate;
    this.#options = options;
    this.#maker = new WaveMaker(pool, board, gate);
  }

  run(variant: Variant): Rolled {
    const pool = this.#pool;
    const board = this.#board;
    const gate = this.#gate;
    this.#maker.shake = variant.shake;
    this.#exact = variant.exact ?? false;
    this.#maker.grouped = variant.grouped ?? false;
    this.#maker.even = variant.even ?? false;
    board.isRoomy = variant.roomy ?? false;
    this.#proven = false;
    gate.reset();
    board.reset(this.#turns());
    const instances = new Float64Array(pool.clusterNames.length);
    for (let u = 0; u < pool.units; u++)
      if (pool.state[pool.at[u] as number] === "in-scope") {
        const c = pool.cluster[pool.at[u] as number] as number;
        instances[c] = (instances[c] as number) + (pool.members[u] as readonly number[]).length;
      }
    this.#maker.budget = instances.map((n) => Math.floor(n * variant.detours + 1e-9));
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
          const leaves = i >= turn && board.world.at[u] === way.host;
          // Nothing comes onto the host any more: what leaves it and goes on later waits there, and goes once.
          if (leaves && way.moves.slice(i + 1).some(([later]) => later === u)) continue;
          board.move(u, to, leaves ? "drain" : "make-room");
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
    if (left.length === 0 && this.#options.balance !== undefined) level(pool, board, this.#options.balance);
    if (board.log.some((s) => !s.dead)) steps.push(board.log.filter((s) => !s.dead));
    let moves = 0;
    for (const list of steps) for (const s of list) moves += (pool.members[s.unit] as readonly number[]).length;
    const longest = (wave: readonly number[]) => Math.max(0, ...wave.map((h) => pool.hosts[h]?.durationMs ?? 0));
    const lengthMs = waves.reduce((sum, wave) => sum + longest(wave), this.#trafficMs(steps));
    return { waves, steps, moves, lengthMs, stuck: left, proven: this.#proven };
  }

  /** How long the busiest host of each group sends or receives, summed up. */
  #trafficMs(groups: readonly (readonly Step[])[]): number {
    const { migrateMs, hosts } = this.#pool;
    const { migrationsPerSource: perSource = 1, migrationsPerTarget: perTarget = 1 } = this.#options;
    let total = 0;
    for (const group of groups) {
      const sent = new Float64Array(hosts.length);
      const received = new Float64Array(hosts.length);
      for (const { unit, from, to } of group) {
        const ms = migrateMs[unit] as number;
        sent[from] = (sent[from] as number) + ms / perSource;
        received[to] = (received[to] as number) + ms / perTarget;
      }
      let most = 0;
      for (const { from, to } of group) most = Math.max(most, sent[from] as number, received[to] as number);
      total += most;
    }
    return total;
  }

  /** Hosts with few instances per capacity are expected to go early, as are those that the operator names first. */
  #turns(): Float64Array {
    const pool = this.#pool;
    const counts = new Float64Array(pool.hosts.length);
    for (let u = 0; u < pool.units; u++) counts[pool.at[u] as number] = (counts[pool.at[u] as number] as number) + 1;
    const turn = counts.map((n, h) =>
      this.#maker.grouped
        ? -(pool.hosts[h]?.durationMs ?? 0)
        : (n / (this.#maker.even ? 1 : Math.max(1, pool.memCap[h] as number))) * this.#maker.jitter(h),
    );
    for (const [i, name] of (this.#options.order ?? []).entries())
      turn[pool.hostIndex.get(name) ?? 0] = i - pool.hosts.length;
    return turn;
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
    for (const [c, hosts] of byCluster) wave.push(...this.#maker.fill(c, hosts));
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
      board.detours = wave.length === 0 ? UNLIMITED : (this.#maker.budget[this.#pool.cluster[h] as number] as number);
      if (!this.#maker.take(h, wave.length === 0)) break;
      wave.push(h);
    }
    return wave;
  }

  #byCount(hosts: readonly number[]): number[] {
    const { count } = this.#board.world;
    return [...hosts].sort(
      (a, b) => (count[a] as number) * this.#maker.jitter(a) - (count[b] as number) * this.#maker.jitter(b) || a - b,
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
      if (!this.#maker.take(h, true)) continue;
      found++;
      const cost = UNLIMITED - board.detours + (board.log.length - mark) / 1e6;
      this.#maker.leave(h, mark);
      if (cost < least) {
        least = cost;
        best = h;
      }
    }
    if (best < 0) return [];
    board.detours = UNLIMITED;
    return this.#maker.take(best, true) ? [best] : [];
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
