import type { InstanceVerb } from "@slipway/shared";
import { beforeEach, describe, expect, it } from "vitest";
import type { JobLook } from "../../steps/ports.ts";
import type { InstanceSpec } from "../../steps/types.ts";
import { SimulatedHypervisor } from "./hypervisor.ts";
import { SimulatedPlatform } from "./platform.ts";
import { findIn, MemoryWorld, plainInstance, type SimulatedInstance } from "./world.ts";

const uuid = "11111111-1111-4111-8111-111111111111";
let nowMs: number;
let world: MemoryWorld;
let hypervisor: SimulatedHypervisor;
let platform: SimulatedPlatform;
const monotonicMs = () => nowMs - 100;
beforeEach(() => {
  nowMs = 1_000;
  world = new MemoryWorld();
  for (const name of ["hv1", "hv2"]) {
    world.add(name);
    world.setBoot(name, "b1");
  }
  hypervisor = new SimulatedHypervisor("hv1", world, { nowMs: () => nowMs, wallMs: () => 5_000 + nowMs });
  platform = new SimulatedPlatform(hypervisor, monotonicMs);
});

function put(change: Partial<SimulatedInstance> = {}): void {
  world.put("hv1", { ...plainInstance(uuid, "vm1"), ...change });
}
function spec(verb: InstanceVerb): InstanceSpec {
  const rest = { address: "", storage: "", bandwidthMib: 0, downtimeMs: 0, autoConverge: false, postCopy: false };
  const move = { to: "hv2", uri: "simulated://hv2", ...rest, stuckMs: 0, disks: [] };
  return { kind: "instance", verb, uuid, name: "vm1", generation: 1, timeoutMs: 10_000, move };
}
function pass(ms: number): void {
  nowMs += ms;
  platform.tick();
}
function result(look: JobLook) {
  return look.state === "ended" ? look.result : look.state;
}

describe("the simulated platform", () => {
  it("does what it is asked, once, and tells what is at the end", () => {
    put();
    platform.start("s", spec("move"));
    pass(500);
    platform.start("s", spec("move"));
    expect(platform.look("s")).toEqual({ state: "running", progress: { percent: 50, message: "" } });
    pass(500);
    expect(result(platform.look("s"))).toEqual({
      verdict: "ok",
      reason: "",
      output: "",
      startedAtMs: 6_000,
      endedAtMs: 7_000,
      durationMs: 1_000,
      instance: {
        problem: "",
        present: false,
        state: "",
        job: "",
        generation: 0,
        bytes: 1_024n * 1_048_576n,
        downtimeMs: 50,
      },
    });
    platform.forget("s");
    expect(platform.look("s")).toEqual({ state: "absent" });
  });

  it("tells how an instance is while it is being moved, and cancels", () => {
    put({ slow: 60 });
    platform.start("s", spec("move"));
    platform.start("l", spec("look"));
    expect(result(platform.look("l"))).toMatchObject({
      verdict: "ok",
      instance: { present: true, state: "running", job: "migrating-out" },
    });
    platform.cancel("s", "ann asked");
    expect(result(platform.look("s"))).toMatchObject({
      verdict: "cancelled",
      reason: "ann asked; it is running on hv1 as before",
    });
  });

  it("tells its inventory anew only when it differs", () => {
    expect(platform.inventory()).toBeUndefined();
    put({ metadata: { tier: "2" }, fail: ["move"], startedAtMs: 7 });
    platform.tick();
    const first = platform.inventory();
    expect(first).toMatchObject({ platform: "simulated", problem: "", capacity: { memoryFreeMib: 65_536 - 1_024 } });
    expect(first?.instances).toHaveLength(1);
    expect(first?.instances[0]).toMatchObject({ uuid, metadata: { tier: "2" }, startedAtMs: 7n });
    expect(Object.keys(first?.instances[0] ?? {})).not.toContain("fail");
    pass(100);
    expect(platform.inventory()).toBe(first);
    expect(platform.readAtMs()).toBe(nowMs - 100);
    platform.start("s", spec("move"));
    platform.tick();
    expect(platform.inventory()?.instances[0]?.job).toBe("migrating-out");
  });

  it("shows what is on its way, once it was admitted", () => {
    put();
    const clock = { nowMs: () => nowMs, wallMs: () => 0 };
    const target = new SimulatedPlatform(new SimulatedHypervisor("hv2", world, clock), monotonicMs);
    platform.tick();
    const [needs] = platform.inventory()?.instances ?? [];
    if (needs === undefined) throw new Error("no instance");
    target.start("a", { ...spec("admit"), from: "hv1", instance: needs });
    target.tick();
    expect(target.inventory()?.instances).toEqual([]);
    platform.start("s", spec("move"));
    target.tick();
    expect(target.inventory()?.instances).toMatchObject([{ uuid, state: "incoming", job: "migrating-in" }]);
    pass(1_000);
    target.tick();
    expect(target.inventory()?.instances).toMatchObject([{ uuid, state: "running", job: "" }]);
  });

  it("says why the world cannot be read", () => {
    put();
    platform.tick();
    platform.start("s", spec("stop"));
    const read = world.instances.bind(world);
    world.instances = () => {
      throw new Error("the file is broken");
    };
    platform.tick();
    expect(platform.inventory()).toMatchObject({ problem: "the file is broken", instances: [] });
    expect(platform.look("s")).toEqual({ state: "running" });
    platform.start("t", spec("stop"));
    world.instances = read;
    pass(500);
    expect(platform.inventory()).toMatchObject({ problem: "", instances: [{ state: "shutoff" }] });
    expect(result(platform.look("s"))).toMatchObject({ verdict: "ok" });
    expect(result(platform.look("t"))).toMatchObject({ verdict: "failed", reason: "the file is broken" });
  });
});

