import { describe, expect, it } from "vitest";
import type { Claim, Spec } from "../../runner/files.ts";
import { cutOf, isPlainPath, parseLines, runArguments, unitName, unitState } from "./unit.ts";

const spec: Spec = {
  id: "r1/hv1/Maintenance/1",
  marker: "ab12",
  program: "/etc/hooks/Maintenance",
  args: ["$(reboot)", "secret"],
  env: { SLIPWAY_RUN: "r1" },
  cwd: "/",
  timeoutMs: 1_800_000,
  graceMs: 7_000,
  keepBytes: 1,
  bootId: "b",
};
const claim: Claim = {
  id: spec.id,
  pid: 42,
  startTime: "100000",
  bootId: "b",
  claimedAtMs: 1,
  unit: "slipway-step-x.service",
  invocation: "i",
};

describe("a unit's name", () => {
  it("is short, opaque, the same again, and another one for another step or state directory", () => {
    const name = unitName("/var/lib/slipway-agent/steps", spec.id);
    expect(name).toMatch(/^slipway-step-[0-9a-f]{16}\.service$/);
    expect(unitName("/var/lib/slipway-agent/steps", spec.id)).toBe(name);
    expect(unitName("/var/lib/slipway-agent/steps", "r1/hv1/Maintenance/2")).not.toBe(name);
    expect(unitName("/srv/steps", spec.id)).not.toBe(name);
  });
});

describe("the arguments of systemd-run", () => {
  const request = {
    unit: "slipway-step-x.service",
    stepDir: "/var/lib/slipway-agent/steps/s",
    spec,
    limits: {},
    runner: ["/usr/bin/node", "/usr/lib/slipway/runner/main.js"],
  } as const;
  const properties = (change: Partial<Parameters<typeof runArguments>[0]> = {}) =>
    parseLines(
      runArguments({ ...request, ...change })
        .flatMap((arg) => (arg.startsWith("--property=") ? [arg.slice("--property=".length)] : []))
        .join("\n"),
    );

  it("give deadline, grace and the kill of the whole group to systemd", () => {
    const found = properties();
    expect(Object.fromEntries(found)).toEqual({
      Type: "exec",
      CollectMode: "inactive-or-failed",
      RequiresMountsFor: "/var/lib/slipway-agent/steps/s",
      RuntimeMaxSec: "1802000ms",
      TimeoutStopSec: "12000ms",
      KillMode: "control-group",
      SendSIGKILL: "yes",
      OOMPolicy: "continue",
      SuccessExitStatus: "70",
      StandardOutput: "journal",
      SyslogIdentifier: "slipway-step",
      StandardError: "journal",
      LogRateLimitIntervalSec: "1s",
      LogRateLimitBurst: "1000000",
      ExecStopPost: "-/bin/sh /var/lib/slipway-agent/steps/s/on-stop.sh",
    });
  });

  it("carry bounds only where the operator sets some", () => {
    const found = properties({ limits: { memoryMax: "200M", tasksMax: "64", cpuQuota: "50%" } });
    expect([found.get("MemoryMax"), found.get("MemorySwapMax"), found.get("TasksMax"), found.get("CPUQuota")]).toEqual([
      "200M",
      "0",
      "64",
      "50%",
    ]);
    expect([...properties().keys()].filter((name) => /Memory|Tasks|CPU/.test(name))).toEqual([]);
  });

  it("say nothing of what is to be run", () => {
    const text = runArguments(request).join("\n");
    expect(text).not.toContain("reboot");
    expect(text).not.toContain("secret");
    expect(text).not.toContain("/etc/hooks");
  });

  it("name the runner and the directory after the end of all options", () => {
    const args = runArguments({ ...request, stepDir: "/srv/s" });
    expect(args.slice(args.indexOf("--") + 1)).toEqual([
      "/usr/bin/node",
      "/usr/lib/slipway/runner/main.js",
      "/srv/s",
      "slipway-step-x.service",
    ]);
  });

  it("keep a description to what a terminal can take", () => {
    const args = runArguments({ ...request, spec: { ...spec, id: "r1/a\nb%n" } });
    expect(args).toContain("--description=Slipway step r1/a?b?n");
  });
});

describe("a path in a unit", () => {
  it.each([
    ["/var/lib/slipway-agent/steps", true],
    ["/opt/node-24.1+x@1:2,3=4/bin/node", true],
    ["/srv/a b", false],
    ["/srv/$HOME", false],
    ["/srv/100%", false],
    ["/srv/a;b", false],
    ["/srv/a\\b", false],
    ['/srv/"a"', false],
  ])("%s: %s", (path, isPlain) => {
    expect(isPlainPath(path)).toBe(isPlain);
  });
});

describe("what systemctl show says", () => {
  it.each([
    ["LoadState=loaded\nActiveState=active\n", "up"],
    ["LoadState=loaded\nActiveState=activating\n", "up"],
    ["LoadState=loaded\nActiveState=deactivating\n", "up"],
    ["LoadState=loaded\nActiveState=maintenance\n", "up"],
    ["LoadState=loaded\nActiveState=inactive\n", "gone"],
    ["LoadState=loaded\nActiveState=failed\n", "gone"],
    ["LoadState=not-found\nActiveState=inactive\n", "gone"],
    ["", "unknown"],
    ["ActiveState=inactive\n", "unknown"],
  ])("%j means %s", (text, state) => {
    expect(unitState(parseLines(text))).toBe(state);
  });
});

describe("the end of a unit whose runner recorded nothing", () => {
  const record = (fields: Record<string, string>) => new Map(Object.entries({ system: "running", ...fields }));
  // The runner started 1000 s after the boot; its step may take 1800 s.
  it.each([
    ["no record", new Map<string, string>(), undefined, "slipway-step-x.service has ended and nobody recorded how"],
    ["deadline", record({ result: "timeout", code: "killed", status: "KILL", uptime: "2807.1" }), "deadline", ""],
    ["stop not obeyed", record({ result: "timeout", code: "killed", status: "KILL", uptime: "1100.0" }), "outside", ""],
    ["memory", record({ result: "oom-kill", code: "killed", status: "KILL" }), "memory", "killed: out of memory"],
    ["shutdown", record({ result: "timeout", status: "KILL", uptime: "1100", system: "stopping" }), "shutdown", ""],
    [
      "killed runner",
      record({ result: "signal", code: "killed", status: "KILL" }),
      undefined,
      "the hook's runner (process 42) was killed (KILL)",
    ],
    [
      "broken runner",
      record({ result: "exit-code", code: "exited", status: "1" }),
      undefined,
      "the hook's runner failed (exit status 1)",
    ],
  ])("%s", (_name, stopped, cut, reason) => {
    const found = cutOf(stopped, spec, claim);
    expect(found.cut).toBe(cut);
    if (reason !== "") expect(found.reason).toBe(reason);
  });
  it("names the memory's limit", () => {
    const found = cutOf(record({ result: "oom-kill" }), { ...spec, memoryMax: "200M" }, claim);
    expect(found.reason).toBe("killed: out of memory (limit 200M)");
  });
});
