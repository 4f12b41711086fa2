/**
 * Packing of units onto bins in several kinds of amounts at once, with pairs that do not go and units that exclude each other. The
 * first tries are best fit in decreasing order, which nearly always does; a bounded search with forward checking follows.
 */
export interface Packing {
  /** Amounts that each unit takes, [unit][kind]. */
  readonly needs: readonly (readonly number[])[];
  /** Amounts that are left in each bin, [bin][kind]. */
  readonly free: readonly (readonly number[])[];
  /** Does the unit go into the bin, room apart? Asked once for each pair at most. */
  readonly allowed: (unit: number, bin: number) => boolean;
  /** No two units that share a word go into one bin. */
  readonly apart: readonly (readonly string[])[];
  /** Lower is preferred, before tightness of fit. */
  readonly rank: (unit: number, bin: number) => number;
  /** Is the whole arrangement good? Called with the bin of each unit; takes `cost` steps. */
  readonly accept?: { readonly ok: (bins: readonly number[]) => boolean; readonly cost: number } | undefined;
  /** Steps that the search may take. */
  readonly budget: number;
}

export interface Packed {
  /** The bin of each unit; nothing when there is no arrangement, or none was found. */
  readonly found: readonly number[] | undefined;
  /** Everything was looked at: without `found` there is none. */
  readonly exhausted: boolean;
  readonly steps: number;
}

type Order = "ranked" | "tight" | "spread";

export function pack(p: Packing): Packed {
  return new Packer(p).run();
}

class Packer {
  readonly #p: Packing;
  readonly #units: number;
  readonly #bins: number;
  readonly #kinds: number;
  /** Largest units first. */
  readonly #bySize: readonly number[];
  readonly #scale: readonly number[];
  readonly #free: readonly Float64Array[];
  /** How much is left of each bin, all kinds together, relative to the roomiest. */
  readonly #slack: Float64Array;
  readonly #words: readonly Set<string>[];
  /** 0: not asked, 1: allowed, 2: not. */
  readonly #asked: Int8Array;
  #steps = 0;

