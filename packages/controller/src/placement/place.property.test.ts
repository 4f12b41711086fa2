import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { chance } from "../testing/chance.ts";
import { host, instance, poolOf } from "../testing/instances.ts";
import { place, type Question, type Role, settle, type Tried } from "./index.ts";

const GIB = 1024;

/** What hosts that are not emptied are to a case, each as often as it stands here. */
const others: readonly (((name: string) => Role) | undefined)[] = [
  ...new Array(7).fill(undefined),
  () => ({ is: "later", turn: 1 }),
  () => ({ is: "later", turn: 2 }),
  () => ({ is: "done" }),
  (name) => ({ is: "closed", because: { rule: "cordoned", subject: name, text: `${name} is cordoned`, fix: "" } }),
];

/** Up to five hosts and eight instances that have to leave, tight enough that about half of the cases cannot be done. */
function randomCase(seed: number, spareHosts: number): Question {
  const r = chance(seed);
  const many = spareHosts > 0 ? { few: 3, hosts: 5, movers: 4, gib: 16 } : { few: 2, hosts: 5, movers: 8, gib: 8 };
  const hostCount = r.int(many.few, many.hosts);
  const kinds = r.int(0, 3);
  let n = 0;
  const guest = (largest: number): Instance => {
    n++;
    const metadata: Record<string, string> = {};
    if (kinds > 0 && r.one(30)) metadata["apart"] = `a${r.int(1, 2)}`;
    if (kinds > 1 && r.one(20)) metadata["group"] = `g${r.int(1, 2)}`;
    if (kinds > 1 && r.one(15)) metadata["requires"] = "ssd";
    const bridge = kinds > 2 && r.one(15) ? "br1" : "br0";
    const hugepageKib = kinds > 2 && r.one(15) ? 2048 : 0;
    return instance(`vm${n}`, {
      memoryMib: r.int(1, largest) * GIB,
      vcpus: r.int(1, 4),
      hugepageKib,
      metadata,
      nics: [{ kind: "bridge", source: bridge }],
      state: r.one(5) ? "shutoff" : r.one(5) ? "paused" : "running",
    });
  };
  const sources = r.one(20) && hostCount > 2 ? 2 : 1;
  const hosts = Array.from({ length: hostCount }, (_, h) => {
    const count = h < sources ? r.int(1, Math.floor(many.movers / sources)) : r.int(0, 3);
    return host(
      `hv${h + 1}`,
      Array.from({ length: count }, () => guest(h < sources ? 8 : 6)),
      {
        memoryMib: r.int(many.gib, many.gib + 12) * GIB,
        cpus: r.int(many.gib / 4, many.gib / 2),
        hugepages: r.one(60) ? [{ sizeKib: 2048, total: 2048, free: 2048 }] : [],
        bridges: r.one(70) ? ["br0", "br1"] : ["br0"],
      },
      { labels: r.one(60) ? { ssd: "yes" } : {} },
    );
  });
  const roles = new Map<string, Role>();
  for (const [h, { host: name }] of hosts.entries()) {
    if (h < sources) roles.set(name, { is: "source" });
    else roles.set(name, others[r.int(0, others.length - 1)]?.(name) ?? { is: "target" });
  }
  const flying = r.one(25) ? [{ instance: { ...guest(4), state: "running" }, from: "hv1", to: `hv${hostCount}` }] : [];
  const movers = hosts.slice(0, sources).flatMap((h) =>
    h.inventory.instances.map((i) => ({
      uuid: i.uuid,
      from: h.host,
      avoid: r.one(8) ? [{ host: "hv3", why: "it was refused" }] : [],
    })),
  );
  return { hosts, roles, movers, inFlight: flying, pool: poolOf({ spareHosts, cpuOvercommit: r.int(1, 3) }) };
}

/** What the rules say, written down as plainly as possible and sharing no code with what is tested. */
class Oracle {
  readonly q: Question;
  readonly movers: readonly { i: Instance; avoid: readonly Tried[] }[];
  /** Running instances by host, without the movers. */
  readonly there: ReadonlyMap<string, readonly Instance[]>;

