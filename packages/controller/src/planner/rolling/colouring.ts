import type { Gate } from "./gate.ts";
import { LIVE, type Pool } from "./pool.ts";

/** Hosts in scope grouped so that each group can be out at once; see `colour`. */
export type Groups = readonly (readonly number[])[];

/** An instance that can only go to the other host of its disk. */
interface Tie {
  readonly mem: number;
  readonly cpu: number;
  readonly to: number;
}

/** Rounds of colouring anew in another order. */
const ROUNDS = 24;
/** Hosts put anew, per host, while a group is being dissolved. */
const PUTS = 8;
/** Above this many hosts the stricter graph is not tried: it grows with the square of the instances of a host. */
const STRICT_HOSTS = 2000;

/**
 * Groups hosts of a pool whose instances have a fixed secondary host, starting every group from the placement of the
 * snapshot. Two hosts that share an instance never go together; beyond that it is checked what really arrives on each
 * host, where Ganeti's hroller forbids two hosts to share a secondary. Its stricter graph is one of the orders tried, and
 * the fewest groups win.
 */
export function colour(pool: Pool, gate: Gate, hosts: readonly number[], least: number): Groups {
  const colouring = new Colouring(pool, gate, hosts);
  let best = colouring.greedy(hosts);
  const keep = (other: Groups) => {
    if (other.length < best.length) best = other;
  };
  const weak = colouring.edges(false);
  keep(colouring.greedy([...hosts].sort((a, b) => degree(weak, b) - degree(weak, a) || a - b)));
  keep(colouring.dsatur(weak, undefined));
  if (hosts.length <= STRICT_HOSTS) {
    const strict = colouring.edges(true);
    keep(colouring.dsatur(strict, strict));
    keep(
      colouring.greedy(
        [...hosts].sort((a, b) => degree(strict, b) - degree(strict, a) || a - b),
        strict,
      ),
    );
  }
  // On rings of neighbours only hosts that many places apart go together.
  for (let apart = Math.max(2, least); apart < best.length; apart++)
    keep(colouring.greedy([...hosts].sort((a, b) => (a % apart) - (b % apart) || a - b)));
  // Taking the groups one after the other in a new order never needs more of them, and often fewer.
  let current = best;
  for (let round = 0; round < ROUNDS && best.length > least; round++) {
    const groups = [...current];
    if (round % 3 === 0) groups.reverse();
    else if (round % 3 === 1) groups.sort((a, b) => b.length - a.length);
    else groups.sort((a, b) => scramble(a[0] ?? 0, round) - scramble(b[0] ?? 0, round));
    current = colouring.greedy(groups.flat());
    keep(current);
  }
  for (let fewer: Groups | undefined = best; fewer && best.length > least; ) {
    fewer = colouring.dissolve(best, weak);
    if (fewer) best = fewer;
  }
  return best;
}

function degree(edges: Edges, h: number): number {
  return edges.get(h)?.size ?? 0;
}

function scramble(x: number, round: number): number {
  const y = Math.imul(x + 1, 0x9e3779b1) ^ Math.imul(round, 0x85ebca6b);
  return (y ^ (y >>> 15)) >>> 0;
}

type Edges = ReadonlyMap<number, ReadonlySet<number>>;

interface Group {
  readonly hosts: number[];
  readonly isIn: Uint8Array;
  /** What arrives on each host while the group is out. */
  readonly mem: Int32Array;
  readonly cpu: Int32Array;
  readonly arrivals: Int32Array;
}

class Colouring {
  readonly #pool: Pool;
  readonly #gate: Gate;
  readonly #hosts: readonly number[];
  readonly #ties: readonly (readonly Tie[])[];
  /** Hosts whose instances may come to a host. */
  readonly #primaries = new Map<number, Set<number>>();
  readonly #freeMem: Int32Array;
  readonly #freeCpu: Int32Array;

