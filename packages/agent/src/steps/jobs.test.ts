import { type InstanceLook, type InstanceVerb, keyText, type SystemHealth } from "@slipway/shared";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { TestJobs, TestPlatform } from "../testing/jobs.ts";
import { hookSpec, key, Process, World } from "../testing/world.ts";
import type { InstanceSpec, ProbeSpec, ServiceSpec, StepSpec } from "./types.ts";

const uuid = "11111111-1111-4111-8111-111111111111";
const other = "22222222-2222-4222-8222-222222222222";
const look: InstanceLook = {
  problem: "",
  present: true,
  state: "running",
  job: "",
  generation: 0,
  bytes: 0n,
  downtimeMs: 0,
};

let world: World;
let platform: TestPlatform;
beforeEach(() => {
  world = new World();
  platform = world.platform = new TestPlatform();
});

function instanceSpec(verb: InstanceVerb, generation = 1, of = uuid): InstanceSpec {
  return { kind: "instance", verb, uuid: of, name: "vm1", generation, timeoutMs: 1_000 };
}
function instanceKey(verb: InstanceVerb, attempt = 1, run = "r1", of = uuid) {
  return key(`${verb}:${of}`, attempt, run);
}
function begin(agent: Process, verb: InstanceVerb, generation = 1, attempt = 1, run = "r1", of = uuid) {
  agent.start(instanceKey(verb, attempt, run, of), instanceSpec(verb, generation, of));
  return agent.lastResult(instanceKey(verb, attempt, run, of));
}
const moveId = `r1/hv1/move:${uuid}/1`;

describe("a step that is done to an instance", () => {
  it("is journalled, started once, and ends with what the platform says", () => {
    const agent = new Process(world).connect();
    begin(agent, "move", 7);
    begin(agent, "move", 7);
    agent.core.tick();
    expect(platform.calls).toEqual([`start ${moveId}`]);
    platform.progress(moveId, { percent: 30, message: "memory" });
    agent.core.tick();
    expect(agent.sent).toContainEqual({
      type: "progress",
      key: instanceKey("move"),
      percent: 30,
      message: "memory",
    });
    platform.finish(moveId, { reason: "it is on hv2 now", output: "é", instance: { ...look, present: false } });
    agent.core.ended(moveId);
    expect(agent.lastResult(instanceKey("move"))).toMatchObject({
      verdict: "ok",
      reason: "it is on hv2 now",
      output: "é",
      outputBytes: 2,
      startedAtMs: 5,
      endedAtMs: 9,
      durationMs: 4,
      instance: { ...look, present: false, generation: 7 },
    });
    agent.ackAll();
    expect(platform.calls).toEqual([`start ${moveId}`, `forget ${moveId}`]);
    expect(world.journal.outbox(0, 10)).toEqual([]);
  });

  it("is taken up after a restart of the agent, never started again", () => {
    begin(new Process(world).connect(), "move");
    platform.restart();
    const second = new Process(world).connect();
    second.core.tick();
    expect(platform.calls).toEqual([`start ${moveId}`, `resume ${moveId}`]);
    platform.finish(moveId, { verdict: "interrupted", reason: "nobody knows of it" });
    second.core.tick();
    expect(second.lastResult(instanceKey("move"))).toMatchObject({
      verdict: "interrupted",
      reason: "nobody knows of it",
    });
  });

  it("that was journalled and not started when the agent died is taken up as well", () => {
    world.platform = Object.assign(new TestPlatform(), {
      start: () => {
        throw new Error("killed");
      },
    });
    begin(new Process(world).connect(), "stop");
    world.platform = platform;
    new Process(world);
    expect(platform.calls).toEqual([`resume r1/hv1/stop:${uuid}/1`]);
  });

  it("is cancelled through the platform, once in a process, and its own verdict counts", () => {
    const agent = new Process(world).connect();
    begin(agent, "move");
    agent.core.received({ type: "cancel", key: instanceKey("move"), reason: "ann asked" });
    agent.core.tick();
    expect(platform.calls).toEqual([`start ${moveId}`, `cancel ${moveId}: ann asked`]);
    platform.restart();
    const second = new Process(world).connect();
    expect(platform.calls.slice(2)).toEqual([`resume ${moveId}`, `cancel ${moveId}: ann asked`]);
    platform.finish(moveId, { verdict: "cancelled", instance: look });
    second.core.tick();
    expect(second.lastResult(instanceKey("move"))).toMatchObject({ verdict: "cancelled", reason: "ann asked" });
  });

  it("does not keep a hook from running, nor a hook it", () => {
    const agent = new Process(world).connect().start(key(), hookSpec());
    begin(agent, "stop");
    agent.start(key("PreFlight"), hookSpec("PreFlight"));
    expect(platform.calls).toEqual([`start r1/hv1/stop:${uuid}/1`]);
    expect(agent.lastResult(key("PreFlight"))?.reason).toContain("is still in hand on this host");
    begin(agent, "stop", 1, 1, "r1", other);
    expect(platform.calls).toHaveLength(2);
  });

  it("is refused while another one is in hand for the same instance; a look is not", () => {
    const agent = new Process(world).connect();
    begin(agent, "move");
    expect(begin(agent, "stop")).toMatchObject({
      verdict: "failed",
      reason: `refused: ${moveId} is still in hand for instance vm1`,
    });
    expect(begin(agent, "look")).toBeUndefined();
    expect(platform.calls).toEqual([`start ${moveId}`, `start r1/hv1/look:${uuid}/1`]);
    platform.finish(moveId);
    agent.core.tick();
    expect(begin(agent, "stop", 1, 2)).toBeUndefined();
  });

  it("ends at once where there is no platform, and when it has gone since", () => {
    begin(new Process(world).connect(), "move");
    world.platform = undefined;
    const agent = new Process(world).connect();
    expect(agent.lastResult(instanceKey("move"))).toMatchObject({
      verdict: "interrupted",
      reason: expect.stringMatching(/^this host has no platform: .*; what became of the step is not known$/),
    });
    expect(begin(agent, "admit")).toMatchObject({
      verdict: "failed",
      reason: expect.stringContaining("set slipway.platform in its agent.properties"),
    });
    expect(world.journal.generation(uuid)).toBe(1);
  });

  it.each([
    ["move", instanceSpec("move")],
    [`move:${uuid.toUpperCase().replace(/1/g, "A")}`, instanceSpec("move")],
    ["move:../etc", { ...instanceSpec("move"), uuid: "../etc" }],
    [`stop:${uuid}`, instanceSpec("move")],
    [`move:${other}`, instanceSpec("move")],
    [`toString:${uuid}`, instanceSpec("move")],
    ["probe:a/b", { kind: "probe", system: "a/b", settings: {}, timeoutMs: 1, going: [] }],
    ["service-stop:", { kind: "service", verb: "service-stop", service: "etcd", name: "", settings: {}, timeoutMs: 1 }],
  ] satisfies [string, StepSpec][])("is ignored when its key is %s", (step, spec) => {
    const agent = new Process(world).connect().start(key(step), spec);
    expect(platform.calls).toEqual([]);
    expect(agent.reports).toEqual([]);
    expect(world.log.at(-1)).toMatch(/^step ignored: /);
  });
});