  constructor(q: Question) {
    this.q = q;
    const of = (h: string) => q.hosts.find((x) => x.host === h)?.inventory.instances ?? [];
    this.movers = q.movers
      .flatMap((m) =>
        of(m.from)
          .filter((i) => i.uuid === m.uuid)
          .map((i) => ({ i, avoid: m.avoid ?? [] })),
      )
      .filter((m) => m.i.state !== "shutoff");
    this.there = new Map(
      q.hosts.map((h) => [
        h.host,
        [
          ...h.inventory.instances.filter((i) => i.state !== "shutoff" && !q.movers.some((m) => m.uuid === i.uuid)),
          ...(q.inFlight ?? []).filter((f) => f.to === h.host).map((f) => f.instance),
        ],
      ]),
    );
  }

  open(): string[] {
    return this.q.hosts.map((h) => h.host).filter((h) => !["source", "closed"].includes(this.q.roles.get(h)?.is ?? ""));
  }

  /** Do these instances go together on that host? */
  holds(name: string, all: readonly Instance[], newcomers: readonly Instance[]): boolean {
    const h = this.q.hosts.find((x) => x.host === name);
    const c = h?.inventory.capacity;
    if (!h || !c) return false;
    const huge = c.hugepages.reduce((s, p) => s + p.total * p.sizeKib, 0) / 1024;
    const plain = all.filter((i) => i.hugepageKib === 0).reduce((s, i) => s + i.memoryMib, 0);
    const paged = all.filter((i) => i.hugepageKib > 0).reduce((s, i) => s + i.memoryMib, 0);
    const cpus = all.reduce((s, i) => s + i.vcpus, 0);
    // What was too full before may stay so, but takes nothing more of that kind.
    if (plain > c.memoryMib - huge && newcomers.some((i) => i.hugepageKib === 0)) return false;
    if (paged > huge && newcomers.some((i) => i.hugepageKib > 0)) return false;
    if (cpus > c.cpus * this.q.pool.capacity.cpuOvercommit && newcomers.length > 0) return false;
    for (const i of newcomers) {
      if (i.metadata["requires"] === "ssd" && h.labels["ssd"] === undefined) return false;
      if (!c.bridges.includes(i.nics[0]?.source ?? "")) return false;
      const apart = i.metadata["apart"];
      if (apart && all.some((o) => o !== i && o.metadata["apart"] === apart)) return false;
    }
    return true;
  }

  /** Is this whole arrangement right? */
  valid(targets: ReadonlyMap<string, string>, movers = this.movers): boolean {
    const open = this.open();
    for (const name of open) {
      const coming = movers.filter((m) => targets.get(m.i.uuid) === name);
      if (coming.some((m) => m.avoid.some((t) => t.host === name))) return false;
      const news = coming.map((m) => m.i);
      if (!this.holds(name, [...(this.there.get(name) ?? []), ...news], news)) return false;
    }
    for (const m of movers) {
      const to = targets.get(m.i.uuid);
      const group = m.i.metadata["group"];
      if (to === undefined || !open.includes(to)) return false;
      if (!group) continue;
      if (movers.some((o) => o.i.metadata["group"] === group && targets.get(o.i.uuid) !== to)) return false;
      const at = [...this.there].filter(
        ([h, list]) => this.q.roles.get(h)?.is !== "source" && list.some((i) => i.metadata["group"] === group),
      );
      if (at.length > 0 && !at.some(([h]) => h === to)) return false;
    }
    return this.spared(targets, movers);
  }

  /** Can each host be lost? By trying all ways to place what was on it. */
  spared(targets: ReadonlyMap<string, string>, movers: readonly { i: Instance }[]): boolean {
    if (this.q.pool.capacity.spareHosts === 0) return true;
    const open = this.open();
    const now = new Map(
      open.map((h) => [
        h,
        [...(this.there.get(h) ?? []), ...movers.filter((m) => targets.get(m.i.uuid) === h).map((m) => m.i)],
      ]),
    );
    return open.every((lost) => {
      const rest = open.filter((h) => h !== lost);
      const could = (i: Instance) => rest.some((h) => this.able(h, i));
      const orphans = (now.get(lost) ?? []).filter((i) => rest.length === 0 || could(i));
      const go = (at: number, on: Map<string, Instance[]>): boolean => {
        const i = orphans[at];
        if (!i) return true;
        return rest.some((h) => {
          const with_ = [...(on.get(h) ?? []), i];
          return this.holds(h, [...(now.get(h) ?? []), ...with_], with_) && go(at + 1, new Map(on).set(h, with_));
        });
      };
      return go(0, new Map());
    });
  }

  able(name: string, i: Instance): boolean {
    const h = this.q.hosts.find((x) => x.host === name);
    if (i.metadata["requires"] === "ssd" && h?.labels["ssd"] === undefined) return false;
    if (i.hugepageKib > 0 && (h?.inventory.capacity?.hugepages.length ?? 0) === 0) return false;
    return h?.inventory.capacity?.bridges.includes(i.nics[0]?.source ?? "") ?? false;
  }

