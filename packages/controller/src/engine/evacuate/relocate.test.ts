import { expect, test } from "vitest";
import { instance, TestPool, uuidOf } from "../../testing/pool.ts";

test("an instance that has moved is not moved again in the turn of the host that it is on now", () => {
  const pool = new TestPool({ hv1: [instance(1), instance(2)], hv2: [], hv3: [instance(3)] });
  const moves = [
    { uuid: uuidOf(1), name: "vm1", to: "hv2" },
    { uuid: uuidOf(2), name: "vm2", to: "hv3" },
    { uuid: uuidOf(3), name: "vm3", to: "hv2" },
  ];
  pool.start(["hv1", "hv2", "hv3"], { op: "move", moves });
  pool.settle();
  expect([pool.report().outcome, pool.report().details]).toEqual(["succeeded", "OK: 3 moved"]);
  expect([...pool.host("hv2").instances.keys()].sort()).toEqual([uuidOf(1), uuidOf(3)].sort());
  expect([...pool.host("hv3").instances.keys()]).toEqual([uuidOf(2)]);
});
