import { describe, expect, test } from "vitest";
import type { Run } from "../../domain/run.ts";
import type { Schedule, ScheduledMove } from "../../domain/schedule.ts";
import { optionsOf, scopeOf } from "../../planner/plan.ts";
import { instance, TestPool, uuidOf } from "../../testing/pool.ts";
import { scheduledTarget } from "./scheduled.ts";

type Short = readonly [n: number, from: string, to: string, kind?: ScheduledMove["kind"], wave?: number];

const gib = (n: number, size: number) => instance(n, { memoryMib: size * 1024, memoryMaxMib: size * 1024 });

function schedule(hosts: readonly string[], moves: readonly Short[]): Schedule {
  const zero = { startMs: 0, expectedMs: 0, p95Ms: 0 };
  return {
    turns: hosts.map((host, i) => ({ host, cluster: "c1", wave: i + 1, after: [], waitsFor: "", ...zero })),
    moves: moves.map(([n, from, to, kind = "drain", wave = 1]) => ({
      ...{ uuid: uuidOf(n), name: `vm${n}`, from, to, kind, wave },
    })),
    ...{ maxOut: { c1: 1 }, domains: [], maxClusters: 1, floorMoves: 0, floorMs: 0, expectedMs: 0, p95Ms: 0 },
    consentsNeeded: [],
  };
}

/** One run of the hosts in their order, by hand: what the planner would lay down is not asked here. */
function run(pool: TestPool, hosts: readonly string[], moves: readonly Short[]): void {
  const scope = scopeOf({ hosts, clusters: [], pods: [], zones: [] });
  pool.coordinator.start({
    ...{ run: "r1", scope, options: optionsOf({ return: "none" }, scope), startedBy: "alice", requestId: "r1" },
    hosts: hosts.map((name, i) => ({ name, cluster: "c1", wave: i + 1 })),
    schedule: schedule(hosts, moves),
  });
  pool.settle();
}
const moved = (pool: TestPool) =>
  pool.story().flatMap((l) => /^instance (vm\d+: \S+ -> \S+) \((.*)\)$/.exec(l)?.slice(1).join(", ") ?? []);
const reason = (pool: TestPool) => pool.report().hosts[0]?.reason;

describe("a drain in a run with a schedule", () => {
  test("takes its targets before any that would do as well", () => {
    const pool = new TestPool({ hv1: [instance(1), instance(2)], hv2: [instance(4)], hv3: [] });
    run(pool, ["hv1"], [[1, "hv1", "hv3"]]);
    expect(pool.running()).toEqual(["vm1 on hv3", "vm2 on hv2", "vm4 on hv2"]);
  });

  test("goes elsewhere where a target does not do any more, or refuses", () => {
    const full = new TestPool({ hv1: [gib(1, 8)], hv2: [], hv3: [gib(2, 9)] });
    run(full, ["hv1"], [[1, "hv1", "hv3"]]);
    expect(full.running()).toContain("vm1 on hv2");
    const refusing = new TestPool({ hv1: [gib(1, 8)], hv2: [], hv3: [] });
    refusing.fate = (host, task) =>
      host === "hv3" && task.verb === "admit" ? { verdict: "failed", reason: "no" } : undefined;
    run(refusing, ["hv1"], [[1, "hv1", "hv3"]]);
    expect(refusing.running()).toEqual(["vm1 on hv2"]);
  });
});