describe("what another process began", () => {
  /** A new process of the agent on the same host. */
  function restart(): void {
    platform = new SimulatedPlatform(hypervisor, monotonicMs);
  }
  it("is waited for, and told by what is", () => {
    put();
    platform.start("s", spec("move"));
    restart();
    expect(platform.look("s")).toEqual({ state: "absent" });
    platform.resume("s", spec("move"));
    pass(500);
    expect(platform.look("s")).toMatchObject({ state: "running", progress: { percent: 50 } });
    pass(500);
    expect(result(platform.look("s"))).toMatchObject({
      verdict: "interrupted",
      reason: "the agent was restarted meanwhile, and it is not on hv1; hv2 may tell",
      instance: { present: false },
    });
    expect(findIn(world, "hv2", uuid)?.state).toBe("running");
  });

  it.each<[InstanceVerb, Partial<SimulatedInstance> | undefined, string]>([
    ["look", undefined, "ok"],
    ["admit", undefined, "interrupted"],
    ["move", { state: "running" }, "interrupted"],
    ["stop", { state: "running" }, "interrupted"],
    ["stop", { state: "shutoff" }, "ok"],
    ["stop", undefined, "ok"],
    ["save", { state: "shutoff" }, "interrupted"],
    ["save", { state: "shutoff", saved: true }, "ok"],
    ["start", { state: "shutoff" }, "interrupted"],
    ["start", { state: "running" }, "ok"],
    ["resume", { state: "paused" }, "interrupted"],
    ["resume", { state: "running" }, "ok"],
    ["discard", { state: "shutoff" }, "interrupted"],
    ["discard", undefined, "ok"],
  ])("and was never begun: %s, with %o here, is %3$s", (verb, change, verdict) => {
    if (change !== undefined) put(change);
    const before = JSON.stringify(world.instances("hv1"));
    platform.resume("s", spec(verb));
    pass(10_000);
    expect(result(platform.look("s"))).toMatchObject({ verdict });
    expect(JSON.stringify(world.instances("hv1"))).toBe(before);
  });
});
