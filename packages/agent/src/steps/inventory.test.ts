import type { Inventory } from "@slipway/shared";
import { beforeEach, describe, expect, it } from "vitest";
import { instance, inventoryOf, TestPlatform } from "../testing/jobs.ts";
import { key, Process, World } from "../testing/world.ts";

const uuid = "11111111-1111-4111-8111-111111111111";
let world: World;
let platform: TestPlatform;
beforeEach(() => {
  world = new World();
  platform = world.platform = new TestPlatform();
});

function told(agent: Process): Inventory[] {
  return agent.sent.flatMap((message) => (message.type === "inventory" ? [message.inventory] : []));
}
function lastHeartbeat(agent: Process) {
  return agent.sent.findLast((message) => message.type === "heartbeat");
}

describe("the inventory", () => {
  it("of a host without a platform says so", () => {
    world.platform = undefined;
    const agent = new Process(world).connect();
    agent.core.tick();
    expect(told(agent)).toEqual([{ seq: 1, platform: "none", problem: "", instances: [], cordonedBy: "" }]);
    expect(lastHeartbeat(agent)).toMatchObject({ inventorySeq: 1, inventoryAgeMs: 0 });
  });

  it("is told once there is a reading, and again when it differs", () => {
    const agent = new Process(world).connect();
    agent.core.tick();
    expect(told(agent)).toEqual([]);
    expect(lastHeartbeat(agent)).toMatchObject({ inventorySeq: 0 });
    platform.reading = inventoryOf(instance(uuid));
    agent.core.tick();
    platform.reading = inventoryOf(instance(uuid));
    agent.core.tick();
    expect(told(agent)).toEqual([{ ...inventoryOf(instance(uuid)), seq: 1 }]);
    platform.reading = inventoryOf(instance(uuid, { state: "paused" }));
    agent.core.tick();
    platform.reading = { ...inventoryOf(), problem: "libvirtd does not answer" };
    agent.core.tick();
    expect(told(agent).map(({ seq, problem }) => [seq, problem])).toEqual([
      [1, ""],
      [2, ""],
      [3, "libvirtd does not answer"],
    ]);
  });

  it("is told to everybody who listens anew, with the same seq while nothing has changed", () => {
    platform.reading = inventoryOf(instance(uuid));
    const agent = new Process(world).connect();
    agent.core.disconnected();
    agent.core.tick();
    agent.connect();
    expect(told(agent).map(({ seq }) => seq)).toEqual([1, 1]);
  });

  it("has the cordon mark and the generations out of the journal", () => {
    platform.reading = inventoryOf(instance(uuid));
    world.journal.raiseGeneration(uuid, 4);
    const agent = new Process(world).connect();
    agent.core.received({ type: "set-cordon", holder: "r1", reason: "" });
    agent.core.received({ type: "set-cordon", holder: "r1", reason: "" });
    agent.start(key(`look:${uuid}`), {
      kind: "instance",
      verb: "look",
      uuid,
      name: "vm",
      generation: 5,
      timeoutMs: 1,
    });
    agent.core.received({ type: "set-cordon", holder: "", reason: "" });
    expect(told(agent).map((one) => [one.seq, one.cordonedBy, one.instances[0]?.generation])).toEqual([
      [1, "", 4],
      [2, "r1", 4],
      [3, "r1", 5],
      [4, "", 5],
    ]);
  });

  it("says how old the reading is that a mark was added to", () => {
    platform.reading = inventoryOf(instance(uuid));
    const agent = new Process(world).connect();
    world.nowMs += 4_000;
    agent.core.received({ type: "set-cordon", holder: "r1", reason: "" });
    expect(agent.sent.flatMap((m) => (m.type === "inventory" ? [m.ageMs] : []))).toEqual([0, 4_000]);
  });

  it("comes before the end of the step that changed it", () => {
    platform.reading = inventoryOf(instance(uuid));
    const agent = new Process(world).connect();
    const spec = { kind: "instance", verb: "discard", uuid, name: "vm", generation: 1, timeoutMs: 1 } as const;
    agent.start(key(`discard:${uuid}`), spec);
    agent.sent.length = 0;
    platform.reading = inventoryOf();
    platform.finish(`r1/hv1/discard:${uuid}/1`);
    agent.core.tick();
    expect(agent.sent.map((message) => message.type).filter((type) => type !== "heartbeat")).toEqual([
      "inventory",
      "report",
    ]);
  });

  it("is as old as the last reading, changed or not", () => {
    platform.reading = inventoryOf();
    platform.readMs = 100;
    world.nowMs = 2_500;
    const agent = new Process(world).connect();
    agent.core.tick();
    expect(lastHeartbeat(agent)).toMatchObject({ inventorySeq: 1, inventoryAgeMs: 2_400 });
  });
});
