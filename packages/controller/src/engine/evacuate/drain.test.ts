import { describe, expect, test } from "vitest";
import { instance, TestPool } from "../../testing/pool.ts";

describe("a drain", () => {
  test("moves what migrates to the others, then the maintenance follows", () => {
    const pool = new TestPool({ hv1: [instance(1), instance(2), instance(3)], hv2: [instance(4)], hv3: [] });
    pool.start(["hv1"], { return: "none" });
    pool.settle();
    expect(pool.report().outcome).toBe("succeeded");
    expect(pool.story()).toMatchInlineSnapshot(`
      [
        "ledger r1:hv1:cordon:1: open: cordon hv1, undone by uncordon",
        "instance vm1: hv1 -> hv2 (to empty the host)",
        "instance vm2: hv1 -> hv2 (to empty the host)",
        "instance vm1: hv1 => hv2 (moved in 2 s)",
        "instance vm2: hv1 => hv2 (moved in 2 s)",
        "instance vm3: hv1 -> hv2 (to empty the host)",
        "instance vm3: hv1 => hv2 (moved in 2 s)",
        "ledger r1:hv1:cordon:1: closed (undone by the run)",
      ]
    `);
    expect(pool.running().filter((l) => l.includes("hv1"))).toEqual([]);
  });
});
