import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InstanceVerb } from "@slipway/shared";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JobResult } from "../../steps/ports.ts";
import type { InstanceSpec } from "../../steps/types.ts";
import { createFleetPlatform, type FleetPlatform } from "./index.ts";
import { uuidOf } from "./instances.ts";
import { FleetModel } from "./testing.ts";

let dir: string;
let fleet: FleetModel;
let ended: Map<string, () => void>;
let platforms: FleetPlatform[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-fleet-"));
  fleet = new FleetModel("a", "b");
  fleet.add("vm1.service", "a");
  ended = new Map();
  platforms = [];
});
afterEach(() => {
  for (const one of platforms) one.close();
  rmSync(dir, { recursive: true, force: true });
});

function platformOn(name: string, lastMs = 200): FleetPlatform {
  const platform = createFleetPlatform({
    reserveMib: 1024,
    stateDir: join(dir, name),
    monotonicMs: () => 7,
    announce: (id) => ended.get(id)?.(),
    log: () => {},
    machinery: fleet.on(name),
    pollMs: 1,
    lastMs,
  });
  platforms.push(platform);
  return platform;
}

function spec(verb: InstanceVerb, change: Partial<InstanceSpec> = {}): InstanceSpec {
  const name = "vm1.service";
  const rest = { address: "", storage: "", bandwidthMib: 0, downtimeMs: 0, autoConverge: false, postCopy: false };
  const move = { to: "b", uri: `fleet://${fleet.id("b")}`, ...rest, stuckMs: 0, disks: [] };
  return { kind: "instance", verb, uuid: uuidOf(name), name, generation: 1, timeoutMs: 60_000, move, ...change };
}

async function result(
  platform: FleetPlatform,
  asked: InstanceSpec,
  how: "start" | "resume" = "start",
): Promise<JobResult> {
  const id = `${asked.verb}-${Math.random()}`;
  await new Promise<void>((resolve) => {
    ended.set(id, resolve);
    platform[how](id, asked);
  });
  const look = platform.look(id);
  if (look.state !== "ended") throw new Error(look.state);
  return look.result;
}

describe("failover", () => {
  it("starts a unit elsewhere only once it is gone here", async () => {
    fleet.stopTicks = 20;
    fleet.favourite = "b";
    const { instance, output, reason, verdict } = await result(platformOn("a"), spec("move"));
    expect({ instance, reason, verdict }).toMatchObject({
      verdict: "ok",
      reason: "fleet started it on b, 10.0.0.98",
      instance: { present: false },
    });
    expect(output).toBe(
      "fleetctl unload --no-block vm1.service: Triggered unit vm1.service unload\nfleetctl start --no-block vm1.service: Triggered unit vm1.service start\n",
    );
    expect(fleet.units.get("vm1.service")).toMatchObject({ wanted: "launched", machine: "b" });
    expect([...fleet.doubled]).toEqual([]);
  });

  it("would have run it twice without waiting, in this model", async () => {
    fleet.stopTicks = 20;
    fleet.favourite = "b";
    const { run } = fleet.on("a");
    for (const words of [["unload", "vm1.service"], ["start", "vm1.service"], ["list-unit-files"], ["list-unit-files"]])
      await run(["fleetctl", ...words], { timeoutMs: 1 });
    expect([...fleet.doubled]).toEqual(["vm1.service"]);
  });

  it("says so when fleet chose this machine again, or a third one", async () => {
    fleet.favourite = "a";
    expect(await result(platformOn("a"), spec("move"))).toMatchObject({
      verdict: "failed",
      reason: "fleet started it on this machine again",
      instance: { present: true, state: "running" },
    });
    fleet.machines.set("c", { up: true, processes: new Map() });
    fleet.favourite = "c";
    expect(await result(platformOn("a"), spec("move"))).toMatchObject({
      verdict: "ok",
      reason: "fleet started it on c, 10.0.0.99, not on b: the choice is fleet's",
      instance: { present: false },
    });
  });

  it("touches nothing that has to stay", async () => {
    fleet.add("pin.service", "a", "MachineMetadata=name=a\n");
    const pinned = spec("move", { name: "pin.service", uuid: uuidOf("pin.service") });
    expect(await result(platformOn("a"), pinned)).toMatchObject({
      verdict: "failed",
      reason: "fleet starts pin.service on this machine only (MachineMetadata=name=a); take that out of its unit file",
      instance: { present: true, state: "running" },
    });
    expect(await result(platformOn("b"), spec("move"))).toMatchObject({
      verdict: "failed",
      instance: { present: false },
    });
    expect(fleet.asked.filter((one) => one.includes("unload"))).toEqual([]);
  });

  it("that is cancelled in the middle still starts what it has unloaded", async () => {
    fleet.stopTicks = 30;
    fleet.favourite = "b";
    const platform = platformOn("a", 60_000);
    const over = new Promise<void>((resolve) => ended.set("m", resolve));
    platform.start("m", spec("move"));
    while (fleet.units.get("vm1.service")?.wanted !== "inactive")
      await new Promise((resolve) => setTimeout(resolve, 1));
    platform.cancel("m", "ann asked");
    await over;
    expect(fleet.units.get("vm1.service")?.wanted).toBe("launched");
    expect([...fleet.doubled]).toEqual([]);
    expect(readdirSync(join(dir, "a", "fleet-moves"))).toEqual([]);
  });

  it("gives up a unit that does not stop, with the way out", async () => {
    fleet.stopTicks = Number.POSITIVE_INFINITY;
    const found = await result(platformOn("a", 20), spec("move", { timeoutMs: 50 }));
    expect(found).toMatchObject({
      verdict: "timed-out",
      instance: { present: true, state: "running", job: "stopping" },
    });
    expect(found.reason).toMatch(
      /vm1.service was unloaded and is not started again .*once it has stopped: fleetctl start vm1.service$/,
    );
    expect(fleet.asked.filter((one) => one.includes(" start "))).toEqual([]);
  });

  it("is finished by a new process of the agent, which knows what the old one had unloaded", async () => {
    fleet.stopTicks = Number.POSITIVE_INFINITY;
    await result(platformOn("a", 1), spec("move", { timeoutMs: 20 }));
    fleet.machines.get("a")?.processes.set("vm1.service", { active: "inactive", ticks: 0 });
    fleet.favourite = "b";
    const found = await result(platformOn("a"), spec("move"), "resume");
    expect(found).toMatchObject({ verdict: "ok", reason: "fleet started it on b, 10.0.0.98" });
    expect(existsSync(join(dir, "a", "fleet-moves", uuidOf("vm1.service")))).toBe(false);
  });

  it("that was not begun is not begun by a new process", async () => {
    expect(await result(platformOn("a"), spec("move"), "resume")).toMatchObject({
      verdict: "interrupted",
      reason: "the agent was restarted meanwhile, and it is running here",
    });
    expect(fleet.asked).not.toContain("fleetctl unload --no-block vm1.service");
  });

  it("asks again when a start is not taken", async () => {
    fleet.favourite = "b";
    fleet.instead.set("start", { problem: "connection refused" });
    const over = result(platformOn("a"), spec("move"));
    while (fleet.asked.filter((one) => one.includes(" start ")).length < 3)
      await new Promise((resolve) => setTimeout(resolve, 1));
    fleet.instead.clear();
    expect(await over).toMatchObject({ verdict: "ok" });
  });
});

