import type { Step } from "./board.ts";
import type { Made } from "./make.ts";
import { LIVE, type Pool } from "./pool.ts";
import type { PoolInstance } from "./snapshot.ts";

/** Instances that are sent elsewhere than planned to make room for a newcomer, and how many are looked at for each. */
const MOST_RELIEVED = 4;
const RELIEF_LOOKS = 24;

export type Demand = Pick<PoolInstance, "memoryMiB" | "vcpus">;

export interface Hop {
  readonly wave: number;
  readonly from: number;
  readonly to: number;
}

type Room = readonly [mem: Int32Array, cpu: Int32Array];
interface Rooms {
  readonly untilTurn: Room;
  readonly toTheEnd: Room;
}

/** Where one more instance could go in a plan, behind all that is planned. */
export class Routes {
  readonly #made: Made;
  readonly #waveOf: Int32Array;
  readonly #rooms = new Map<number, Rooms>();

  constructor(made: Made) {
    this.#made = made;
    this.#waveOf = new Int32Array(made.pool.hosts.length).fill(-1);
    for (const [w, wave] of made.rolled.waves.entries()) for (const x of wave) this.#waveOf[x] = w;
  }

  /** Memory that a newcomer lacks on `h` until that host's turn, for others are planned to come there; infinite for lack of CPUs. */
  lack(h: number, it: Demand): number {
    const [mem, cpu] = this.#roomAfter(0).untilTurn;
    if ((cpu[h] as number) < it.vcpus) return Number.POSITIVE_INFINITY;
    return Math.max(0, it.memoryMiB - (mem[h] as number));
  }

  /**
   * The moves of an instance on `h`: to a final host with its host's turn, else to a host whose turn comes later, and on from there;
   * never to `but`. It moves last in each wave, into room that the plan does not use until then or ever.
   */
  from(h: number, it: Demand, but = -1): Hop[] | undefined {
    const hops: Hop[] = [];
    let here = h;
    let wave = this.#waveOf[h] as number;
    while (wave >= 0) {
      const to = this.#target(here, wave, it, but);
      if (to < 0) return undefined;
      hops.push({ wave, from: here, to });
      here = to;
      wave = (this.#waveOf[to] as number) > wave ? (this.#waveOf[to] as number) : -1;
    }
    return hops;
  }

  /** A final host before a waiting one; of those the last to go, of these the emptiest. */
  #target(here: number, wave: number, it: Demand, but: number): number {
    const { pool } = this.#made;
    const waveOf = this.#waveOf;
    const room = this.#roomAfter(wave);
    const fits = ([mem, cpu]: Room, x: number) => (mem[x] as number) >= it.memoryMiB && (cpu[x] as number) >= it.vcpus;
    const order = (x: number) => ((waveOf[x] as number) < wave ? Number.NEGATIVE_INFINITY : -(waveOf[x] as number));
    let to = -1;
    for (let x = 0; x < pool.hosts.length; x++) {
      const own = waveOf[x] as number;
      if (x === here || x === but || own === wave || pool.cluster[x] !== pool.cluster[here]) continue;
      if (pool.state[x] === "unavailable" || !fits(own < wave ? room.toTheEnd : room.untilTurn, x)) continue;
      const isBetter =
        to < 0 ||
        order(x) < order(to) ||
        (order(x) === order(to) && (room.toTheEnd[0][x] as number) > (room.toTheEnd[0][to] as number));
      if (isBetter) to = x;
    }
    return to;
  }

