import type { InstanceVerb, MoveOptions } from "@slipway/shared";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { InstanceSpec } from "../../steps/types.ts";
import { instance } from "../../testing/jobs.ts";
import { SimulatedHypervisor } from "./hypervisor.ts";
import { findIn, MemoryWorld, plainHost, plainInstance, type SimulatedInstance } from "./world.ts";

const uuid = "11111111-1111-4111-8111-111111111111";
const other = "22222222-2222-4222-8222-222222222222";

let nowMs: number;
let world: MemoryWorld;
let hv: Record<"hv1" | "hv2" | "hv3", SimulatedHypervisor>;
beforeEach(() => {
  nowMs = 0;
  world = new MemoryWorld();
  const host = (name: string) => {
    world.add(name);
    const hypervisor = new SimulatedHypervisor(name, world, { nowMs: () => nowMs, wallMs: () => 1_000_000 + nowMs });
    hypervisor.boot(`${name}-b1`);
    return hypervisor;
  };
  hv = { hv1: host("hv1"), hv2: host("hv2"), hv3: host("hv3") };
});

function put(change: Partial<SimulatedInstance> = {}, host = "hv1"): void {
  world.put(host, { ...plainInstance(uuid, "vm1"), ...change });
}
function moveTo(to: string, change: Partial<MoveOptions> = {}): MoveOptions {
  return {
    to,
    uri: `simulated://${to}`,
    address: "",
    storage: "",
    bandwidthMib: 0,
    downtimeMs: 0,
    autoConverge: false,
    postCopy: false,
    stuckMs: 0,
    disks: [],
    ...change,
  };
}
function spec(verb: InstanceVerb, change: Partial<InstanceSpec> = {}): InstanceSpec {
  const move = verb === "move" ? { move: moveTo("hv2") } : {};
  return { kind: "instance", verb, uuid, name: "vm1", generation: 1, timeoutMs: 10_000, ...move, ...change };
}
/** Begins it on hv1 and lets `ms` pass. */
function after(ms: number, verb: InstanceVerb, change: Partial<InstanceSpec> = {}, host = hv.hv1) {
  host.begin("s", spec(verb, change));
  nowMs += ms;
  host.tick();
  return host.look("s");
}
function ended(verdict: string, reason: string | RegExp = "") {
  const text = typeof reason === "string" ? reason : expect.stringMatching(reason);
  return { state: "ended", ended: expect.objectContaining({ verdict, reason: text }) };
}
function where(): string[] {
  return ["hv1", "hv2", "hv3"].flatMap((name) => {
    const found = findIn(world, name, uuid);
    return found === undefined ? [] : [`${name} ${found.state}`];
  });
}

