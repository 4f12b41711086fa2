import type { Pool } from "./pool.ts";

/** Where every unit is, and what is free where, while a plan is being made. */
export class World {
  readonly pool: Pool;
  readonly at: Int32Array;
  readonly mem: Int32Array;
  readonly cpu: Int32Array;
  readonly huge: Int32Array;
  readonly count: Int32Array;
  /** Units of a host, as a doubly linked list. */
  readonly first: Int32Array;
  readonly next: Int32Array;
  readonly #prev: Int32Array;

  constructor(pool: Pool) {
    this.pool = pool;
    const hosts = pool.hosts.length;
    this.at = new Int32Array(pool.units);
    this.mem = new Int32Array(hosts);
    this.cpu = new Int32Array(hosts);
    this.huge = new Int32Array(hosts);
    this.count = new Int32Array(hosts);
    this.first = new Int32Array(hosts);
    this.next = new Int32Array(pool.units);
    this.#prev = new Int32Array(pool.units);
    this.reset();
  }

  /** Back to the snapshot. */
  reset(): void {
    const { pool } = this;
    this.mem.set(pool.memCap);
    this.cpu.set(pool.cpuCap);
    this.huge.set(pool.hugeCap);
    this.count.fill(0);
    this.first.fill(-1);
    for (let u = pool.units - 1; u >= 0; u--) this.#put(u, pool.at[u] as number);
  }

  unitsOn(h: number): number[] {
    const out: number[] = [];
    for (let u = this.first[h] as number; u >= 0; u = this.next[u] as number) out.push(u);
    return out;
  }

  /** Memory in use on a host. */
  load(h: number): number {
    return (this.pool.memCap[h] as number) - (this.mem[h] as number);
  }

  /** Whether a unit may run on a host and finds room there. Says nothing about the host being out. */
  fits(u: number, h: number): boolean {
    const { pool } = this;
    if (
      (this.mem[h] as number) < (pool.mem[u] as number) ||
      (this.cpu[h] as number) < (pool.cpu[u] as number) ||
      ((pool.huge[u] as number) > 0 && (this.huge[h] as number) < (pool.huge[u] as number))
    )
      return false;
    return this.mayRunOn(u, h) && !this.hasRival(u, h);
  }

  /** Whether cluster, labels, allowed hosts and a fixed secondary let a unit run there, room aside. */
  mayRunOn(u: number, h: number): boolean {
    const { pool } = this;
    const here = this.at[u] as number;
    if (h === here || pool.cluster[h] !== pool.cluster[here]) return false;
    const profile = pool.profile[u] as number;
    if (profile >= 0 && pool.profiles[profile]?.allows[h] !== 1) return false;
    const secondary = pool.secondary[u] as number;
    return secondary < 0 || h === secondary || h === (pool.at[u] as number);
  }

  /** Whether a host holds another member of one of the unit's anti-affinity groups. */
  hasRival(u: number, h: number): boolean {
    for (const g of this.pool.groupsOf[u] as readonly number[])
      for (const other of this.pool.groups[g] as readonly number[])
        if (other !== u && this.at[other] === h) return true;
    return false;
  }

  move(u: number, to: number): void {
    const from = this.at[u] as number;
    const { pool } = this;
    const prev = this.#prev[u] as number;
    const next = this.next[u] as number;
    if (prev >= 0) this.next[prev] = next;
    else this.first[from] = next;
    if (next >= 0) this.#prev[next] = prev;
    this.mem[from] = (this.mem[from] as number) + (pool.mem[u] as number);
    this.cpu[from] = (this.cpu[from] as number) + (pool.cpu[u] as number);
    this.huge[from] = (this.huge[from] as number) + (pool.huge[u] as number);
    this.count[from] = (this.count[from] as number) - 1;
    this.#put(u, to);
  }

  #put(u: number, h: number): void {
    const { pool } = this;
    const first = this.first[h] as number;
    this.at[u] = h;
    this.next[u] = first;
    this.#prev[u] = -1;
    if (first >= 0) this.#prev[first] = u;
    this.first[h] = u;
    this.mem[h] = (this.mem[h] as number) - (pool.mem[u] as number);
    this.cpu[h] = (this.cpu[h] as number) - (pool.cpu[u] as number);
    this.huge[h] = (this.huge[h] as number) - (pool.huge[u] as number);
    this.count[h] = (this.count[h] as number) + 1;
  }
}
