/**
 * Free memory and CPU of hosts in a fixed order, as a tree of maxima: finds the first host with enough of both without
 * looking at every host. Slots that are no target hold -1.
 */
export class FreeTree {
  readonly #size: number;
  readonly #mem: Int32Array;
  readonly #cpu: Int32Array;

  constructor(slots: number) {
    this.#size = 1;
    while (this.#size < slots) this.#size *= 2;
    this.#mem = new Int32Array(2 * this.#size).fill(-1);
    this.#cpu = new Int32Array(2 * this.#size).fill(-1);
  }

  clear(): void {
    this.#mem.fill(-1);
    this.#cpu.fill(-1);
  }

  set(slot: number, mem: number, cpu: number): void {
    const m = this.#mem;
    const c = this.#cpu;
    let i = slot + this.#size;
    m[i] = mem;
    c[i] = cpu;
    for (i >>= 1; i > 0; i >>= 1) {
      const l = 2 * i;
      const nm = Math.max(m[l] as number, m[l + 1] as number);
      const nc = Math.max(c[l] as number, c[l + 1] as number);
      if (m[i] === nm && c[i] === nc) return;
      m[i] = nm;
      c[i] = nc;
    }
  }

  drop(slot: number): void {
    this.set(slot, -1, -1);
  }

  has(slot: number): boolean {
    return (this.#mem[slot + this.#size] as number) >= 0;
  }

  /** The lowest slot in [from, to) with at least that much free, or -1. */
  first(from: number, to: number, mem: number, cpu: number): number {
    if (from >= to) return -1;
    const m = this.#mem;
    const c = this.#cpu;
    const size = this.#size;
    let i = from + size;
    for (;;) {
      if ((m[i] as number) >= mem && (c[i] as number) >= cpu) {
        if (i >= size) return i - size < to ? i - size : -1;
        i *= 2;
        continue;
      }
      while ((i & 1) === 1) i >>= 1;
      if (i === 0) return -1;
      i++;
    }
  }

  /** The most memory free in any one slot; -1 without any. */
  get most(): number {
    return this.#mem[1] as number;
  }
}
