import { describe, expect, test } from "vitest";
import type { DurationKind } from "../domain/durations.ts";
import { instance, TestPool } from "../testing/pool.ts";

/** "Maintenance 60005", in order; without what took no time. */
function learned(pool: TestPool, ...kinds: DurationKind[]): string[] {
  return pool.store
    .durations()
    .filter((s) => kinds.length === 0 || kinds.includes(s.kind))
    .map((s) => `${s.host} ${s.kind} ${s.ms}`);
}

function poolOf(maintenanceMs = 60_000): TestPool {
  const pool = new TestPool({ hv1: [instance(1), instance(2, { memoryMib: 2048, memoryMaxMib: 2048 })], hv2: [] });
  pool.stageMs = (ref) => (ref.step === "Maintenance" ? maintenanceMs : 1_000);
  return pool;
}

describe("what the log teaches about durations", () => {
  test("each step that went well, the whole time away, and every migration", () => {
    const pool = poolOf();
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(learned(pool)).toMatchInlineSnapshot(`
      [
        "hv1 PreFlight 1000",
        "hv1 PreMaintenance 1000",
        "hv1 migration 1800",
        "hv1 migration 1800",
        "hv1 drain 1810",
        "hv1 Maintenance 60000",
        "hv1 restore 0",
        "hv1 away 60000",
        "hv1 PostMaintenance 1000",
      ]
    `);
    expect(pool.store.durations().filter((s) => s.kind === "migration")).toMatchObject([
      { host: "hv1", to: "hv2", cluster: "c1", mib: 1024 },
      { host: "hv1", to: "hv2", cluster: "c1", mib: 2048 },
    ]);
    expect(pool.coordinator.durations.usual("hv1", "Maintenance")).toMatchObject({ samples: 1, of: "host" });
  });

  test("what failed teaches nothing, nor does the time away around it", () => {
    const pool = poolOf();
    pool.stage = (ref) => (ref.step === "Maintenance" ? { verdict: "failed" } : {});
    pool.fate = (_host, task) =>
      task.verb === "move" && task.name === "vm1" ? { verdict: "failed", takesMs: 700 } : undefined;
    pool.start(["hv1"], { return: "none", onFailure: "uncordon" });
    pool.settle();
    expect(pool.report().outcome).toBe("failed");
    expect(learned(pool, "Maintenance", "away")).toEqual([]);
  });

  test("a retried host teaches its second attempt, and not the time that it lay broken", () => {
    const pool = poolOf();
    let isBroken = true;
    pool.stage = (ref) => (ref.step === "Maintenance" && isBroken ? { verdict: "failed" } : {});
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    isBroken = false;
    pool.now += 3_600_000;
    pool.coordinator.command("r1", { kind: "retry", host: "hv1", reason: "" }, "alice");
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(learned(pool, "Maintenance", "away")).toEqual(["hv1 Maintenance 60000"]);
  });

  test("a pause makes what the controller does longer, and not what a hook does", () => {
    const pool = poolOf();
    pool.start(["hv1"], { return: "none" });
    pool.settle(5_000);
    expect(pool.lines.at(-1)).toBe("instance vm2: hv1 -> hv2 (to empty the host)");
    pool.coordinator.command("r1", { kind: "pause", reason: "" }, "alice");
    pool.settle(600_000);
    pool.coordinator.command("r1", { kind: "resume", reason: "" }, "alice");
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(learned(pool, "drain", "away")).toEqual([]);
    expect(learned(pool, "migration")).toHaveLength(2);
    expect(learned(pool, "Maintenance")).toEqual(["hv1 Maintenance 60000"]);
  });

  test("what was in hand when another controller took over is not measured, what comes after is", () => {
    const pool = poolOf();
    pool.start(["hv1"], { return: "none" });
    pool.settle(20_000);
    expect(learned(pool, "drain")).toHaveLength(1);
    pool.restartController();
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(learned(pool, "Maintenance", "away")).toEqual([]);
    expect(learned(pool, "PostMaintenance")).toHaveLength(1);
    expect(pool.coordinator.durations.usual("hv1", "drain")).toMatchObject({ samples: 1 });
  });

  test("a run whose work is a reboot has a time away of its own; a drain has none", () => {
    const pool = poolOf();
    pool.start(["hv1"], { op: "reboot" });
    pool.settle();
    expect(learned(pool, "away", "away-reboot")).toEqual([expect.stringMatching(/^hv1 away-reboot \d+$/)]);
    pool.start(["hv1"], { op: "drain" }, "r2");
    pool.settle();
    pool.start(["hv1"], { op: "restore" }, "r3");
    pool.settle();
    expect(pool.report("r3").outcome).toBe("succeeded");
    expect(learned(pool, "away", "away-reboot")).toHaveLength(1);
    expect(learned(pool, "drain")).toHaveLength(2);
  });

  test.each(["before", "after"])("a crash right %s the write counts once, or not at all", (when) => {
    const pool = poolOf();
    const append = pool.store.append.bind(pool.store);
    let isDead = false;
    pool.store.append = (entries) => {
      if (isDead || !entries.some((e) => e.sample?.kind === "Maintenance")) return append(entries);
      isDead = true;
      if (when === "after") append(entries);
      pool.restartController();
      throw new Error("the process dies here");
    };
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect([pool.report().outcome, isDead]).toEqual(["succeeded", true]);
    // Before it the end is told again to a controller that has not seen the whole of it.
    const expected = when === "after" ? 1 : 0;
    expect(learned(pool, "Maintenance")).toHaveLength(expected);
    expect(pool.coordinator.durations.usual("hv1", "Maintenance")?.samples ?? 0).toBe(expected);
  });

  test("a verdict that is told twice counts once, and so it does after a restart", () => {
    const pool = poolOf();
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    const before = learned(pool);
    for (const { command } of pool.sent)
      if (command.kind === "start" && command.ref.step === "Maintenance")
        pool.coordinator.stepEnded(command.ref, {
          ...{ verdict: "ok", signal: "", reason: "", startedAtMs: 0, endedAtMs: 0, durationMs: 0, output: "" },
          requests: { rebootRequired: false, rerunAfterReboot: false, skip: "", message: "" },
          ...{ bootIdBefore: "", bootIdAfter: "" },
        });
    pool.settle();
    pool.restartController();
    pool.settle();
    expect(learned(pool)).toEqual(before);
    expect(pool.coordinator.durations.usual("hv1", "Maintenance")).toMatchObject({ samples: 1 });
  });
});
