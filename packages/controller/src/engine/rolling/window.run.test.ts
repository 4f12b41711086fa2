import { describe, expect, test } from "vitest";
import type { Recorded } from "../../domain/events.ts";
import { parseWindows } from "../../domain/window.ts";
import { chance } from "../../testing/chance.ts";
import { instance, TestPool } from "../../testing/pool.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const cordons = (log: readonly Recorded[]) =>
  log.filter((r) => r.event.type === "ledger-opened" && r.event.kind !== "instance");

describe("a run with a window", () => {
  test("that closes while the gate is asked takes nobody out", () => {
    const pool = new TestPool({ hv1: [instance(1)], hv2: [] });
    pool.stageMs = (ref) => (ref.step === "PreMaintenance" ? 10 * MINUTE : 1_000);
    // Thursday 00:16 by the wall clock: the turn begins, and when PreMaintenance is over it is too late.
    pool.start(["hv1"], { window: "Thu 00:00-01:00 UTC", timeoutMs: HOUR });
    pool.settle(HOUR);
    expect(cordons(pool.store.log("r1"))).toEqual([]);
    expect(pool.coordinator.waits("r1").map((w) => w.reason.rule)).toEqual(["window"]);
    const host = pool.coordinator.run("r1")?.hosts[0];
    expect(host).toMatchObject({ cordoned: false });
    expect(host?.steps.at(-1)?.step).toBe("gate");
  });

  test.each(Array.from({ length: 40 }, (_, i) => i + 1))(
    "whatever the wall clock does, nobody goes out unless the window is open, and all end whole (seed %i)",
    (seed) => {
      const r = chance(seed);
      const hosts = Array.from({ length: 4 }, (_, i) => `hv${i + 1}`);
      const pool = new TestPool(Object.fromEntries(hosts.map((h, i) => [h, i < 3 ? [instance(i + 1)] : []])));
      const from = r.int(0, 2);
      const window = `${String(from).padStart(2, "0")}:${String(r.int(0, 59)).padStart(2, "0")}-0${from + 2}:00 UTC`;
      pool.stageMs = (ref) => (ref.step === "Maintenance" ? r.int(1, 20) * MINUTE : r.int(1, 90) * 1_000);
      pool.start(hosts, { window, timeoutMs: HOUR, return: "none" });
      const windows = parseWindows(window);
      let seen = 0;
      for (let i = 0; i < 150 && pool.coordinator.active().length > 0; i++) {
        pool.settle(r.int(1, 600) * 1_000);
        if (r.one(20)) pool.wallSkewMs += r.int(-6, 30) * 10 * MINUTE;
        if (r.one(3)) pool.restartController();
        const state = windows.at(pool.wallMs());
        if (i > 100 && !state.isOpen) pool.wallSkewMs += state.opensMs - pool.wallMs();
        const out = cordons(pool.store.log("r1"));
        for (const { at } of out.slice(seen)) expect([at, windows.at(at).isOpen]).toEqual([at, true]);
        seen = out.length;
        const run = pool.coordinator.run("r1");
        // Who waits for the window is whole.
        for (const { host, reason } of pool.coordinator.waits("r1"))
          if (reason.rule === "window") expect(run?.hosts.find((h) => h.name === host)?.cordoned).toBe(false);
      }
      expect(pool.report()).toMatchObject({ outcome: "succeeded" });
      expect(seen).toBe(4);
    },
  );
});
