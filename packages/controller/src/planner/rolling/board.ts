import { FreeTree } from "./free-tree.ts";
import { Heap } from "./heap.ts";
import { LIVE, type Pool } from "./pool.ts";
import type { MoveKind } from "./result.ts";
import { World } from "./world.ts";

/** What a host is to a plan in the making. */
export const WAITING = 0;
export const FINAL = 1;
export const AWAY = 2;
export const NO_TARGET = 3;

export interface Step {
  readonly unit: number;
  readonly from: number;
  readonly to: number;
  readonly kind: MoveKind;
  /** Undone again before its wave was complete. */
  dead: boolean;
}

/** More detours than any plan makes; a number, so that differences stay exact. */
export const UNLIMITED = 1e12;

/** Of what targets are given at most, the share for those that have to send it on: several late hosts get something, not one all of it. */
const WAITING_SHARE = 0.85;

/** Every so many hosts one keeps a share of its memory free in a roomy plan: together one per cent, in pieces that fit the largest. */
const ROOMY_EVERY = 20;
const ROOMY_SHARE = 0.2;

/** How many hosts are looked at for making room. */
const ROOM_CANDIDATES = 12;
/** In pools of up to that many units the cheapest way of making room is looked for, in others the first one is taken. */
const FEW_UNITS = 2000;

/** Emptiest hosts looked at for a unit before any that fits will do. */
const SPREAD_LOOKS = 16;

/**
 * The world with the two kinds of targets at hand: *final* hosts, on which a unit may stay for good, and *waiting* ones,
 * which it will have to leave again. Every move is logged and can be undone while its wave is being made.
 */
export class Board {
  readonly pool: Pool;
  readonly world: World;
  readonly role: Uint8Array;
  /** Moves onto hosts whose turn is still to come that may be made yet. */
  detours = UNLIMITED;
  log: Step[] = [];
  isRoomy = false;
  /** Memory that one target is given in one wave at most: what its link can take while the wave's own hosts are emptied. */
  #most = Number.POSITIVE_INFINITY;
  readonly #given: Float64Array;
  readonly #final: FreeTree;
  readonly #waiting: FreeTree;
  readonly #slot: Int32Array;
  readonly #hostAt: Int32Array;
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  /** Number of the wave in which a unit was moved, or a host was given one, last. */
  readonly #movedIn: Int32Array;
  readonly #receivedIn: Int32Array;
  #wave = 0;

  constructor(pool: Pool) {
    this.pool = pool;
    this.world = new World(pool);
    const n = pool.hosts.length;
    this.role = new Uint8Array(n);
    this.#final = new FreeTree(n);
    this.#waiting = new FreeTree(n);
    this.#slot = new Int32Array(n);
    this.#hostAt = new Int32Array(n);
    this.#from = new Int32Array(pool.clusterNames.length);
    this.#to = new Int32Array(pool.clusterNames.length);
    this.#movedIn = new Int32Array(pool.units);
    this.#receivedIn = new Int32Array(n);
    this.#given = new Float64Array(n);
  }