  constructor(pool: Pool, gate: Gate, hosts: readonly number[]) {
    this.#pool = pool;
    this.#gate = gate;
    this.#hosts = hosts;
    this.#freeMem = pool.memCap.slice();
    this.#freeCpu = pool.cpuCap.slice();
    const ties: Tie[][] = pool.hosts.map(() => []);
    for (let u = 0; u < pool.units; u++) {
      const at = pool.at[u] as number;
      const to = pool.secondary[u] as number;
      const mem = pool.mem[u] as number;
      const cpu = pool.cpu[u] as number;
      this.#freeMem[at] = (this.#freeMem[at] as number) - mem;
      this.#freeCpu[at] = (this.#freeCpu[at] as number) - cpu;
      if (to < 0 || pool.movability[u] !== LIVE) continue;
      ties[at]?.push({ mem, cpu, to });
      this.#primaries.set(to, (this.#primaries.get(to) ?? new Set()).add(at));
    }
    this.#ties = ties;
  }

  /** Hosts that share an instance; strictly, also those whose instances share a secondary. */
  edges(isStrict: boolean): Edges {
    const edges = new Map<number, Set<number>>(this.#hosts.map((h) => [h, new Set()]));
    const join = (a: number, b: number) => {
      if (a === b) return;
      edges.get(a)?.add(b);
      edges.get(b)?.add(a);
    };
    for (const h of this.#hosts) for (const { to } of this.#ties[h] as readonly Tie[]) join(h, to);
    if (isStrict)
      for (const of of this.#primaries.values()) {
        const list = [...of].filter((h) => edges.has(h));
        for (const [i, a] of list.entries()) for (const b of list.slice(i + 1)) join(a, b);
      }
    return edges;
  }

  /** Each host into the first group that takes it, in this order. */
  greedy(order: readonly number[], forbidden?: Edges): Groups {
    const groups: Group[] = [];
    for (const h of order) this.#put(groups, h, forbidden);
    return groups.map((g) => g.hosts);
  }

  /** Next is always the host whose neighbours are in most groups already, among those the one with most neighbours. */
  dsatur(edges: Edges, forbidden: Edges | undefined): Groups {
    const groups: Group[] = [];
    const saturation = new Map<number, Set<number>>(this.#hosts.map((h) => [h, new Set()]));
    const open = new Set(this.#hosts);
    while (open.size > 0) {
      let next = -1;
      let most = -1;
      for (const h of open) {
        const value = (saturation.get(h)?.size ?? 0) * 1e6 + degree(edges, h);
        if (value > most) {
          most = value;
          next = h;
        }
      }
      open.delete(next);
      const g = this.#put(groups, next, forbidden);
      for (const other of edges.get(next) ?? []) saturation.get(other)?.add(g);
    }
    return groups.map((g) => g.hosts);
  }

  /**
   * The same hosts in one group less: those of the smallest group go into the others, each where it pushes out the fewest,
   * and what is pushed out goes elsewhere in turn, not back at once (a tabu search over partial colourings). Undefined if
   * that has not come to an end after so many puts.
   */
  dissolve(groups: Groups, edges: Edges): Groups | undefined {
    const [smallest, ...others] = [...groups].sort((a, b) => a.length - b.length);
    if (!smallest || others.length === 0) return undefined;
    const filled = others.map((hosts) => {
      const group = this.#empty();
      for (const h of hosts) this.#add(group, h);
      return group;
    });
    const open = [...smallest];
    const notBefore = new Map<string, number>();
    for (let put = 0; put < PUTS * this.#hosts.length + 100; put++) {
      const h = open.shift();
      if (h === undefined) return filled.map((group) => group.hosts);
      let into: Group | undefined;
      let pushed: readonly number[] = [];
      let least = Number.POSITIVE_INFINITY;
      for (const [g, group] of filled.entries()) {
        if ((notBefore.get(`${h} ${g}`) ?? 0) > put) continue;
        const out = this.#inTheWay(group, h, edges);
        const cost = out.length + scramble(h + g, put) / 2 ** 32;
        if (cost >= least || !this.#isAllowed(group, h, out)) continue;
        into = group;
        pushed = out;
        least = cost;
      }
      if (!into) {
        open.push(h);
        continue;
      }
      for (const other of pushed) {
        this.#remove(into, other);
        open.push(other);
        notBefore.set(`${other} ${filled.indexOf(into)}`, put + filled.length + (scramble(other, put) % 8));
      }
      this.#add(into, h);
    }
    return undefined;
  }

  /** Hosts that have to leave a group before this one can join it: its neighbours, and who fills up a target of both. */
  #inTheWay(group: Group, h: number, edges: Edges): number[] {
    const out = [...(edges.get(h) ?? [])].filter((other) => group.isIn[other] === 1);
    const mem = new Map<number, number>();
    const cpu = new Map<number, number>();
    const arrives = (who: number, sign: number) => {
      for (const tie of this.#ties[who] as readonly Tie[]) {
        mem.set(tie.to, (mem.get(tie.to) ?? 0) + sign * tie.mem);
        cpu.set(tie.to, (cpu.get(tie.to) ?? 0) + sign * tie.cpu);
      }
    };
    arrives(h, 1);
    for (const other of out) arrives(other, -1);
    const overloads = (to: number) =>
      (group.mem[to] as number) + (mem.get(to) ?? 0) > (this.#freeMem[to] as number) ||
      (group.cpu[to] as number) + (cpu.get(to) ?? 0) > (this.#freeCpu[to] as number);
    for (const to of new Set((this.#ties[h] as readonly Tie[]).map((tie) => tie.to)))
      for (const other of this.#primaries.get(to) ?? []) {
        if (!overloads(to)) break;
        if (group.isIn[other] !== 1 || out.includes(other)) continue;
        out.push(other);
        arrives(other, -1);
      }
    return out;
  }

  #isAllowed(group: Group, h: number, without: readonly number[]): boolean {
    if (this.#gate.isOpen) return true;
    this.#gate.reset();
    for (const other of group.hosts) if (!without.includes(other)) this.#gate.force(other);
    return this.#gate.refusal(h) === "";
  }

  #put(groups: Group[], h: number, forbidden: Edges | undefined): number {
    let g = groups.findIndex((group) => this.#takes(group, h, forbidden));
    if (g < 0) g = groups.push(this.#empty()) - 1;
    this.#add(groups[g] as Group, h);
    return g;
  }

  #empty(): Group {
    const n = this.#pool.hosts.length;
    return {
      hosts: [],
      isIn: new Uint8Array(n),
      mem: new Int32Array(n),
      cpu: new Int32Array(n),
      arrivals: new Int32Array(n),
    };
  }

  #add(group: Group, h: number): void {
    group.hosts.push(h);
    this.#count(group, h, 1);
  }

  #remove(group: Group, h: number): void {
    group.hosts.splice(group.hosts.indexOf(h), 1);
    this.#count(group, h, -1);
  }

  #count(group: Group, h: number, sign: 1 | -1): void {
    group.isIn[h] = sign === 1 ? 1 : 0;
    for (const { mem, cpu, to } of this.#ties[h] as readonly Tie[]) {
      group.mem[to] = (group.mem[to] as number) + sign * mem;
      group.cpu[to] = (group.cpu[to] as number) + sign * cpu;
      group.arrivals[to] = (group.arrivals[to] as number) + sign;
    }
  }

  #takes(group: Group, h: number, forbidden: Edges | undefined): boolean {
    if ((group.arrivals[h] as number) > 0) return false;
    const near = forbidden?.get(h);
    if (near && group.hosts.some((other) => near.has(other))) return false;
    const ties = this.#ties[h] as readonly Tie[];
    for (const { to } of ties) if (group.isIn[to] === 1) return false;
    const mem = new Map<number, number>();
    const cpu = new Map<number, number>();
    for (const tie of ties) {
      mem.set(tie.to, (mem.get(tie.to) ?? 0) + tie.mem);
      cpu.set(tie.to, (cpu.get(tie.to) ?? 0) + tie.cpu);
    }
    for (const [to, more] of mem) {
      if ((group.mem[to] as number) + more > (this.#freeMem[to] as number)) return false;
      if ((group.cpu[to] as number) + (cpu.get(to) ?? 0) > (this.#freeCpu[to] as number)) return false;
    }
    return this.#isAllowed(group, h, []);
  }
}