describe("any sequence of events", () => {
  const event = fc.record({
    do: fc.constantFrom("start", "start", "cancel", "crash", "finish", "fail", "ack", "disk", "tick", "batch"),
    n: fc.integer({ min: 1, max: 3 }),
  });
  it("starts each step once at most, and its first result is the only one", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        world = new World();
        platform = world.platform = new TestPlatform();
        let agent = new Process(world).connect();
        const results = new Map<string, string>();
        for (const { do: what, n } of events) {
          const [stepKey, id] = [instanceKey("stop", n), `r1/hv1/stop:${uuid}/${n}`];
          const start = { type: "start", key: stepKey, spec: instanceSpec("stop") } as const;
          const cancel = { type: "cancel", key: stepKey, reason: "c" } as const;
          if (what === "start") agent.core.received(start);
          else if (what === "cancel") agent.core.received(cancel);
          else if (what === "batch") agent.core.received([start, cancel]);
          else if (what === "crash") {
            platform.restart();
            world.journalFails = false;
            agent = new Process(world).connect();
          } else if (what === "finish" || what === "fail") {
            if (platform.look(id).state === "running")
              platform.finish(id, { verdict: what === "fail" ? "failed" : "ok", reason: `${results.size}` });
          } else if (what === "ack") agent.ackAll();
          else if (what === "disk") world.journalFails = !world.journalFails;
          else agent.core.tick();
          for (const { key: reported, result } of agent.reports) {
            if (result === undefined) continue;
            const text = `${result.verdict} ${result.reason}`;
            const known = results.get(keyText(reported));
            expect(known ?? text).toBe(text);
            results.set(keyText(reported), text);
          }
        }
        const starts = platform.calls.filter((call) => call.startsWith("start "));
        expect(new Set(starts).size).toBe(starts.length);
      }),
    );
  });
});

