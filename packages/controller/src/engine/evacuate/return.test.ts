import { expect, test } from "vitest";
import { instance, TestPool, uuidOf } from "../../testing/pool.ts";

test.each([[], ["incoming"]])("an instance returns although its target shows it late: %j", (...before) => {
  const pool = new TestPool({ hv1: [instance(1, { metadata: { home: "hv1" } })], hv2: [] });
  pool.fate = (host, task) => {
    if (task.verb !== "move" || host !== "hv1") return undefined;
    const one = pool.host("hv1").instances.get(task.uuid);
    pool.after(90, () => pool.host("hv1").instances.delete(task.uuid));
    // On its way it has no metadata there, and thus no home.
    for (const state of before) pool.host("hv2").instances.set(task.uuid, instance(1, { state }));
    pool.after(2_000, () => {
      if (one) pool.host("hv2").instances.set(task.uuid, one);
      pool.coordinator.worldChanged();
    });
    return { takesMs: 100, apply: false, look: { present: false, state: "" } };
  };
  pool.start(["hv1"], { return: "preferred" });
  pool.settle();
  expect(pool.report().outcome).toBe("succeeded");
  expect(pool.host("hv1").instances.has(uuidOf(1))).toBe(true);
});

test("one that is nowhere any more is not waited for endlessly", () => {
  const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
  pool.fate = (host, task) => {
    if (task.verb !== "move" || host !== "hv1") return undefined;
    pool.after(90, () => pool.host("hv1").instances.delete(task.uuid));
    return { takesMs: 100, apply: false, look: { present: false, state: "" } };
  };
  pool.start(["hv1"], { return: "exact" });
  pool.settle(20_000);
  expect(pool.report().outcome).toBe("succeeded");
});

test("a restore brings back what the drain before it took away, whose cordon it takes over", () => {
  const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
  pool.start(["hv1"], { op: "drain" }, "r1");
  pool.settle();
  expect(pool.host("hv2").instances.has(uuidOf(1))).toBe(true);
  pool.start(["hv1"], { op: "restore", return: "exact" }, "r2");
  pool.settle();
  expect(pool.report("r2").outcome).toBe("succeeded");
  expect(pool.host("hv1").instances.has(uuidOf(1))).toBe(true);
});