describe("a move", () => {
  it("takes time by memory, and then the instance is on the target only", () => {
    put({ memoryMib: 2_048, autostart: true });
    expect(after(1_000, "move")).toEqual({ state: "running", percent: 50 });
    expect(where()).toEqual(["hv1 running"]);
    nowMs += 1_000;
    hv.hv1.tick();
    expect(hv.hv1.look("s")).toEqual({
      state: "ended",
      ended: { verdict: "ok", reason: "", bytes: 2_048 * 1_048_576, downtimeMs: 50 },
    });
    expect(where()).toEqual(["hv2 running"]);
    expect(findIn(world, "hv2", uuid)).toMatchObject({ autostart: true, work: undefined });
  });

  it("takes a paused guest along as it is", () => {
    put({ state: "paused" });
    expect(after(1_000, "move")).toEqual(ended("ok"));
    expect(where()).toEqual(["hv2 paused"]);
  });

  it("is slowed by its bandwidth, and by disks that are copied", () => {
    const disk = { target: "vda", kind: "file", device: "disk", source: "/a", pool: "vm", sharedAs: "" };
    put({ disks: [{ ...disk, sizeMib: 1_024, readonly: false, shareable: false }] });
    expect(after(0, "move")).toEqual(ended("failed", "disk vda of vm1 (/a) is on hv1 only"));
    hv.hv1.forget("s");
    const move = moveTo("hv2", { storage: "all", disks: ["vda"], bandwidthMib: 512 });
    expect(after(2_000, "move", { move })).toEqual({ state: "running", percent: 50 });
    nowMs += 2_000;
    hv.hv1.tick();
    expect(where()).toEqual(["hv2 running"]);
  });

  it.each<[string, Partial<SimulatedInstance>, () => void, RegExp]>([
    ["the guest's own fault", { fail: ["move"] }, () => {}, /^move failed, as was asked for/],
    ["a target that went off", {}, () => hv.hv2.powerCut(), /^hv2 cannot be reached any more/],
    [
      "a target that was rebooted",
      {},
      () => {
        hv.hv2.powerCut();
        hv.hv2.boot("hv2-b2");
      },
      /^hv2 went down meanwhile/,
    ],
    ["a target that runs it", {}, () => put({}, "hv2"), /^hv2 runs an instance of this uuid already/],
    [
      "the network",
      {},
      () => {
        world.isReachable = () => false;
      },
      /^hv2 cannot be reached/,
    ],
  ])("fails by %s, and the instance stays", (_by, change, happens, reason) => {
    put(change);
    hv.hv1.begin("s", spec("move"));
    happens();
    nowMs += 1_000;
    hv.hv1.tick();
    expect(hv.hv1.look("s")).toEqual(ended("failed", reason));
    expect(findIn(world, "hv1", uuid)).toMatchObject({ state: "running", work: undefined });
  });

  it("that makes no progress is aborted", () => {
    put({ stuck: ["move"] });
    expect(after(500 + 2_999, "move", { move: moveTo("hv2", { stuckMs: 3_000 }) })).toEqual({
      state: "running",
      percent: 50,
    });
    nowMs += 1;
    hv.hv1.tick();
    expect(hv.hv1.look("s")).toEqual(ended("failed", "no progress for 3000 ms; it is running on hv1 as before"));
  });

  it("is given up at its deadline, and on request", () => {
    put({ slow: 60 });
    expect(after(10_000, "move")).toEqual(ended("timed-out", "not done in time; it is running on hv1 as before"));
    hv.hv1.forget("s");
    hv.hv1.begin("t", spec("move"));
    hv.hv1.abort("t", "cancelled", "ann asked");
    expect(hv.hv1.look("t")).toEqual(ended("cancelled", "ann asked; it is running on hv1 as before"));
    expect(where()).toEqual(["hv1 running"]);
  });

  it("is over when the clock began anew, as it does when the machine under all simulated hosts is rebooted", () => {
    put();
    nowMs = 5_000;
    hv.hv1.begin("s", spec("move"));
    nowMs = 10;
    hv.hv1.tick();
    expect(hv.hv1.look("s")).toEqual(ended("interrupted", /clock began anew; it is running on hv1/));
  });

  it("ends when the guest shuts itself down", () => {
    put();
    hv.hv1.begin("s", spec("move"));
    put({ ...findIn(world, "hv1", uuid), state: "shutoff" });
    hv.hv1.tick();
    expect(hv.hv1.look("s")).toEqual(ended("failed", "it shut itself down on hv1 meanwhile"));
  });

  it("is not begun without a target, without memory, or twice", () => {
    put({ state: "shutoff" });
    expect(after(0, "move")).toEqual(ended("failed", /is off/));
    hv.hv1.forget("s");
    put();
    expect(after(0, "move", { move: moveTo("../hv2") })).toEqual(ended("failed", /cannot be reached/));
    hv.hv1.forget("s");
    hv.hv1.begin("first", spec("move"));
    expect(after(0, "stop")).toEqual(ended("failed", "hv1 is busy with vm1: move"));
  });

  it("goes on while nobody looks, also under another hypervisor object", () => {
    put();
    hv.hv1.begin("s", spec("move"));
    nowMs += 1_000;
    const next = new SimulatedHypervisor("hv1", world, { nowMs: () => nowMs, wallMs: () => 0 });
    expect(next.look("s")).toEqual({ state: "running", percent: 99 });
    next.tick();
    expect(where()).toEqual(["hv2 running"]);
  });
});