  /** Back to the snapshot. `turn` gives each host a number: hosts with high ones are expected to go late. */
  reset(turn: Float64Array): void {
    const { pool } = this;
    this.world.reset();
    this.log = [];
    this.#wave = 1;
    this.#movedIn.fill(0);
    this.#receivedIn.fill(0);
    this.#given.fill(0);
    this.#most = Number.POSITIVE_INFINITY;
    this.#final.clear();
    this.#waiting.clear();
    const order = Int32Array.from(turn.keys()).sort(
      (a, b) =>
        (pool.cluster[a] as number) - (pool.cluster[b] as number) || (turn[a] as number) - (turn[b] as number) || a - b,
    );
    this.#from.fill(-1);
    for (let s = 0; s < order.length; s++) {
      const h = order[s] as number;
      const c = pool.cluster[h] as number;
      this.#slot[h] = s;
      this.#hostAt[s] = h;
      if ((this.#from[c] as number) < 0) this.#from[c] = s;
      this.#to[c] = s + 1;
    }
    for (let h = 0; h < order.length; h++) {
      const state = pool.state[h];
      const role =
        state === "in-scope" ? WAITING : state === "unavailable" ? NO_TARGET : state === "out" ? AWAY : FINAL;
      this.setRole(h, role);
    }
  }

  setRole(h: number, role: number): void {
    this.role[h] = role;
    const s = this.#slot[h] as number;
    if (role !== FINAL) this.#final.drop(s);
    if (role !== WAITING) this.#waiting.drop(this.#mirrored(s));
    this.#refresh(h);
  }

  nextWave(): void {
    this.#wave++;
    this.limit(Number.POSITIVE_INFINITY);
  }

  /** From here on, and until the next wave, targets are given no more memory than that. */
  limit(most: number): void {
    if (most === this.#most) return;
    this.#most = most;
    this.#given.fill(0);
    for (let h = 0; h < this.role.length; h++) this.#refresh(h);
  }

  /** Memory of a host that is no room for what has a place of its own. */
  held(h: number): number {
    return this.isRoomy && h % ROOMY_EVERY === 0 ? ROOMY_SHARE * (this.pool.memCap[h] as number) : 0;
  }

  /** Whether a host has been given a unit in the wave in hand. */
  hasReceived(h: number): boolean {
    return this.#receivedIn[h] === this.#wave;
  }

  /** The most memory free on any one target. */
  get mostFree(): number {
    return Math.max(this.#final.most, this.detours > 0 ? this.#waiting.most : -1);
  }

  /** A final host for the unit, or, if detours are left, a waiting one; -1 if there is none. `but` is no target. */
  targetFor(u: number, but = -1): number {
    const { pool, world } = this;
    const home = pool.home[u] as number;
    if (home >= 0 && home !== but && this.role[home] === FINAL && world.fits(u, home)) return home;
    const mayDetour = this.detours >= (pool.members[u] as readonly number[]).length;
    const secondary = pool.secondary[u] as number;
    if (secondary >= 0) {
      const other = world.at[u] === secondary ? (pool.at[u] as number) : secondary;
      const role = this.role[other] as number;
      return other !== but && (role === FINAL || (role === WAITING && mayDetour)) && world.fits(u, other) ? other : -1;
    }
    const profile = pool.profile[u] as number;
    const few = profile < 0 ? undefined : pool.profiles[profile]?.hosts;
    if (few && few.length * 8 < pool.hosts.length) return this.#amongFew(u, few, but, mayDetour);
    const c = pool.cluster[world.at[u] as number] as number;
    const from = this.#from[c] as number;
    const to = this.#to[c] as number;
    const mem = pool.mem[u] as number;
    const cpu = pool.cpu[u] as number;
    for (let s = this.#final.first(from, to, mem, cpu); s >= 0; s = this.#final.first(s + 1, to, mem, cpu)) {
      const h = this.#hostAt[s] as number;
      if (h !== but && world.fits(u, h)) return h;
    }
    if (!mayDetour) return -1;
    // Mirrored, so that the hosts whose turn comes last are taken first.
    const end = this.#mirrored(from) + 1;
    let s = this.#waiting.first(this.#mirrored(to - 1), end, mem, cpu);
    for (; s >= 0; s = this.#waiting.first(s + 1, end, mem, cpu)) {
      const h = this.#hostAt[this.#mirrored(s)] as number;
      if (h !== but && world.fits(u, h)) return h;
    }
    return -1;
  }

  move(u: number, to: number, kind: MoveKind): void {
    const from = this.world.at[u] as number;
    this.world.move(u, to);
    this.log.push({ unit: u, from, to, kind, dead: false });
    this.#movedIn[u] = this.#wave;
    this.#receivedIn[to] = this.#wave;
    this.#given[to] = (this.#given[to] as number) + (this.pool.mem[u] as number);
    this.detours -= this.#extra(u, from, to, kind);
    this.#refresh(to);
    this.#refresh(from);
  }

  place(u: number): boolean {
    const to = this.targetFor(u);
    if (to < 0) return false;
    this.move(u, to, "drain");
    return true;
  }

  /**
   * Places units on the emptiest final hosts of a cluster instead of the first that fit. False if one finds no place; what
   * was placed stays placed.
   */
  spread(units: readonly number[], c: number): boolean {
    const { pool, world } = this;
    const share = (h: number) => world.load(h) / Math.max(1, pool.memCap[h] as number);
    const heap = new Heap(share);
    for (let s = this.#from[c] as number; s < (this.#to[c] as number); s++) {
      const h = this.#hostAt[s] as number;
      if (this.role[h] === FINAL) heap.push(h);
    }
    for (const u of units) {
      const passed: number[] = [];
      let to = -1;
      for (let h = heap.pop(); h !== undefined && passed.length < SPREAD_LOOKS; h = heap.pop()) {
        passed.push(h);
        if (!world.fits(u, h)) continue;
        to = h;
        break;
      }
      if (to < 0) to = this.targetFor(u);
      if (to >= 0) this.move(u, to, "drain");
      for (const h of passed) heap.push(h);
      if (to < 0) return false;
    }
    return true;
  }

  /** Places a unit after pushing units of other hosts aside; a last resort, as these moves come on top. */
  placeWithRoom(u: number): boolean {
    if (this.place(u)) return true;
    const { pool, world } = this;
    const c = pool.cluster[world.at[u] as number] as number;
    const candidates: { h: number; lack: number }[] = [];
    for (let s = this.#from[c] as number; s < (this.#to[c] as number); s++) {
      const h = this.#hostAt[s] as number;
      const role = this.role[h] as number;
      if ((role !== FINAL && (role !== WAITING || this.detours <= 0)) || !world.mayRunOn(u, h) || world.hasRival(u, h))
        continue;
      const lack = Math.max(0, (pool.mem[u] as number) - (world.mem[h] as number));
      const worst = candidates[candidates.length - 1];
      if (candidates.length === ROOM_CANDIDATES && worst && lack >= worst.lack) continue;
      if (candidates.length === ROOM_CANDIDATES) candidates.pop();
      let i = candidates.length;
      while (i > 0 && (candidates[i - 1]?.lack ?? 0) > lack) i--;
      candidates.splice(i, 0, { h, lack });
    }
    const before = this.detours;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const { h } of candidates) {
      const mark = this.log.length;
      const found = this.#makeRoom(u, h);
      if (found) this.move(u, h, "drain");
      const isAffordable = found && this.detours >= 0;
      const cost = before - this.detours + (this.log.length - mark) / 1000;
      if (isAffordable && pool.units > FEW_UNITS) return true;
      this.undo(mark);
      if (!isAffordable || cost >= least) continue;
      least = cost;
      best = h;
    }
    if (best < 0) return false;
    this.#makeRoom(u, best);
    this.move(u, best, "drain");
    return true;
  }

  /** Undoes every move since the log had that length. */
  undo(mark: number): void {
    while (this.log.length > mark) {
      const step = this.log.pop();
      if (step && !step.dead) this.#back(step);
    }
  }

  /** Takes single moves of the wave back; what others have done since stays. */
  kill(step: Step): void {
    step.dead = true;
    this.#back(step);
  }

  #back(step: Step): void {
    this.world.move(step.unit, step.from);
    this.#movedIn[step.unit] = 0;
    this.#given[step.to] = (this.#given[step.to] as number) - (this.pool.mem[step.unit] as number);
    this.detours += this.#extra(step.unit, step.from, step.to, step.kind);
    this.#refresh(step.to);
    this.#refresh(step.from);
  }

  /** Moves that one more host to come, or a host that was final already, costs beyond the one that every unit needs. */
  #extra(u: number, from: number, to: number, kind: MoveKind): number {
    const count = Number(this.role[to] === WAITING) + Number(kind === "make-room" && this.role[from] === FINAL);
    return count * (this.pool.members[u] as readonly number[]).length;
  }

  #makeRoom(u: number, h: number): boolean {
    const { pool, world } = this;
    const movable = world
      .unitsOn(h)
      .filter((v) => pool.movability[v] === LIVE && this.#movedIn[v] !== this.#wave)
      .sort((a, b) => (pool.mem[a] as number) - (pool.mem[b] as number) || a - b);
    const lack = (pool.mem[u] as number) - (world.mem[h] as number);
    const enough = movable.findIndex((v) => (pool.mem[v] as number) >= lack);
    // One that is large enough, else from the largest down.
    const tries = enough < 0 ? [] : movable.slice(enough);
    for (const v of tries) {
      const to = this.targetFor(v, h);
      if (to < 0) continue;
      this.move(v, to, "make-room");
      if (world.fits(u, h)) return true;
    }
    for (const v of movable.toReversed()) {
      if (world.at[v] !== h) continue;
      const to = this.targetFor(v, h);
      if (to < 0) continue;
      this.move(v, to, "make-room");
      if (world.fits(u, h)) return true;
    }
    return false;
  }

  #amongFew(u: number, few: readonly number[], but: number, mayDetour: boolean): number {
    let best = -1;
    for (const h of few) {
      const role = this.role[h] as number;
      if (h === but || !(role === FINAL || (role === WAITING && mayDetour)) || !this.world.fits(u, h)) continue;
      if (role === FINAL) return h;
      if (best < 0 || (this.#slot[h] as number) > (this.#slot[best] as number)) best = h;
    }
    return best;
  }

  #mirrored(slot: number): number {
    return this.#slot.length - 1 - slot;
  }

  #refresh(h: number): void {
    const role = this.role[h];
    const s = this.#slot[h] as number;
    const most = role === WAITING ? this.#most * WAITING_SHARE : this.#most;
    const mem = Math.min((this.world.mem[h] as number) - this.held(h), most - (this.#given[h] as number));
    if (role === FINAL) this.#final.set(s, mem, this.world.cpu[h] as number);
    else if (role === WAITING) this.#waiting.set(this.#mirrored(s), mem, this.world.cpu[h] as number);
  }
}
