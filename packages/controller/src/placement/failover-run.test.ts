import type { Instance } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { instance, TestPool, uuidOf } from "../testing/pool.ts";

/** A unit of fleet, with the names that it conflicts with. */
const unit = (n: number, conflicts = ""): Instance =>
  instance(n, { metadata: { "default-policy": "failover", ...(conflicts ? { "fleet.conflicts": conflicts } : {}) } });

function poolOf(hosts: Readonly<Record<string, readonly Instance[]>>): TestPool {
  const pool = new TestPool(hosts);
  for (const host of pool.hosts.values()) host.platform = "fleet";
  return pool;
}
const drain = (pool: TestPool, over: Parameters<TestPool["start"]>[1] = {}) => {
  pool.start(["hv1"], { op: "drain", ...over });
  pool.settle();
  return pool.report();
};
const asked = (pool: TestPool) => pool.sent.filter((s) => s.command.kind === "start").length;

describe("a drain of a fleet host", () => {
  test("leaves its units to fleet: no agent is asked to move or stop one", () => {
    const pool = poolOf({ hv1: [unit(1), unit(2)], hv2: [] });
    expect(drain(pool).hosts[0]).toMatchObject({ outcome: "updated", reasonCode: "drained" });
    expect([asked(pool), pool.running()]).toEqual([0, ["vm1 on hv1", "vm2 on hv1"]]);
  });

  test("with a unit that would find no place changes nothing", () => {
    const pool = poolOf({ hv1: [unit(1, "vm2")], hv2: [unit(2)] });
    const report = drain(pool);
    expect(report.hosts[0]).toMatchObject({
      outcome: "failed",
      reasonCode: "cannot-empty",
      reason: expect.stringContaining("fleet can start it nowhere else: hv2 runs vm2, which it conflicts with"),
    });
    expect([asked(pool), pool.coordinator.cordonHolders("hv1"), report.ledger]).toEqual([0, [], []]);
  });

  test("goes on when an operator consented that it stays off", () => {
    const pool = poolOf({ hv1: [unit(1, "vm2")], hv2: [unit(2)] });
    expect(drain(pool, { consentStop: ["vm1"] }).hosts[0]).toMatchObject({ reasonCode: "drained" });
    expect([asked(pool), pool.host("hv1").instances.has(uuidOf(1))]).toEqual([0, true]);
  });
});
