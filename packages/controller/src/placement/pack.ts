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
  /** Is the whole arrangement good? Called with the bin of each unit. */
  readonly accept?: (bins: readonly number[]) => boolean;
  /** Steps that the search may take; about ten million are done in a second. */
  readonly budget: number;
}

export type Packed = { readonly found: readonly number[] } | { readonly found: undefined; readonly exhausted: boolean };

/** Arrangements that fit but were not accepted, after which the search ends. */
const MAX_REFUSED = 200;

export function pack(p: Packing): Packed {
  const units = p.needs.length;
  const bins = p.free.length;
  const kinds = p.needs[0]?.length ?? 0;
  const accept = p.accept ?? (() => true);
  let refused = 0;
  const good = (found: readonly number[]): boolean => {
    if (accept(found)) return true;
    refused++;
    return false;
  };
  if (units === 0) return good([]) ? { found: [] } : { found: undefined, exhausted: true };

  const scale = Array.from({ length: kinds }, (_, k) => p.free.reduce((m, f) => Math.max(m, f[k] ?? 0), 1));
  const size = p.needs.map((need) => need.reduce((m, n, k) => Math.max(m, n / (scale[k] ?? 1)), 0));
  const bySize = [...p.needs.keys()].sort((a, b) => (size[b] ?? 0) - (size[a] ?? 0) || a - b);
  const asked = new Int8Array(units * bins);
  const allowed = (u: number, b: number): boolean => {
    const at = u * bins + b;
    if (asked[at] === 0) asked[at] = p.allowed(u, b) ? 1 : 2;
    return asked[at] === 1;
  };

  // What does not fit in sum fits in no arrangement.
  for (let k = 0; k < kinds; k++) {
    const wanted = p.needs.reduce((s, n) => s + (n[k] ?? 0), 0);
    const there = p.free.reduce((s, f) => s + Math.max(0, f[k] ?? 0), 0);
    if (wanted > there) return { found: undefined, exhausted: true };
  }

  const free = p.free.map((f) => Float64Array.from(f));
  const words = p.free.map(() => new Set<string>());
  const fits = (u: number, b: number): boolean => {
    const need = p.needs[u] ?? [];
    const left = free[b];
    if (left === undefined) return false;
    for (let k = 0; k < kinds; k++) if ((need[k] ?? 0) > 0 && (need[k] ?? 0) > (left[k] ?? 0)) return false;
    return (p.apart[u] ?? []).every((w) => !words[b]?.has(w));
  };
  const take = (u: number, b: number, sign: 1 | -1): void => {
    const left = free[b];
    if (left) for (let k = 0; k < kinds; k++) left[k] = (left[k] ?? 0) - sign * (p.needs[u]?.[k] ?? 0);
    for (const w of p.apart[u] ?? []) sign === 1 ? words[b]?.add(w) : words[b]?.delete(w);
  };
  const slack = (b: number): number => {
    let sum = 0;
    for (let k = 0; k < kinds; k++) sum += (free[b]?.[k] ?? 0) / (scale[k] ?? 1);
    return sum;
  };
  /** Bins in order of preference: by rank, then the tightest (`spread`: the roomiest), then the first. */
  const ordered = (u: number, candidates: number[], how: "ranked" | "tight" | "spread"): number[] => {
    const keys = new Map(
      candidates.map((b) => [
        b,
        [how === "tight" ? 0 : p.rank(u, b), how === "spread" ? -slack(b) : slack(b)] as const,
      ]),
    );
    return candidates.sort((a, b) => {
      const [ra = 0, sa = 0] = keys.get(a) ?? [];
      const [rb = 0, sb = 0] = keys.get(b) ?? [];
      return ra - rb || sa - sb || a - b;
    });
  };

  const greedy = (how: "ranked" | "tight" | "spread"): number[] | undefined => {
    const found = new Array<number>(units).fill(-1);
    let all = true;
    for (const u of bySize) {
      const candidates: number[] = [];
      for (let b = 0; b < bins; b++) if (fits(u, b)) candidates.push(b);
      const bin = ordered(u, candidates, how).find((b) => allowed(u, b));
      if (bin === undefined) {
        all = false;
        break;
      }
      found[u] = bin;
      take(u, bin, 1);
    }
    for (const [u, b] of found.entries()) if (b >= 0) take(u, b, -1);
    return all ? found : undefined;
  };
  for (const how of ["ranked", "tight", "spread"] as const) {
    const found = greedy(how);
    if (found && good(found)) return { found };
  }

  let budget = p.budget;
  const open: Uint8Array[] = p.needs.map((_, u) =>
    Uint8Array.from(p.free, (_, b) => (fits(u, b) && allowed(u, b) ? 1 : 0)),
  );
  const count = open.map((o) => o.reduce((s, x) => s + x, 0));
  if (count.some((c) => c === 0)) return { found: undefined, exhausted: true };
  const found = new Array<number>(units).fill(-1);

  const search = (placed: number): boolean => {
    if (placed === units) return good([...found]);
    // The unit with the fewest ways first; of those the largest.
    let unit = -1;
    for (const u of bySize) if (found[u] === -1 && (unit < 0 || (count[u] ?? 0) < (count[unit] ?? 0))) unit = u;
    const candidates: number[] = [];
    for (let b = 0; b < bins; b++) if (open[unit]?.[b] === 1) candidates.push(b);
    const tried = new Set<string>();
    for (const bin of ordered(unit, candidates, "ranked")) {
      budget -= units + candidates.length;
      if (budget < 0 || refused >= MAX_REFUSED) return false;
      // Bins that look alike to everything still to be placed need one try; unless the whole counts, in which they differ.
      if (p.accept === undefined) {
        const look = `${free[bin]?.join()}|${[...(words[bin] ?? [])].sort().join()}|${bySize.map((u) => (found[u] === -1 ? open[u]?.[bin] : "")).join("")}`;
        if (tried.has(look)) continue;
        tried.add(look);
      }
      found[unit] = bin;
      take(unit, bin, 1);
      const closed: number[] = [];
      let dead = false;
      for (let u = 0; u < units; u++)
        if (found[u] === -1 && open[u]?.[bin] === 1 && !fits(u, bin)) {
          (open[u] as Uint8Array)[bin] = 0;
          count[u] = (count[u] ?? 0) - 1;
          closed.push(u);
          if (count[u] === 0) dead = true;
        }
      if (!dead && search(placed + 1)) return true;
      for (const u of closed) {
        (open[u] as Uint8Array)[bin] = 1;
        count[u] = (count[u] ?? 0) + 1;
      }
      take(unit, bin, -1);
      found[unit] = -1;
    }
    return false;
  };
  if (search(0)) return { found };
  return { found: undefined, exhausted: budget >= 0 && refused < MAX_REFUSED };
}