  #roomAfter(wave: number): Rooms {
    let room = this.#rooms.get(wave);
    if (room === undefined) {
      room = this.#room(wave);
      this.#rooms.set(wave, room);
    }
    return room;
  }

  /** The least memory and virtual CPUs free on each host after the moves of a wave: until its own turn, and to the end. */
  #room(wave: number): Rooms {
    const { pool, rolled } = this.#made;
    const mem = pool.memCap.slice();
    const cpu = pool.cpuCap.slice();
    const add = (u: number, x: number, sign: 1 | -1) => {
      mem[x] = (mem[x] as number) + sign * (pool.mem[u] as number);
      cpu[x] = (cpu[x] as number) + sign * (pool.cpu[u] as number);
    };
    for (let u = 0; u < pool.units; u++) add(u, pool.at[u] as number, -1);
    let untilTurn: Room = [mem.slice(), cpu.slice()];
    let toTheEnd: Room = [mem.slice(), cpu.slice()];
    const lower = ([least, leastCpu]: Room, x: number) => {
      least[x] = Math.min(least[x] as number, mem[x] as number);
      leastCpu[x] = Math.min(leastCpu[x] as number, cpu[x] as number);
    };
    for (const [w, group] of rolled.steps.entries()) {
      for (const { unit, from, to } of group) {
        add(unit, to, -1);
        add(unit, from, 1);
        lower(toTheEnd, to);
        const own = this.#waveOf[to] as number;
        if (own < 0 || own > w) lower(untilTurn, to);
      }
      if (w === wave && wave > 0) {
        untilTurn = [mem.slice(), cpu.slice()];
        toTheEnd = [mem.slice(), cpu.slice()];
      }
    }
    return { untilTurn, toTheEnd };
  }
}

/** The plan with these moves of a unit behind those of their waves. */
export function routed(made: Made, unit: number, hops: readonly Hop[]): Made {
  const { rolled } = made;
  const steps = rolled.steps.map((group, w) => {
    const own = hops.filter((hop) => hop.wave === w);
    return own.length === 0
      ? group
      : [...group, ...own.map(({ from, to }): Step => ({ unit, from, to, kind: "drain", dead: false }))];
  });
  return { ...made, rolled: { ...rolled, steps, moves: rolled.moves + hops.length } };
}

/** The plan in which a newcomer has room on its host until that host's turn; undefined where that takes too much. */
export function withRoom(made: Made, it: Demand, h: number): Made | undefined {
  let base: Made | undefined = made;
  for (let n = 0; base && n <= MOST_RELIEVED; n++) {
    const routes: Routes = new Routes(base);
    const lack = routes.lack(h, it);
    if (lack === 0) return base;
    base = relieved(base, routes, h, lack);
  }
  return undefined;
}

/** The plan with one instance less that is sent to `h` on its way: one that is large enough, if there is one, goes another way. */
function relieved(made: Made, routes: Routes, h: number, lack: number): Made | undefined {
  const { pool, rolled } = made;
  const mem = (u: number) => pool.mem[u] as number;
  const tooSmall = (u: number) => Number(mem(u) < lack);
  const guests: number[] = [];
  for (const group of rolled.steps)
    for (const s of group) if (s.to === h && s.kind === "drain" && isPlain(pool, s.unit)) guests.push(s.unit);
  guests.sort((a, b) => tooSmall(a) - tooSmall(b) || (tooSmall(a) === 0 ? mem(a) - mem(b) : mem(b) - mem(a)) || a - b);
  for (const u of guests.slice(0, RELIEF_LOOKS)) {
    // Its own room is counted as taken, although it comes free: a little is missed, and all is worked out once.
    const hops = routes.from(pool.at[u] as number, { memoryMiB: mem(u), vcpus: pool.cpu[u] as number }, h);
    if (hops === undefined) continue;
    const steps = rolled.steps.map((g) => (g.some((s) => s.unit === u) ? g.filter((s) => s.unit !== u) : g));
    const gone = rolled.steps.reduce((sum, g, w) => sum + g.length - (steps[w]?.length ?? 0), 0);
    return routed({ ...made, rolled: { ...rolled, steps, moves: rolled.moves - gone } }, u, hops);
  }
  return undefined;
}

/** Nothing but memory and CPUs says where it may be. */
function isPlain(pool: Pool, u: number): boolean {
  return (
    pool.movability[u] === LIVE &&
    (pool.members[u] as readonly number[]).length === 1 &&
    (pool.profile[u] as number) < 0 &&
    (pool.groupsOf[u] as readonly number[]).length === 0 &&
    (pool.secondary[u] as number) < 0 &&
    (pool.home[u] as number) < 0 &&
    pool.huge[u] === 0
  );
}
