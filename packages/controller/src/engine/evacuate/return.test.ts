import { expect, test } from "vitest";
import { instance, TestPool, uuidOf } from "../../testing/pool.ts";

test("an instance returns although the picture of its target shows it late", () => {
  const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
  pool.fate = (host, task) => {
    if (task.verb !== "move" || host !== "hv1") return undefined;
    const one = pool.host("hv1").instances.get(task.uuid);
    pool.after(90, () => pool.host("hv1").instances.delete(task.uuid));
    pool.after(2_000, () => {
      if (one) pool.host("hv2").instances.set(task.uuid, one);
      pool.coordinator.worldChanged();
    });
    return { takesMs: 100, apply: false, look: { present: false, state: "" } };
  };
  pool.start(["hv1"], { return: "exact" });
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
