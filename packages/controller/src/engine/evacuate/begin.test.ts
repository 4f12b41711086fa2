import { describe, expect, test } from "vitest";
import { defaultPool } from "../../domain/pool.ts";
import { instance, TestPool, uuidOf } from "../../testing/pool.ts";

const five = () => [1, 2, 3, 4, 5].map((n) => instance(n));

/** Verbs in the order in which agents were told them: "admit vm1". */
const told = (pool: TestPool) =>
  pool.sent.flatMap(({ command }) =>
    command.kind === "start" && command.task.kind === "instance" ? [`${command.task.verb} ${command.task.name}`] : [],
  );

function oneLane(): TestPool {
  const pool = new TestPool({ hv1: five(), hv2: [] });
  pool.pool = { ...defaultPool, migration: { ...defaultPool.migration, perHost: 1 } };
  return pool;
}

describe("a migration that waits for a lane", () => {
  test("is asked for while the one before is under way, and begins at the end of that one", () => {
    const pool = oneLane();
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(told(pool)).toEqual([
      ...["admit vm1", "move vm1", "admit vm2", "move vm2", "admit vm3"],
      ...["move vm3", "admit vm4", "move vm4", "admit vm5", "move vm5"],
    ]);
    const actions = pool.coordinator.run("r1")?.hosts[0]?.actions ?? [];
    const moves = actions.filter((a) => a.verb === "move");
    expect(moves.map((a) => (a.startedT ?? 0) - (moves[0]?.startedT ?? 0))).toEqual([0, 1_800, 3_600, 5_400, 7_200]);
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("is one for each lane, and no more", () => {
    const pool = new TestPool({ hv1: five(), hv2: [], hv3: [] });
    let most = 0;
    pool.watch = () => {
      const open = (pool.coordinator.run("r1")?.hosts[0]?.actions ?? []).filter((a) => !a.settled);
      const begun = new Set(open.filter((a) => a.verb === "move").map((a) => a.subject));
      most = Math.max(most, new Set(open.map((a) => a.subject)).size - begun.size);
      expect(begun.size).toBeLessThanOrEqual(2);
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(most).toBe(2);
  });

  test("is withdrawn from its target when the run is aborted, and stays where it is", () => {
    const pool = oneLane();
    pool.fate = (_host, task) => {
      if (task.verb === "move" && task.name === "vm1")
        pool.after(500, () => pool.coordinator.command("r1", { kind: "abort", now: false, reason: "" }, "bob"));
      return undefined;
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(told(pool)).toEqual(["admit vm1", "move vm1", "admit vm2", "withdraw vm2"]);
    expect(pool.lines).toContain("instance vm2: stays on hv1, not moved to hv2 (the run was aborted by bob)");
    expect(pool.running().filter((line) => line.includes("hv2"))).toEqual(["vm1 on hv2"]);
    expect(pool.report()).toMatchObject({ outcome: "aborted", ledger: [] });
  });

  test("goes elsewhere when its target is cordoned meanwhile", () => {
    const pool = new TestPool({ hv1: five(), hv2: [], hv3: [] });
    pool.pool = { ...defaultPool, migration: { ...defaultPool.migration, perHost: 1 } };
    let closed = "";
    pool.fate = (host, task) => {
      if (task.verb === "admit" && task.name === "vm2" && closed === "") {
        closed = host;
        pool.after(100, () => {
          pool.operatorCordons.add(host);
          pool.coordinator.worldChanged();
        });
      }
      return undefined;
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(told(pool).filter((line) => line.endsWith(" vm2"))).toEqual([
      ...["admit vm2", "withdraw vm2", "admit vm2", "move vm2"],
    ]);
    expect(pool.lines).toContain(
      `instance vm2: stays on hv1, not moved to ${closed} (${closed} is cordoned by an operator by now)`,
    );
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("that stops by itself is withdrawn, and its definition is left alone", () => {
    const pool = oneLane();
    pool.fate = (_host, task) => {
      if (task.verb === "move" && task.name === "vm1")
        pool.after(500, () => {
          pool.host("hv1").instances.set(uuidOf(2), instance(2, { state: "shutoff" }));
          pool.coordinator.worldChanged();
        });
      return undefined;
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(told(pool).filter((line) => line.endsWith(" vm2"))).toEqual(["admit vm2", "withdraw vm2"]);
    expect(pool.host("hv1").instances.get(uuidOf(2))?.state).toBe("shutoff");
    expect(pool.report().outcome).toBe("succeeded");
  });

  test("asks its target once more when it has waited for long", () => {
    const pool = oneLane();
    pool.fate = (_host, task) => (task.verb === "move" ? { takesMs: 300_000 } : undefined);
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(told(pool).slice(0, 6)).toEqual([
      "admit vm1",
      "move vm1",
      "admit vm2",
      "admit vm2",
      "move vm2",
      "admit vm3",
    ]);
    expect(pool.report().outcome).toBe("succeeded");
  });
});
