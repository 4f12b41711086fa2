import type { Stage } from "@slipway/shared";
import { describe, expect, it } from "vitest";
import { hookSpec, key, raw } from "../testing/world.ts";
import type { Look, RawResult } from "./ports.ts";
import type { StepRow } from "./types.ts";
import { awaitsBoot, hookResult, lostResult, noRequests, rebootedResult } from "./verdict.ts";

type Lost = Extract<Look, { state: "lost" }>;

function row(stage: Stage = "Maintenance", change: Partial<StepRow> = {}): StepRow {
  return { key: key(stage), spec: hookSpec(stage), state: "accepted", bootId: "b1", acceptedAtMs: 1, ...change };
}
const asked = { ...noRequests, rebootRequired: true };

describe("a hook that ended, judged", () => {
  const cases: [string, Stage, Partial<RawResult>, string, string, string, boolean?][] = [
    ["success", "Maintenance", {}, "b1", "ok", ""],
    [
      "success before the host went down",
      "Maintenance",
      {},
      "b2",
      "ok",
      "ended well, then the host went down (boot b1 => b2)",
    ],
    [
      "success, and a reboot by itself as announced",
      "Maintenance",
      { requests: asked },
      "b2",
      "ok",
      "ended well, then the host was rebooted as it asked (boot b1 => b2)",
      true,
    ],
    [
      "success while the host was going down",
      "Maintenance",
      { stoppedBy: "shutdown" },
      "b2",
      "ok",
      "ended well, then the host went down (boot b1 => b2)",
    ],
    ["no need", "PreFlight", { exitCode: 70 }, "b2", "avoid", "ended well, then the host went down (boot b1 => b2)"],
    ["failure", "Maintenance", { exitCode: 3 }, "b1", "failed", "exit status 3"],
    [
      "failure before the host went down",
      "Maintenance",
      { exitCode: 3, requests: asked },
      "b2",
      "failed",
      "exit status 3; the host has booted anew since (boot b1 => b2)",
    ],
    [
      "deadline before the host went down",
      "Maintenance",
      { timedOut: true, signal: "SIGTERM" },
      "b2",
      "timed-out",
      "not done after 1000 ms; the host has booted anew since (boot b1 => b2)",
    ],
    [
      "cut off by a shutdown",
      "Maintenance",
      { stoppedBy: "shutdown", signal: "SIGTERM" },
      "b2",
      "interrupted",
      "the host was shut down while the hook ran (boot b1 => b2)",
    ],
    [
      "cut off by a shutdown that it answered with a status",
      "Maintenance",
      { stoppedBy: "shutdown", exitCode: 143 },
      "b2",
      "interrupted",
      "the host was shut down while the hook ran (boot b1 => b2)",
    ],
    [
      "cut off by a shutdown, without systemd's word for it",
      "Maintenance",
      { signal: "SIGTERM" },
      "b2",
      "interrupted",
      "the host was shut down while the hook ran (boot b1 => b2)",
    ],
    [
      "cut off by the reboot that it had asked for",
      "Maintenance",
      { stoppedBy: "shutdown", signal: "SIGTERM", requests: asked },
      "b2",
      "ok",
      "the host was rebooted as the hook asked (boot b1 => b2)",
      true,
    ],
    [
      "a stage that may not ask for a reboot",
      "PostMaintenance",
      { stoppedBy: "shutdown", signal: "SIGTERM", requests: asked },
      "b2",
      "interrupted",
      "the host was shut down while the hook ran (boot b1 => b2)",
    ],
    [
      "a shutdown that never came to its end",
      "Maintenance",
      { stoppedBy: "shutdown", signal: "SIGTERM", requests: asked },
      "b1",
      "interrupted",
      "the host began to shut down while the hook ran, but has not gone down",
    ],
    [
      "stopped by somebody",
      "Maintenance",
      { stoppedBy: "outside", signal: "SIGTERM" },
      "b1",
      "interrupted",
      "its unit was stopped on the host while it ran (systemctl stop), not by Slipway",
    ],
    [
      "a crash of its own",
      "Maintenance",
      { signal: "SIGSEGV" },
      "b2",
      "failed",
      "ended by SIGSEGV; the host has booted anew since (boot b1 => b2)",
    ],
    [
      "killed for want of memory",
      "Maintenance",
      { signal: "SIGKILL", oomKills: 1, memoryMax: "200M" },
      "b1",
      "failed",
      "killed: out of memory (limit 200M)",
    ],
    [
      "killed for want of the host's memory",
      "Maintenance",
      { signal: "SIGKILL", oomKills: 2 },
      "b1",
      "failed",
      "killed: out of memory",
    ],
    [
      "failed because of a child that was killed",
      "Maintenance",
      { exitCode: 137, oomKills: 1, memoryMax: "200M" },
      "b1",
      "failed",
      "exit status 137; 1 of its processes was killed: out of memory (limit 200M)",
    ],
    [
      "success in spite of children that were killed",
      "Maintenance",
      { oomKills: 3 },
      "b1",
      "ok",
      "3 of its processes were killed: out of memory",
    ],
    ["killed by somebody", "Maintenance", { signal: "SIGKILL", oomKills: 0 }, "b1", "failed", "ended by SIGKILL"],
  ];
  it.each(cases)("%s (%s %j, boot %s): %s", (_name, stage, change, bootId, verdict, reason, rebooted) => {
    const { exitCode: _, ...ended } = raw({ bootId: "b1" });
    const own = change.signal === undefined ? { exitCode: 0 } : {};
    const result = hookResult(row(stage), { ...ended, ...own, ...change }, bootId);
    expect(result).toMatchObject({ verdict, reason, bootIdBefore: "b1", bootIdAfter: bootId });
    expect(result.rebootedAsAsked).toBe(rebooted);
  });
});