  constructor(p: Packing) {
    this.#p = p;
    this.#units = p.needs.length;
    this.#bins = p.free.length;
    this.#kinds = p.needs[0]?.length ?? 0;
    this.#scale = Array.from({ length: this.#kinds }, (_, k) => p.free.reduce((m, f) => Math.max(m, f[k] ?? 0), 1));
    const size = p.needs.map((need) => need.reduce((m, n, k) => Math.max(m, n / (this.#scale[k] ?? 1)), 0));
    this.#bySize = [...p.needs.keys()].sort((a, b) => (size[b] ?? 0) - (size[a] ?? 0) || a - b);
    this.#free = p.free.map((f) => Float64Array.from(f));
    this.#slack = Float64Array.from(p.free, (f) => this.#relative(f));
    this.#words = p.free.map(() => new Set<string>());
    this.#asked = new Int8Array(this.#units * this.#bins);
  }

  run(): Packed {
    if (!this.#fitsInSum()) return this.#end(undefined, true);
    let last: string | undefined;
    for (const how of ["ranked", "tight", "spread"] as const) {
      const found = this.#greedy(how);
      // One unit, or none, has no other arrangements.
      if (!found && this.#units === 1) return this.#end(undefined, true);
      if (!found || found.join() === last) continue;
      if (this.#accepted(found)) return this.#end(found, true);
      if (this.#units === 0) return this.#end(undefined, true);
      last = found.join();
    }
    const open = this.#p.needs.map((_, u) =>
      Uint8Array.from(this.#free, (_, b) => (this.#fits(u, b) && this.#allowed(u, b) ? 1 : 0)),
    );
    const ways = open.map((o) => o.reduce((sum, x) => sum + x, 0));
    if (ways.includes(0)) return this.#end(undefined, true);
    const found = new Array<number>(this.#units).fill(-1);
    const yes = this.#search(0, found, open, ways);
    return this.#end(yes ? found : undefined, yes || this.#steps < this.#p.budget);
  }

  #end(found: readonly number[] | undefined, exhausted: boolean): Packed {
    return { found, exhausted, steps: this.#steps };
  }

  #accepted(found: readonly number[]): boolean {
    const { accept } = this.#p;
    if (!accept) return true;
    this.#steps += accept.cost;
    return accept.ok(found);
  }

  #fitsInSum(): boolean {
    for (let k = 0; k < this.#kinds; k++) {
      const wanted = this.#p.needs.reduce((sum, n) => sum + (n[k] ?? 0), 0);
      if (wanted > this.#p.free.reduce((sum, f) => sum + Math.max(0, f[k] ?? 0), 0)) return false;
    }
    return true;
  }

  #greedy(how: Order): number[] | undefined {
    const found = new Array<number>(this.#units).fill(-1);
    let all = true;
    for (const u of this.#bySize) {
      const candidates: number[] = [];
      for (let b = 0; b < this.#bins; b++) if (this.#fits(u, b)) candidates.push(b);
      this.#steps += this.#bins;
      const bin = this.#first(u, candidates, how);
      if (bin === undefined) {
        all = false;
        break;
      }
      found[u] = bin;
      this.#take(u, bin, 1);
    }
    for (const [u, b] of found.entries()) if (b >= 0) this.#take(u, b, -1);
    return all ? found : undefined;
  }

  /** The most preferred that is allowed. Mostly that is the first looked at, so that sorting all of them would be a waste. */
  #first(u: number, candidates: number[], how: Order): number | undefined {
    for (let tries = 0; tries < 4; tries++) {
      let best = -1;
      let [leastRank, leastRoom] = [0, 0];
      for (const [i, b] of candidates.entries()) {
        const rank = this.#rank(u, b, how);
        const room = this.#room(b, how);
        if (best >= 0 && (rank > leastRank || (rank === leastRank && room >= leastRoom))) continue;
        best = i;
        leastRank = rank;
        leastRoom = room;
      }
      const bin = candidates[best];
      if (bin === undefined || this.#allowed(u, bin)) return bin;
      candidates.splice(best, 1);
    }
    const able = candidates.filter((b) => this.#allowed(u, b));
    return able.sort((a, b) => this.#compare(u, a, b, how))[0];
  }

  /** By rank, then the tightest ("spread": the roomiest), then the first. */
  #compare(u: number, a: number, b: number, how: Order): number {
    return this.#rank(u, a, how) - this.#rank(u, b, how) || this.#room(a, how) - this.#room(b, how) || a - b;
  }

  #rank(u: number, b: number, how: Order): number {
    return how === "tight" ? 0 : this.#p.rank(u, b);
  }

  #room(b: number, how: Order): number {
    const slack = this.#slack[b] ?? 0;
    return how === "spread" ? -slack : slack;
  }

  #search(placed: number, found: number[], open: readonly Uint8Array[], ways: number[]): boolean {
    if (placed === this.#units) return this.#accepted(found);
    // The unit with the fewest ways first; of those the largest.
    let unit = -1;
    for (const u of this.#bySize) if (found[u] === -1 && (unit < 0 || (ways[u] ?? 0) < (ways[unit] ?? 0))) unit = u;
    const candidates: number[] = [];
    for (let b = 0; b < this.#bins; b++) if (open[unit]?.[b] === 1) candidates.push(b);
    candidates.sort((a, b) => this.#compare(unit, a, b, "ranked"));
    const tried = new Set<string>();
    for (const bin of candidates) {
      this.#steps += this.#units + candidates.length;
      if (this.#steps >= this.#p.budget) return false;
      // Bins that look alike to all units still to be placed need one try; unless the whole counts, in which they differ.
      if (this.#p.accept === undefined) {
        const columns = this.#bySize.map((u) => (found[u] === -1 ? open[u]?.[bin] : ""));
        const look = `${this.#free[bin]?.join()}|${[...(this.#words[bin] ?? [])].sort().join()}|${columns.join("")}`;
        if (tried.has(look)) continue;
        tried.add(look);
      }
      found[unit] = bin;
      this.#take(unit, bin, 1);
      const closed: Uint8Array[] = [];
      const fewer: number[] = [];
      let dead = false;
      for (const [u, row] of open.entries())
        if (found[u] === -1 && row[bin] === 1 && !this.#fits(u, bin)) {
          row[bin] = 0;
          closed.push(row);
          fewer.push(u);
          ways[u] = (ways[u] ?? 0) - 1;
          if (ways[u] === 0) dead = true;
        }
      if (!dead && this.#search(placed + 1, found, open, ways)) return true;
      for (const row of closed) row[bin] = 1;
      for (const u of fewer) ways[u] = (ways[u] ?? 0) + 1;
      this.#take(unit, bin, -1);
      found[unit] = -1;
    }
    return false;
  }

  #allowed(u: number, b: number): boolean {
    const at = u * this.#bins + b;
    if (this.#asked[at] === 0) this.#asked[at] = this.#p.allowed(u, b) ? 1 : 2;
    return this.#asked[at] === 1;
  }

  #fits(u: number, b: number): boolean {
    const need = this.#p.needs[u];
    const left = this.#free[b];
    if (!need || !left) return false;
    for (let k = 0; k < this.#kinds; k++) {
      const n = need[k] ?? 0;
      if (n > 0 && n > (left[k] ?? 0)) return false;
    }
    const words = this.#words[b];
    return words === undefined || words.size === 0 || !(this.#p.apart[u] ?? []).some((w) => words.has(w));
  }

  #take(u: number, b: number, sign: 1 | -1): void {
    const left = this.#free[b];
    if (!left) return;
    for (let k = 0; k < this.#kinds; k++) left[k] = (left[k] ?? 0) - sign * (this.#p.needs[u]?.[k] ?? 0);
    this.#slack[b] = this.#relative(left);
    for (const w of this.#p.apart[u] ?? [])
      if (sign === 1) this.#words[b]?.add(w);
      else this.#words[b]?.delete(w);
  }

  #relative(left: ArrayLike<number>): number {
    let sum = 0;
    for (let k = 0; k < this.#kinds; k++) sum += (left[k] ?? 0) / (this.#scale[k] ?? 1);
    return sum;
  }
}