describe("stop and start", () => {
  it("are believed by state, not by exit status", async () => {
    fleet.instead.set("stop", { exitCode: 0, stdout: "Successfully stopped units [vm1.service].\n" });
    expect(await result(platformOn("a"), spec("stop", { timeoutMs: 30 }))).toMatchObject({
      verdict: "timed-out",
      reason: expect.stringContaining("it shall be launched and is launched"),
      instance: { state: "running" },
    });
    fleet.instead.clear();
    expect(await result(platformOn("a"), spec("stop"))).toMatchObject({
      verdict: "ok",
      instance: { present: true, state: "shutoff" },
    });
    expect(await result(platformOn("a"), spec("start"))).toMatchObject({
      verdict: "ok",
      reason: "",
      instance: { state: "running" },
    });
  });

  it("tell a unit that fails", async () => {
    await result(platformOn("a"), spec("stop"));
    fleet.machines.get("a")?.processes.delete("vm1.service");
    fleet.fails.add("vm1.service");
    expect(await result(platformOn("a"), spec("start"))).toMatchObject({
      verdict: "failed",
      reason: "vm1.service failed on a, 10.0.0.97 (failed)",
    });
  });

  it.each<[string, Partial<InstanceSpec>, string]>([
    ["what is no unit", { name: "--replace", uuid: uuidOf("--replace") }, '"--replace" is no name of a unit'],
    ["an unknown unit", { name: "x.service", uuid: uuidOf("x.service") }, "fleet knows no unit x.service"],
    ["another unit's UUID", { uuid: uuidOf("x.service") }, "is not unit vm1.service"],
  ])("refuse %s", async (_name, change, reason) => {
    const found = await result(platformOn("a"), spec("stop", change));
    expect(found).toMatchObject({ verdict: "failed", reason: expect.stringContaining(reason) });
    expect(fleet.asked.filter((one) => one.includes(" stop "))).toEqual([]);
  });

  it("never wake a daemon that is stopped", async () => {
    const machine = fleet.machines.get("a");
    if (machine) machine.up = false;
    expect(await result(platformOn("a"), spec("start"))).toMatchObject({
      verdict: "failed",
      reason: "fleet is stopped on this host; start it: systemctl start fleet.socket fleet",
    });
    expect(fleet.asked.filter((one) => one.startsWith("fleetctl"))).toEqual([]);
  });
});

describe("what fleet has no word for", () => {
  it.each<[InstanceVerb, string, string]>([
    ["save", "failed", "fleet saves no memory; give it the policy failover or shutdown-restart"],
    ["resume", "failed", "fleet knows no pause; look at the guest itself"],
    [
      "discard",
      "failed",
      "vm1.service belongs to this machine; fleet keeps one of each unit: nothing of it is left over",
    ],
    ["look", "ok", ""],
    ["admit", "ok", ""],
  ])("%s is %s", async (verb, verdict, reason) => {
    expect(await result(platformOn("a"), spec(verb))).toMatchObject({ verdict, reason, instance: { present: true } });
  });
});

describe("the inventory", () => {
  it("is told anew only when it differs, and says what cannot be read", async () => {
    const platform = platformOn("a");
    expect(platform.inventory()).toBeUndefined();
    await platform.refresh();
    const first = platform.inventory();
    expect(first).toMatchObject({
      seq: 1,
      platform: "fleet",
      capacity: { migrationUri: `fleet://${fleet.id("a")}` },
      instances: [{ name: "vm1.service" }],
    });
    await platform.refresh();
    expect([platform.inventory() === first, platform.readAtMs()]).toEqual([true, 7]);
    fleet.instead.set("list-units", { timedOut: true });
    await platform.refresh();
    expect(platform.inventory()).toMatchObject({
      seq: 2,
      problem: "fleetctl list-units: no answer in time",
      instances: [],
    });
  });

  it("of a machine without its daemon is no target", async () => {
    const machine = fleet.machines.get("b");
    if (machine) machine.up = false;
    const platform = platformOn("b");
    await platform.refresh();
    expect(platform.inventory()).toMatchObject({ problem: "", instances: [], capacity: { migrationUri: "" } });
  });
});
