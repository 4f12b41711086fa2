import { type Pool, STOP } from "./pool.ts";
import { type DomainLimit, limitOf, type RollingOptions } from "./snapshot.ts";

interface Domains {
  readonly limit: DomainLimit;
  readonly of: Int32Array;
  readonly names: readonly string[];
  readonly max: readonly number[];
  readonly out: Int32Array;
  values: number;
}

interface Quorum {
  readonly name: string;
  /** How many members more may go down. */
  readonly spare: number;
  down: number;
}

/** Counts who is out against every limit: `add` takes a host out only if all of them allow it. */
export class Gate {
  readonly #maxOut: number;
  readonly #domains: readonly Domains[];
  readonly #quorums: readonly Quorum[];
  /** For a host: quorum groups and how many of their members go down with it. */
  readonly #weights: readonly (readonly (readonly [group: number, members: number])[])[];
  readonly #mayGoOut: RollingOptions["mayGoOut"];
  readonly #pool: Pool;
  readonly #out = new Set<number>();
  /** Limits of domains and quorum groups that hosts counted without asking break. */
  #broken = 0;

  constructor(pool: Pool, options: RollingOptions) {
    this.#pool = pool;
    this.#mayGoOut = options.mayGoOut;
    const inScope = pool.state.filter((s) => s === "in-scope" || s === "out").length;
    this.#maxOut = limitOf(options.maxOut, inScope);
    this.#domains = (options.domainLimits ?? []).map((limit) => domainsOf(pool, limit));
    const weights: [number, number][][] = pool.hosts.map(() => []);
    const groups = pool.snapshot.quorumGroups ?? [];
    const unitOf = new Map<string, number>();
    if (groups.length > 0)
      for (const [u, members] of pool.members.entries())
        for (const i of members) unitOf.set(pool.snapshot.instances[i]?.name ?? "", u);
    this.#quorums = groups.map((group, g) => {
      let spare = group.members.length - group.minUp;
      const withHost = new Map<number, number>();
      for (const member of group.members) {
        const h = pool.hostIndex.get(member);
        const u = unitOf.get(member);
        const where = h ?? (u === undefined ? undefined : (pool.at[u] as number));
        // A member that nobody knows cannot be called up.
        if (where === undefined || pool.state[where] === "unavailable") spare--;
        else if (h !== undefined || pool.movability[u as number] === STOP)
          withHost.set(where, (withHost.get(where) ?? 0) + 1);
      }
      for (const [h, count] of withHost) weights[h]?.push([g, count]);
      return { name: group.name, spare, down: 0 };
    });
    this.#weights = weights;
    this.reset();
  }

  /** True if nothing here ever refuses anything. */
  get isOpen(): boolean {
    return (
      this.#maxOut === Number.POSITIVE_INFINITY &&
      this.#domains.length === 0 &&
      this.#quorums.length === 0 &&
      this.#mayGoOut === undefined
    );
  }

  /** Back to the hosts that are out already in the snapshot, or to none. */
  reset(withSnapshot = true): void {
    this.#out.clear();
    this.#broken = 0;
    for (const d of this.#domains) {
      d.out.fill(0);
      d.values = 0;
    }
    for (const q of this.#quorums) q.down = 0;
    if (withSnapshot) for (const [h, state] of this.#pool.state.entries()) if (state === "out") this.#count(h, 1);
  }

  /** Counts a host as out without asking. */
  force(h: number): void {
    if (!this.#out.has(h)) this.#count(h, 1);
  }

  get size(): number {
    return this.#out.size;
  }

  add(h: number): boolean {
    if (this.refusal(h) !== "") return false;
    this.#count(h, 1);
    return true;
  }

  remove(h: number): void {
    if (this.#out.has(h)) this.#count(h, -1);
  }

  /** Why this host may not go out now; empty if it may. */
  refusal(h: number): string {
    if (this.#broken > 0) return "others are to go first";
    if (this.#out.size + 1 > this.#maxOut) return `at most ${this.#maxOut} hosts may be out`;
    for (const d of this.#domains) {
      const value = d.of[h] as number;
      const out = d.out[value] as number;
      if (out + 1 > (d.max[value] as number))
        return `${d.limit.label} ${d.names[value]}: at most ${d.max[value]} hosts may be out`;
      if (out === 0 && d.values + 1 > (d.limit.maxDomains ?? Number.POSITIVE_INFINITY))
        return `${d.limit.label}: at most ${d.limit.maxDomains} may have hosts out`;
    }
    for (const [g, count] of this.#weights[h] ?? []) {
      const q = this.#quorums[g] as Quorum;
      if (q.down + count > q.spare) return `quorum group ${q.name}: it can spare ${Math.max(0, q.spare)}`;
    }
    if (this.#mayGoOut) {
      const name = (x: number) => this.#pool.hosts[x]?.name ?? "";
      if (!this.#mayGoOut([name(h)], [...this.#out].map(name))) return "the gate does not allow it";
    }
    return "";
  }

  /** Waves that the limits alone need for these hosts, and which limit it is. */
  leastWaves(hosts: readonly number[]): { waves: number; because: string } {
    let most = { waves: hosts.length > 0 ? 1 : 0, because: "" };
    const consider = (waves: number, because: string) => {
      if (waves > most.waves) most = { waves, because };
    };
    if (Number.isFinite(this.#maxOut)) consider(Math.ceil(hosts.length / this.#maxOut), `max out ${this.#maxOut}`);
    for (const d of this.#domains) {
      const per = new Map<number, number>();
      for (const h of hosts) per.set(d.of[h] as number, (per.get(d.of[h] as number) ?? 0) + 1);
      for (const [value, count] of per)
        consider(Math.ceil(count / (d.max[value] as number)), `${d.limit.label} ${d.names[value]}`);
      if (d.limit.maxDomains)
        consider(Math.ceil(per.size / d.limit.maxDomains), `${d.limit.label} one after the other`);
    }
    const members = this.#quorums.map(() => 0);
    for (const h of hosts) for (const [g, count] of this.#weights[h] ?? []) members[g] = (members[g] ?? 0) + count;
    for (const [g, q] of this.#quorums.entries())
      if (q.spare > 0) consider(Math.ceil((members[g] ?? 0) / q.spare), `quorum group ${q.name}`);
    return most;
  }

  /** Time that the limits alone need when each of these hosts is out for its own time: what is shared by so many at once adds up. */
  leastMs(hosts: readonly number[], awayMs: (h: number) => number): number {
    const sum = (of: readonly number[]) => of.reduce((total, h) => total + awayMs(h), 0);
    let least = sum(hosts) / this.#maxOut;
    for (const { limit, of, max } of this.#domains) {
      const each = [...Map.groupBy(hosts, (h) => of[h] as number)].map(([value, own]) =>
        Math.max(sum(own) / (max[value] as number), ...own.map(awayMs)),
      );
      const oneByOne = each.reduce((total, ms) => total + ms, 0) / (limit.maxDomains ?? Number.POSITIVE_INFINITY);
      least = Math.max(least, oneByOne, ...each);
    }
    for (const [g, { spare }] of this.#quorums.entries()) {
      if (spare <= 0) continue;
      const members = (h: number) => this.#weights[h]?.find(([group]) => group === g)?.[1] ?? 0;
      least = Math.max(least, hosts.reduce((total, h) => total + members(h) * awayMs(h), 0) / spare);
    }
    return least;
  }

  /** For each host: the waves that the tightest of its limits needs for all these hosts. Hosts of tight limits must not wait. */
  tightness(hosts: readonly number[]): Float64Array {
    const out = new Float64Array(this.#pool.hosts.length);
    const raise = (h: number, waves: number) => {
      out[h] = Math.max(out[h] as number, waves);
    };
    for (const d of this.#domains) {
      const per = new Map<number, number>();
      for (const h of hosts) per.set(d.of[h] as number, (per.get(d.of[h] as number) ?? 0) + 1);
      for (const h of hosts) {
        const value = d.of[h] as number;
        raise(h, Math.ceil((per.get(value) ?? 0) / (d.max[value] as number)));
      }
    }
    const members = this.#quorums.map(() => 0);
    for (const h of hosts) for (const [g, count] of this.#weights[h] ?? []) members[g] = (members[g] ?? 0) + count;
    for (const h of hosts)
      for (const [g] of this.#weights[h] ?? [])
        raise(h, Math.ceil((members[g] ?? 0) / Math.max(1, this.#quorums[g]?.spare ?? 1)));
    return out;
  }

  #count(h: number, by: 1 | -1): void {
    if (by > 0) this.#out.add(h);
    else this.#out.delete(h);
    let broken = this.#broken;
    for (const d of this.#domains) {
      const value = d.of[h] as number;
      const max = d.max[value] as number;
      const before = d.out[value] as number;
      const most = d.limit.maxDomains ?? Number.POSITIVE_INFINITY;
      broken -= Number(before > max) + Number(d.values > most);
      d.out[value] = before + by;
      if (by > 0 && before === 0) d.values++;
      if (by < 0 && before === 1) d.values--;
      broken += Number(before + by > max) + Number(d.values > most);
    }
    for (const [g, count] of this.#weights[h] ?? []) {
      const q = this.#quorums[g] as Quorum;
      broken -= Number(q.down > Math.max(0, q.spare));
      q.down += by * count;
      broken += Number(q.down > Math.max(0, q.spare));
    }
    this.#broken = broken;
  }
}

function domainsOf(pool: Pool, limit: DomainLimit): Domains {
  const index = new Map<string, number>();
  const names: string[] = [];
  const totals: number[] = [];
  const of = Int32Array.from(pool.hosts, (host) => {
    const label = host.labels[limit.label];
    // A host without the label is a domain of its own; the quotes keep it apart from a label of the same text.
    const key = label === undefined ? JSON.stringify(host.name) : label;
    let value = index.get(key);
    if (value === undefined) {
      value = names.length;
      index.set(key, value);
      names.push(label ?? host.name);
      totals.push(0);
    }
    totals[value] = (totals[value] ?? 0) + 1;
    return value;
  });
  const max = totals.map((total) => limitOf(limit.maxHosts, total));
  return { limit, of, names, max, out: new Int32Array(names.length), values: 0 };
}