describe("admission", () => {
  const admit = (change: Parameters<typeof instance>[1] = {}, of = uuid) => ({
    uuid: of,
    from: "hv1",
    instance: instance(of, { name: "vm1", machineType: "q35", ...change }),
  });
  it("keeps room for those that were let in", () => {
    put();
    const half = { memoryMib: 40_000, memoryMaxMib: 40_000 };
    expect(after(0, "admit", admit(half), hv.hv2)).toEqual(ended("ok"));
    hv.hv2.forget("s");
    expect(after(0, "admit", admit(half), hv.hv2)).toEqual(ended("ok"));
    hv.hv2.forget("s");
    expect(after(0, "admit", admit(half, other), hv.hv2)).toEqual(
      ended("failed", "hv2 has 25536 MiB of memory left, vm1 needs 40000 MiB"),
    );
    hv.hv2.forget("s");
    hv.hv1.begin("m", spec("move", { timeoutMs: 1e9 }));
    put({ ...findIn(world, "hv1", uuid), stuck: ["move"] });
    nowMs += 200_000;
    expect(hv.hv2.incoming().map((one) => one.uuid)).toEqual([uuid]);
    expect(after(0, "admit", admit(half, other), hv.hv2)).toEqual(ended("failed", /25536 MiB/));
    hv.hv2.forget("s");
    hv.hv1.abort("m", "cancelled", "x");
    expect(after(0, "admit", admit(half, other), hv.hv2)).toEqual(ended("ok"));
  });

  it("keeps none for what has come and gone, or has not come by a move that is over", () => {
    put();
    const all = { memoryMib: 60_000, memoryMaxMib: 60_000 };
    expect(after(0, "admit", admit(all), hv.hv2)).toEqual(ended("ok"));
    hv.hv2.forget("s");
    expect(after(0, "look", {}, hv.hv2)).toEqual(ended("ok"));
    expect(hv.hv2.promised()).toEqual([]);
    hv.hv2.forget("s");
    expect(after(0, "admit", admit(all), hv.hv2)).toEqual(ended("ok"));
    hv.hv1.begin("m", spec("move", { timeoutMs: 1e9 }));
    nowMs += 100_000;
    hv.hv1.tick();
    expect(where()).toEqual(["hv2 running"]);
    hv.hv2.begin("n", spec("move", { move: moveTo("hv1") }));
    expect(hv.hv2.promised()).toEqual([]);
  });

  it.each<[Parameters<typeof instance>[1], string]>([
    [{ virtType: "xen" }, "hv2 runs no xen guests"],
    [{ machineType: "pc-q35-9.0" }, "hv2 does not know machine type pc-q35-9.0"],
    [{ cpuModel: "EPYC" }, "hv2 cannot run the CPU model EPYC"],
    [{ cpuFeatures: ["avx2", "amx"] }, "hv2 has no CPU feature amx, which vm1 requires"],
    [{ nics: [{ kind: "bridge", source: "br9" }] }, "hv2 has no bridge br9, which vm1 is on"],
    [{ nics: [{ kind: "network", source: "dmz" }] }, "hv2 has no network dmz, which vm1 is on"],
    [
      { devices: [{ kind: "pci", name: "0000:3b:00.0" }] },
      "hv2 does not have pci device 0000:3b:00.0, which vm1 holds",
    ],
    [{ hugepageKib: 2_048, memoryMib: 5 }, "hv2 has 1 huge pages of 2048 KiB left, vm1 needs 256"],
    [{ memoryMib: 65_535 }, "hv2 has 65534 MiB of memory left, vm1 needs 65535 MiB"],
  ])("refuses %o", (change, reason) => {
    const plain = plainHost("hv2");
    const hugepages = [{ sizeKib: 2_048, total: 1, free: 1 }];
    world.add("hv2", { ...plain, capacity: { ...plain.capacity, hugepages } });
    expect(after(0, "admit", admit(change), hv.hv2)).toEqual(ended("failed", reason));
  });

  it("refuses what it runs, and storage that it does not reach", () => {
    put({}, "hv2");
    expect(after(0, "admit", admit(), hv.hv2)).toEqual(ended("failed", "hv2 runs vm1 already"));
    hv.hv2.forget("s");
    world.remove("hv2", uuid);
    const disk = { target: "vda", kind: "file", device: "disk", source: "/a", pool: "x", sizeMib: 1 };
    const disks = [{ ...disk, sharedAs: "shared ocean", readonly: false, shareable: false }];
    expect(after(0, "admit", admit({ disks }), hv.hv2)).toEqual(
      ended("failed", "hv2 does not reach disk vda of vm1 (shared ocean)"),
    );
  });
});