  /** Every arrangement, one after another; those that are too full at some host are not followed. */
  feasible(movers = this.movers): boolean {
    const open = this.open();
    const targets = new Map<string, string>();
    const go = (at: number): boolean => {
      const m = movers[at];
      if (!m) return this.valid(targets, movers);
      return open.some((name) => {
        targets.set(m.i.uuid, name);
        const news = movers.slice(0, at + 1).filter((o) => targets.get(o.i.uuid) === name);
        const full = !this.holds(
          name,
          [...(this.there.get(name) ?? []), ...news.map((o) => o.i)],
          news.map((o) => o.i),
        );
        const ok = !full && go(at + 1);
        if (!ok) targets.delete(m.i.uuid);
        return ok;
      });
    };
    return go(0);
  }

  /** How many have to go at least so that the rest can be placed; undefined: even none can. */
  fewest(): number | undefined {
    const all = this.movers;
    const subsets = Array.from({ length: 2 ** all.length }, (_, bits) => all.filter((_m, i) => (bits >> i) & 1));
    return subsets.sort((a, b) => a.length - b.length).find((out) => this.feasible(all.filter((m) => !out.includes(m))))
      ?.length;
  }
}

describe("placement of random small cases", () => {
  test.each([
    { spareHosts: 0, from: 1, to: 2000 },
    { spareHosts: 1, from: 10_001, to: 10_600 },
  ])("agrees with trying everything, $spareHosts spare", ({ spareHosts, from, to }) => {
    const verdicts = { yes: 0, no: 0 };
    for (let seed = from; seed <= to; seed++) {
      const q = randomCase(seed, spareHosts);
      const oracle = new Oracle(q);
      const p = place(q);
      const feasible = oracle.feasible();
      expect(p.feasible, `seed ${seed}`).toBe(feasible);
      verdicts[feasible ? "yes" : "no"]++;
      const moved = oracle.movers.filter((m) => p.moves.some((x) => x.uuid === m.i.uuid));
      const targets = new Map(p.moves.map((m) => [m.uuid, m.to]));
      const reserveGone = p.blockers.some((b) => b.uuid === "");
      if (!reserveGone) expect(oracle.valid(targets, moved), `seed ${seed}: ${JSON.stringify(p.moves)}`).toBe(true);
      expect(p.stops).toEqual([]);
      expect(
        new Set([...p.moves.map((m) => m.uuid), ...p.blockers.map((b) => b.uuid).filter((u) => u !== "")]).size,
      ).toBe(oracle.movers.length);
      if (!feasible && !reserveGone) expect(p.blockers.length, `seed ${seed}: blockers`).toBe(oracle.fewest());
      if (reserveGone) expect(oracle.feasible([]), `seed ${seed}: reserve`).toBe(false);
    }
    // Both kinds of case are there in numbers, or the test says little.
    expect(Math.min(verdicts.yes, verdicts.no)).toBeGreaterThan((to - from) / 10);
  });

  test("does not depend on the order of hosts and movers", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const q = randomCase(seed, 0);
      const turned = { ...q, hosts: [...q.hosts].reverse(), movers: [...q.movers].reverse() };
      expect({ ...place(turned), stays: [] }, `seed ${seed}`).toEqual({ ...place(q), stays: [] });
    }
  });

  test("every blocker says what, why and how out", () => {
    for (let seed = 1; seed <= 500; seed++) {
      const q = randomCase(seed, 0);
      for (const b of place(q).blockers) {
        const i = q.hosts.flatMap((h) => h.inventory.instances).find((x) => x.uuid === b.uuid);
        expect(b.reason.text, `seed ${seed}`).toContain(i?.name ?? "?");
        expect(b.reason.fix).toContain(i?.state === "running" ? `--consent-stop ${b.name}` : `leave ${b.host} out`);
        expect(b.targets.map((t) => t.host)).toEqual(q.hosts.map((h) => h.host).filter((h) => h !== b.host));
        for (const t of b.targets) expect(t.reasons.length, `seed ${seed}: ${b.name} on ${t.host}`).toBeGreaterThan(0);
        expect(b.targets.flatMap((t) => t.reasons.map((r) => r.rule))).not.toContain("not-found");
        expect(i && settle(i, q.pool).problem).toBeUndefined();
      }
    }
  });
});
