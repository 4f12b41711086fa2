import { expect, test } from "vitest";
import type { Schedule } from "../domain/schedule.ts";
import { instance, TestPool } from "../testing/pool.ts";
import { replay } from "./reduce.ts";
import { reportOf } from "./report.ts";

test("a host's time out is from its cordon to its return, beside what the schedule expected", () => {
  const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
  pool.stageMs = (ref) => (ref.step === "Maintenance" ? 60_000 : 1_000);
  pool.start(["hv1", "hv2"], { return: "none" });
  pool.settle(6_000);
  expect(pool.report().hosts).toMatchObject([{ outMs: 0 }, { outMs: 0 }]);
  pool.settle();
  // Drain, Maintenance and return, and not the checks before nor PostMaintenance after it.
  const [hv1, hv2] = pool.report().hosts;
  expect(hv1?.outMs).toBeGreaterThan(61_000);
  expect(hv1?.outMs).toBeLessThan(64_000);
  expect(hv2).toMatchObject({ expectedMs: 0, p95Ms: 0 });

  const log = pool.store.log("r1");
  const turns = [{ host: "hv1", expectedMs: 70_000, p95Ms: 90_000 }];
  const planned = log.map((r) =>
    r.event.type === "run-started"
      ? { ...r, event: { ...r.event, spec: { ...r.event.spec, schedule: { turns } as unknown as Schedule } } }
      : r,
  );
  expect(reportOf(replay(planned)).hosts).toMatchObject([
    { name: "hv1", outMs: hv1?.outMs, expectedMs: 70_000, p95Ms: 90_000 },
    { name: "hv2", expectedMs: 0, p95Ms: 0 },
  ]);
});

test("a host that was repaired and tried again was out from its first cordon on", () => {
  const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
  let isBroken = true;
  pool.stage = (ref) => (ref.step === "Maintenance" && isBroken ? { verdict: "failed" } : {});
  pool.start(["hv1"], { return: "none" });
  pool.settle();
  expect(pool.report().hosts).toMatchObject([{ outcome: "failed", outMs: 0 }]);
  isBroken = false;
  pool.now += 600_000;
  pool.coordinator.command("r1", { kind: "retry", host: "hv1", reason: "" }, "alice");
  pool.settle();
  expect(pool.report().hosts[0]?.outMs).toBeGreaterThan(600_000);
});