describe("generations", () => {
  it("rise with every step and outlive the agent; a lower one is refused", () => {
    const agent = new Process(world).connect();
    begin(agent, "look", 5);
    expect(world.journal.generation(uuid)).toBe(5);
    const second = new Process(world).connect();
    expect(begin(second, "start", 4)).toMatchObject({
      verdict: "failed",
      reason: "refused: generation 4 of instance vm1 is over, this host knows of 5; look at it again",
    });
    expect(begin(second, "start", 5, 2)).toBeUndefined();
    expect(platform.calls.filter((call) => call.startsWith("start"))).toHaveLength(2);
  });

  it("that are too low are told by a look", () => {
    const agent = new Process(world).connect();
    world.journal.raiseGeneration(uuid, 9);
    begin(agent, "look", 2);
    platform.finish(`r1/hv1/look:${uuid}/1`, { instance: look });
    agent.core.tick();
    expect(agent.lastResult(instanceKey("look"))?.instance?.generation).toBe(9);
  });

  it("are not raised by a step that is refused", () => {
    const agent = new Process(world).connect();
    agent.core.received({ type: "set-cordon", holder: "operator", reason: "" });
    begin(agent, "admit", 3);
    expect(world.journal.generation(uuid)).toBe(0);
  });

  it("are raised in one transaction with the acceptance", () => {
    const agent = new Process(world).connect();
    world.journalFails = true;
    begin(agent, "admit", 3);
    expect([world.journal.generation(uuid), world.journal.open().length]).toEqual([0, 0]);
    expect(platform.calls).toEqual([]);
  });
});

describe("a cordoned host", () => {
  it("takes no instance but for the runs that hold it", () => {
    const agent = new Process(world).connect();
    agent.core.received({ type: "set-cordon", holder: "r7, r8", reason: "kernel" });
    for (const [attempt, verb] of (["admit", "start"] as const).entries())
      expect(begin(agent, verb, 1, attempt + 1)).toMatchObject({
        verdict: "failed",
        reason: "refused: this host is cordoned by r7, r8 (kernel); choose another one, or uncordon it",
      });
    expect(begin(agent, "stop")).toBeUndefined();
    expect(begin(agent, "admit", 1, 1, "r8", other)).toBeUndefined();
    expect(begin(agent, "admit", 1, 1, "r", other)?.verdict).toBe("failed");
  });

  it("stays cordoned across a restart of the agent, until it is uncordoned", () => {
    const first = new Process(world).connect();
    first.core.received({ type: "set-cordon", holder: "operator", reason: "" });
    const second = new Process(world).connect();
    expect(begin(second, "start")?.reason).toContain("cordoned by operator;");
    second.core.received([
      { type: "set-cordon", holder: "", reason: "" },
      { type: "start", key: instanceKey("start", 2), spec: instanceSpec("start") },
    ]);
    expect(platform.calls).toEqual([`start r1/hv1/start:${uuid}/2`]);
    expect(world.journal.cordon()).toBeUndefined();
  });
});

describe("probes and services", () => {
  const probe: ProbeSpec = { kind: "probe", system: "etcd", settings: {}, timeoutMs: 1, going: ["hv2"] };
  const service: ServiceSpec = {
    kind: "service",
    verb: "service-stop",
    service: "systemd",
    name: "nginx.service",
    settings: {},
    timeoutMs: 1,
  };

  it("are done by ports of their own", () => {
    const probes = new TestJobs<ProbeSpec>();
    const services = new TestJobs<ServiceSpec>();
    Object.assign(world, { probes, services });
    const agent = new Process(world).connect();
    agent.start(key("probe:main"), probe).start(key("service-stop:nginx.service"), service);
    const health: SystemHealth = {
      system: "etcd",
      identity: "c",
      state: "healthy",
      reasons: [],
      sets: [],
      goingVerdict: "",
      goingReasons: [],
      evidence: [],
      version: "3.5",
    };
    probes.finish("r1/hv1/probe:main/1", { health });
    services.finish("r1/hv1/service-stop:nginx.service/1", { verdict: "failed", reason: "guard" });
    agent.core.tick();
    expect(agent.lastResult(key("probe:main"))).toMatchObject({ verdict: "ok", health });
    expect(agent.lastResult(key("service-stop:nginx.service"))).toMatchObject({ verdict: "failed", reason: "guard" });
    expect(platform.calls).toEqual([]);
  });

  it("fail where there is nobody to do them", () => {
    const agent = new Process(world).connect();
    agent.start(key("probe:etcd"), probe).start(key("service-stop:x"), service);
    expect(agent.lastResult(key("probe:etcd"))).toMatchObject({ verdict: "failed", reason: "this host has no probes" });
    expect(agent.lastResult(key("service-stop:x"))?.verdict).toBe("failed");
  });
});