describe("room", () => {
  const hosts = () => ({ hv1: [gib(1, 12), gib(4, 1)], hv2: [gib(2, 6)], hv3: [gib(3, 6)] });
  const aside: Short = [2, "hv2", "hv3", "make-room"];
  const moves: Short[] = [aside, [1, "hv1", "hv2"], [4, "hv1", "hv3"]];

  test("is made first, for those that need it; others do not wait", () => {
    const pool = new TestPool(hosts());
    run(pool, ["hv1"], moves);
    expect(moved(pool)).toEqual([
      "vm2: hv2 -> hv3, to make room for the host",
      "vm4: hv1 -> hv3, to empty the host",
      "vm1: hv1 -> hv2, to empty the host",
    ]);
    expect(pool.report().outcome).toBe("succeeded");
    expect(pool.running()).toEqual(["vm1 on hv2", "vm2 on hv3", "vm3 on hv3", "vm4 on hv3"]);
  });

  test("is made in the order of the schedule where one move makes it for another", () => {
    const pool = new TestPool({ hv1: [gib(1, 12)], hv2: [gib(2, 9)], hv3: [gib(3, 9)], hv4: [gib(4, 7)] });
    const chain: Short[] = [
      [3, "hv3", "hv4", "make-room"],
      [2, "hv2", "hv3", "make-room"],
      [1, "hv1", "hv2"],
    ];
    run(pool, ["hv1"], chain);
    expect(moved(pool).map((l) => l.slice(0, 15))).toEqual(["vm3: hv3 -> hv4", "vm2: hv2 -> hv3", "vm1: hv1 -> hv2"]);
  });

  test("is not waited for where somebody else has made it", () => {
    const pool = new TestPool({ ...hosts(), hv2: [], hv3: [gib(3, 6), gib(2, 6)] });
    run(pool, ["hv1"], moves);
    expect(moved(pool)).toHaveLength(2);
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("that cannot be made is named with why, and nothing has changed", () => {
    const refused = new TestPool({ ...hosts(), hv3: [gib(3, 11)] });
    run(refused, ["hv1"], moves);
    expect(reason(refused)).toMatch(
      /^vm1 \(12 GiB\) fits on none .*; room was to be made on hv2 by moving vm2 to hv3: hv3 has 5 GiB left/,
    );
    expect(moved(refused)).toEqual([]);
    const failing = new TestPool(hosts());
    failing.fate = (_h, task) =>
      task.verb === "move" && task.name === "vm2" ? { verdict: "failed", reason: "it got stuck" } : undefined;
    run(failing, ["hv1"], [aside, [1, "hv1", "hv2"]]);
    expect(reason(failing)).toContain("; room was to be made on hv2 by moving vm2 to hv3: it got stuck");
    expect(failing.running()).toContain("vm1 on hv1");
    expect(failing.report().ledger).toEqual([]);
  });

  test("is made once, by whichever controller", () => {
    const pool = new TestPool(hosts());
    pool.fate = (_h, task) => {
      if (task.verb === "move" && task.name === "vm2") pool.after(500, () => pool.restartController());
      return undefined;
    };
    run(pool, ["hv1"], moves);
    expect(
      pool.sent.filter(({ command: c }) => c.kind === "start" && c.task.kind === "instance" && c.task.verb === "move"),
    ).toHaveLength(3);
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("is not counted on, and not made, by hosts of later waves", () => {
    const pool = new TestPool({ hv1: [], hv2: [gib(2, 6)], hv3: [gib(3, 6)], hv4: [gib(1, 12)] });
    run(
      pool,
      ["hv1", "hv4"],
      [
        [2, "hv2", "hv3", "make-room", 2],
        [1, "hv4", "hv1", "drain", 2],
      ],
    );
    // By the time of hv4 there is room without it; the schedule is followed all the same.
    expect(moved(pool).map((l) => l.slice(0, 15))).toEqual(["vm2: hv2 -> hv3", "vm1: hv4 -> hv1"]);
  });
});

test("what is planned anew meanwhile does not change a drain that goes on", () => {
  const of = (n: number, from: string, to: string) => schedule(["hv1", "hv2"], [[n, from, to]]);
  const first = of(1, "hv1", "hv3");
  const next = { ...of(2, "hv2", "hv3"), turns: first.turns.slice(1) };
  const run = { schedule: next, spec: { schedule: first } } as unknown as Run;
  expect(scheduledTarget(run, uuidOf(1), "hv1")).toBe("hv3");
  expect(scheduledTarget(run, uuidOf(2), "hv2")).toBe("hv3");
  expect(scheduledTarget({ ...run, schedule: first }, uuidOf(2), "hv2")).toBeUndefined();
});