describe("a hook that was lost, judged", () => {
  const lost: Lost = {
    state: "lost",
    reason: "its runner was killed",
    startedAtMs: 5,
    output: "half",
    outputBytes: 4,
    requests: noRequests,
    bootId: "b1",
  };
  const cases: [string, Partial<Lost>, string, string, string, boolean?][] = [
    ["killed runner", {}, "b1", "interrupted", "its runner was killed; the host did not reboot"],
    ["host down, nobody knows how", {}, "b2", "interrupted", "the host went down while the hook ran (boot b1 => b2)"],
    [
      "power cut",
      { cut: "power", requests: asked },
      "b2",
      "interrupted",
      "the host went down without a shutdown while the hook ran: power cut, crash or reset (boot b1 => b2)",
    ],
    ["shutdown", { cut: "shutdown" }, "b2", "interrupted", "the host was shut down while the hook ran (boot b1 => b2)"],
    [
      "reboot as asked",
      { cut: "shutdown", requests: asked },
      "b2",
      "ok",
      "the host was rebooted as the hook asked (boot b1 => b2)",
      true,
    ],
    ["deadline", { cut: "deadline" }, "b1", "timed-out", "not done after 1000 ms"],
    [
      "memory",
      { cut: "memory", reason: "killed: out of memory (limit 200M)" },
      "b1",
      "failed",
      "killed: out of memory (limit 200M)",
    ],
    [
      "stopped by somebody",
      { cut: "outside" },
      "b1",
      "interrupted",
      "its unit was stopped on the host while it ran (systemctl stop), not by Slipway",
    ],
  ];
  it.each(cases)("%s (%j, boot %s): %s", (_name, change, bootId, verdict, reason, rebooted) => {
    const result = lostResult(row(), { ...lost, ...change }, bootId, 9);
    expect(result).toMatchObject({ verdict, reason, output: "half", bootIdBefore: "b1", bootIdAfter: bootId });
    expect(result.rebootedAsAsked).toBe(rebooted);
  });
  it("stopped by Slipway's own last resort: cancelled", () => {
    const result = lostResult(
      row("Maintenance", { cancelReason: "ann aborted" }),
      { ...lost, cut: "outside" },
      "b1",
      9,
    );
    expect(result).toMatchObject({ verdict: "cancelled", reason: "ann aborted" });
  });
  it("is judged only after the boot that ends the shutdown", () => {
    const ended: Look = { state: "ended", result: raw({ stoppedBy: "shutdown", bootId: "b1" }) };
    expect([awaitsBoot(ended, "b1"), awaitsBoot(ended, "b2")]).toEqual([true, false]);
    expect([awaitsBoot({ ...lost, cut: "shutdown" }, "b1"), awaitsBoot({ ...lost, cut: "shutdown" }, "b2")]).toEqual([
      true,
      false,
    ]);
    expect(awaitsBoot({ state: "ended", result: raw({ bootId: "b1" }) }, "b1")).toBe(false);
    expect(awaitsBoot(lost, "b1")).toBe(false);
  });
});

describe("a reboot's proof", () => {
  const host = { rebootWanted: "", rebootUnknown: "", kernelRunning: "6.1.0-44", kernelNewest: "", uptimeMs: 12_300 };
  it("names both boots, the time since, and the kernel", () => {
    expect(rebootedResult(row(), "b2", 9).reason).toBe("booted anew (b1 => b2)");
    expect(rebootedResult(row(), "b2", 9, host).reason).toBe("booted anew (b1 => b2), up for 12 s, kernel 6.1.0-44");
    expect(
      rebootedResult(row(), "b2", 9, { ...host, kernelRunning: "6.1.0-40", kernelNewest: "6.1.0-44" }).reason,
    ).toBe("booted anew (b1 => b2), up for 12 s, kernel: running 6.1.0-40, newest installed is 6.1.0-44");
  });
});