describe("stop, save, start, resume, discard", () => {
  it("stop lets the guest shut itself down, and never forces it", () => {
    put();
    expect(after(499, "stop")).toEqual({ state: "running", percent: 99 });
    nowMs += 1;
    hv.hv1.tick();
    expect([hv.hv1.look("s"), ...where()]).toEqual([ended("ok"), "hv1 shutoff"]);
    put({ stuck: ["stop"] });
    hv.hv1.begin("t", spec("stop"));
    nowMs += 10_000;
    hv.hv1.tick();
    expect(hv.hv1.look("t")).toEqual(ended("timed-out", "not done in time; it is running on hv1 as before"));
  });

  it("a transient instance is gone when it stops, and is never saved", () => {
    put({ persistent: false });
    expect(after(0, "save")).toEqual(ended("failed", /transient/));
    hv.hv1.forget("s");
    expect(after(500, "stop")).toEqual(ended("ok"));
    expect(where()).toEqual([]);
  });

  it("save keeps the memory for the next start", () => {
    put();
    expect(after(1_000, "save")).toEqual(ended("ok"));
    expect(findIn(world, "hv1", uuid)).toMatchObject({ state: "shutoff", saved: true });
    hv.hv1.forget("s");
    expect(after(300, "start")).toEqual(ended("ok"));
    expect(findIn(world, "hv1", uuid)).toMatchObject({ state: "running", saved: false, stateReason: "restored" });
  });

  it("starts one that holds a device: it is this host's", () => {
    put({ state: "shutoff", devices: [{ kind: "pci", name: "0000:3b:00.0" }] });
    expect(after(300, "start")).toEqual(ended("ok"));
  });

  it.each<[InstanceVerb, Partial<SimulatedInstance> | undefined, string, RegExp]>([
    ["stop", { state: "shutoff" }, "ok", /already/],
    ["stop", { state: "paused" }, "failed", /paused/],
    ["stop", undefined, "failed", /^vm1 is not on hv1$/],
    ["save", { state: "shutoff" }, "failed", /off/],
    ["save", { state: "shutoff", saved: true }, "ok", /already/],
    ["start", { state: "running" }, "ok", /already/],
    ["start", { state: "shutoff", memoryMib: 70_000 }, "failed", /left/],
    ["resume", { state: "running" }, "ok", /already/],
    ["resume", { state: "shutoff" }, "failed", /off/],
    ["discard", undefined, "ok", /nothing/],
    ["discard", { state: "running" }, "failed", /no leftover/],
    ["discard", { state: "paused" }, "failed", /no leftover/],
    ["discard", { state: "shutoff" }, "ok", /^$/],
    ["look", undefined, "ok", /^$/],
  ])("%s of %o ends at once", (verb, change, verdict, reason) => {
    if (change !== undefined) put(change);
    expect(after(0, verb)).toEqual(ended(verdict, reason));
    expect(where().length).toBe(change === undefined || (verb === "discard" && verdict === "ok") ? 0 : 1);
  });

  it("resume lets a paused guest run on", () => {
    put({ state: "paused" });
    expect(after(300, "resume")).toEqual(ended("ok"));
    expect(where()).toEqual(["hv1 running"]);
  });
});

describe("power", () => {
  it("takes what runs with it, and the next boot starts what starts by itself, once", () => {
    put({ autostart: true });
    world.put("hv1", { ...plainInstance(other, "vm2"), persistent: false });
    hv.hv1.begin("s", spec("move"));
    hv.hv1.powerCut();
    expect(world.instances("hv1")).toMatchObject([{ uuid, state: "shutoff", work: undefined }]);
    nowMs += 5_000;
    hv.hv1.boot("hv1-b2");
    hv.hv1.tick();
    expect(where()).toEqual(["hv1 running"]);
    put({ autostart: true, state: "shutoff" });
    hv.hv1.boot("hv1-b2");
    expect(where()).toEqual(["hv1 shutoff"]);
  });

  it("that failed unseen is noticed by the next boot", () => {
    put();
    hv.hv1.boot("hv1-b2");
    expect(where()).toEqual(["hv1 shutoff"]);
  });
});

describe("whatever happens", () => {
  const names = ["hv1", "hv2", "hv3"] as const;
  const action = fc.record({
    host: fc.constantFrom(...names),
    to: fc.constantFrom(...names),
    verb: fc.constantFrom<InstanceVerb | "power" | "boot" | "abort" | "replace">(
      ...(["move", "move", "move", "stop", "start", "discard", "power", "boot", "boot", "abort", "replace"] as const),
    ),
    passMs: fc.integer({ min: 0, max: 1_500 }),
  });
  it("a persistent instance that is not discarded is on one host", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        world = new MemoryWorld();
        nowMs = 0;
        const clock = { nowMs: () => nowMs, wallMs: () => 0 };
        const hosts = new Map(
          names.map((name) => {
            world.add(name);
            return [name, new SimulatedHypervisor(name, world, clock)];
          }),
        );
        for (const host of hosts.values()) host.boot("b0");
        put();
        let discarded = false;
        for (const [n, { host: name, to, verb, passMs }] of actions.entries()) {
          const host = hosts.get(name) as SimulatedHypervisor;
          if (verb === "power") host.powerCut();
          else if (verb === "boot") host.boot(`b${n}`);
          else if (verb === "abort") host.abort(`s${n - 1}`, "cancelled", "");
          else if (verb === "replace") hosts.set(name, new SimulatedHypervisor(name, world, clock));
          else {
            const wasHere = findIn(world, name, uuid) !== undefined;
            host.begin(`s${n}`, spec(verb, verb === "move" ? { move: moveTo(to) } : {}));
            if (verb === "discard" && wasHere && findIn(world, name, uuid) === undefined) discarded = true;
          }
          nowMs += passMs;
          for (const one of hosts.values()) one.tick();
          expect(where()).toHaveLength(discarded ? 0 : 1);
        }
      }),
    );
  });
});
