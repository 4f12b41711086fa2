import { keyText, SlipwayError } from "@slipway/shared";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hookSpec, key, Process, World } from "../testing/world.ts";
import type { StepResult } from "./types.ts";

const id = keyText(key());

describe("starting a step", () => {
  it("says Hello first and sends nothing else before the Welcome", () => {
    const world = new World();
    const agent = new Process(world);
    agent.core.connected((message) => agent.sent.push(message));
    agent.core.received({ type: "start", key: key(), spec: hookSpec() });
    agent.core.tick();
    expect(agent.sent.map((message) => message.type)).toEqual(["hello"]);
    expect(world.runs.size).toBe(0);
  });

  it("takes a step that arrives together with the Welcome", () => {
    const world = new World();
    const agent = new Process(world);
    agent.core.connected((message) => agent.sent.push(message));
    agent.core.received([
      { type: "welcome", controller: "c", controllerVersion: "0", heartbeatIntervalMs: 1000 },
      { type: "start", key: key(), spec: hookSpec() },
    ]);
    expect(world.runs.get(id)).toBe(1);
    expect(agent.reports.map((r) => r.outboxId)).toEqual([1]);
  });

  it("journals, starts, reports, and drops the files once the end is acknowledged", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec("Maintenance", ["a b", "$(x)"]));
    expect(agent.reports.map((r) => [r.outboxId, r.state])).toEqual([[1, "accepted"]]);
    expect(world.tasks.get(id)?.task).toMatchObject({
      program: "/hooks/Maintenance",
      args: ["a b", "$(x)"],
      env: {
        SLIPWAY_RUN: "r1",
        SLIPWAY_HOST: "hv1",
        SLIPWAY_STAGE: "Maintenance",
        SLIPWAY_ATTEMPT: "1",
        SLIPWAY_BOOT_ID: "boot1",
        SLIPWAY_LABEL_CLUSTER: "c1",
        SLIPWAY_LABEL_RACK_ROW: "7",
      },
    });
    world.finish(id, { exitCode: 3 });
    agent.core.ended(id);
    expect(agent.lastResult(key())).toMatchObject({ verdict: "failed", reason: "exit status 3", exitCode: 3 });
    expect(world.tasks.has(id)).toBe(true);
    agent.ackAll();
    expect(world.tasks.has(id)).toBe(false);
    expect(world.journal.outbox(0, 10)).toEqual([]);
  });

  it("answers a repeated key with what is stored and starts nothing", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec()).start(key(), hookSpec());
    expect(agent.reports.at(-1)).toMatchObject({ outboxId: 0, state: "accepted" });
    world.finish(id);
    agent.core.tick();
    agent.ackAll();
    agent.start(key(), hookSpec());
    expect(agent.reports.at(-1)).toMatchObject({ outboxId: 0, state: "ended", result: { verdict: "ok" } });
    expect(world.runs.get(id)).toBe(1);
  });

  it("ignores keys of other hosts, malformed keys and specifications of another step", () => {
    const world = new World();
    const agent = new Process(world).connect();
    agent.start({ ...key(), host: "hv2" }, hookSpec());
    agent.start({ ...key(), run: "../x" }, hookSpec());
    agent.start({ ...key(), attempt: 0 }, hookSpec());
    agent.start({ ...key(), step: "rm" }, hookSpec());
    agent.start(key("PreFlight"), hookSpec("Maintenance"));
    expect(agent.reports).toEqual([]);
    expect(world.runs.size).toBe(0);
    expect(world.log.filter((line) => line.startsWith("step ignored"))).toHaveLength(5);
  });

  it("ends at once without a hook, and with a hook that must not run", () => {
    const world = new World();
    world.hooks.delete("PreFlight");
    world.hooks.set("Maintenance", {
      state: "problem",
      file: "/hooks/Maintenance",
      sha256: "",
      reason: "is a directory",
    });
    const agent = new Process(world).connect();
    agent.start(key("PreFlight"), hookSpec("PreFlight")).start(key(), hookSpec());
    expect(agent.lastResult(key("PreFlight"))).toMatchObject({ verdict: "no-hook", reason: "" });
    expect(agent.lastResult(key())).toMatchObject({ verdict: "failed", reason: "is a directory" });
    expect(world.runs.size).toBe(0);
  });

  it("refuses a second hook, or a reboot, while a hook is in hand", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec());
    agent.start(key("Maintenance", 2), hookSpec()).start(key("reboot"), { kind: "reboot", timeoutMs: 1 });
    for (const other of [key("Maintenance", 2), key("reboot")])
      expect(agent.lastResult(other)).toMatchObject({
        verdict: "failed",
        reason: "refused: r1/hv1/Maintenance/1 is still in hand on this host",
      });
    expect(world.reboots).toBe(0);
  });

  it("reports a step that does nothing once, when it has ended", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key("noop"), { kind: "noop" });
    expect(agent.reports).toMatchObject([{ outboxId: 1, state: "ended", result: { verdict: "ok" } }]);
    agent.start(key("noop"), { kind: "noop" });
    expect(agent.reports.slice(1)).toMatchObject([{ outboxId: 0, state: "ended", result: { verdict: "ok" } }]);
  });

  it("takes a burst in one transaction", () => {
    const world = new World();
    const agent = new Process(world).connect();
    agent.core.received(
      [1, 2, 3].map((n) => ({ type: "start", key: key("noop", n), spec: { kind: "noop" } }) as const),
    );
    expect(agent.reports.filter((r) => r.state === "ended")).toHaveLength(3);
  });
});

describe("verdicts", () => {
  const cases: [string, Parameters<World["finish"]>[1], Partial<StepResult>][] = [
    ["PreFlight", { exitCode: 70 }, { verdict: "avoid" }],
    ["PreMaintenance", { exitCode: 70 }, { verdict: "avoid" }],
    ["Maintenance", { exitCode: 70 }, { verdict: "ok", exitCode: 70 }],
    ["PostMaintenance", { exitCode: 70 }, { verdict: "ok" }],
    ["Maintenance", { timedOut: true, signal: "SIGKILL" }, { verdict: "timed-out", reason: "not done after 1000 ms" }],
    ["Maintenance", { signal: "SIGSEGV" }, { verdict: "failed", reason: "ended by SIGSEGV" }],
    ["Maintenance", { startError: "no such file" }, { verdict: "failed", reason: "no such file" }],
    ["Maintenance", { exitCode: 143 }, { verdict: "failed", reason: "exit status 143" }],
  ];
  it.each(cases)("%s %o", (stage, change, expected) => {
    const world = new World();
    const stepKey = key(stage);
    const agent = new Process(world).connect().start(stepKey, hookSpec(stage as "PreFlight"));
    world.finish(keyText(stepKey), change);
    agent.core.tick();
    expect(agent.lastResult(stepKey)).toMatchObject(expected);
  });
});

describe("cancelling", () => {
  it("ends a running hook and says why", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec());
    agent.core.received({ type: "cancel", key: key(), reason: "aborted by ann" });
    agent.core.tick();
    expect(agent.lastResult(key())).toMatchObject({ verdict: "cancelled", reason: "aborted by ann" });
  });
  it("answers for unknown and ended keys", () => {
    const world = new World();
    const agent = new Process(world).connect();
    agent.core.received({ type: "cancel", key: key(), reason: "x" });
    expect(agent.reports.at(-1)).toMatchObject({ outboxId: 0, state: "unknown" });
    agent.start(key("noop"), { kind: "noop" });
    agent.core.received({ type: "cancel", key: key("noop"), reason: "x" });
    expect(agent.reports.at(-1)).toMatchObject({ outboxId: 0, state: "ended", result: { verdict: "ok" } });
  });
  it("keeps a step from ever starting that was cancelled before it did", () => {
    const world = new World();
    new Process(world).connect().start(key(), hookSpec());
    world.tasks.delete(id);
    world.runs.clear();
    world.journal.requestCancel(key(), "aborted");
    const agent = new Process(world).connect();
    agent.core.tick();
    expect(world.runs.size).toBe(0);
    expect(agent.lastResult(key())).toMatchObject({ verdict: "cancelled", reason: "aborted" });
  });
  it("survives a crash between the request and its execution", () => {
    const world = new World();
    new Process(world).connect().start(key(), hookSpec());
    world.journal.requestCancel(key(), "aborted");
    const agent = new Process(world).connect();
    agent.core.tick();
    expect(agent.lastResult(key())).toMatchObject({ verdict: "cancelled", reason: "aborted" });
  });
});

describe("recovering", () => {
  it("starts a step that was journalled but provably never started", () => {
    const world = new World();
    new Process(world).connect().start(key(), hookSpec());
    world.tasks.delete(id);
    world.runs.clear();
    new Process(world);
    expect(world.runs.get(id)).toBe(1);
  });
  it("does not start a hook that was exchanged meanwhile", () => {
    const world = new World();
    new Process(world).connect().start(key(), hookSpec());
    world.tasks.delete(id);
    world.runs.clear();
    world.hooks.set("Maintenance", { state: "found", file: "/hooks/Maintenance", sha256: "cd" });
    const agent = new Process(world).connect();
    agent.core.tick();
    expect(world.runs.size).toBe(0);
    expect(agent.lastResult(key())?.reason).toBe(
      "not started: /hooks/Maintenance is not the file any more that the step was accepted with",
    );
  });
  it("journals a result that came while no agent was there", () => {
    const world = new World();
    new Process(world).connect().start(key(), hookSpec());
    world.finish(id);
    const agent = new Process(world).connect();
    expect(agent.reports.map((r) => r.state)).toEqual(["accepted", "ended"]);
  });
  it("calls a hook cut off by a reboot interrupted, with both boot ids", () => {
    const world = new World();
    new Process(world).connect().start(key(), hookSpec());
    world.powerCycle();
    const agent = new Process(world).connect();
    expect(agent.lastResult(key())).toMatchObject({
      verdict: "interrupted",
      reason: "the host went down while the hook ran (boot boot1 => boot2)",
      bootIdBefore: "boot1",
      bootIdAfter: "boot2",
      output: "half",
    });
  });
  it("calls a hook whose runner was killed interrupted, without a reboot", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec());
    world.powerCycle();
    world.boots = 1;
    agent.core.tick();
    expect(agent.lastResult(key())).toMatchObject({
      verdict: "interrupted",
      reason: "its runner is gone; the host did not reboot",
    });
  });
  it("proves a reboot by the boot id, and asks again while it has not happened", () => {
    const world = new World();
    new Process(world).connect().start(key("reboot"), { kind: "reboot", timeoutMs: 1 });
    expect(world.reboots).toBe(1);
    new Process(world);
    expect(world.reboots).toBe(2);
    world.powerCycle();
    const agent = new Process(world).connect();
    expect(world.reboots).toBe(2);
    expect(agent.lastResult(key("reboot"))).toMatchObject({
      verdict: "ok",
      bootIdBefore: "boot1",
      bootIdAfter: "boot2",
    });
  });
  it("gives up a reboot that never changes the boot id, rather than reboot for ever", () => {
    const world = new World();
    new Process(world).connect().start(key("reboot"), { kind: "reboot", timeoutMs: 1 });
    for (let i = 0; i < 10; i++) new Process(world).connect();
    expect(world.reboots).toBe(5);
    expect(new Process(world).connect().lastResult(key("reboot"))).toMatchObject({
      verdict: "failed",
      reason: expect.stringMatching(/^asked 5 times for a reboot, and the boot id is still boot1; /),
    });
  });

  it("ends a reboot that the machine refused", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key("reboot"), { kind: "reboot", timeoutMs: 1 });
    world.rebootFailed?.("systemctl: access denied");
    expect(agent.lastResult(key("reboot"))).toMatchObject({ verdict: "failed", reason: "systemctl: access denied" });
  });
  it("drops files whose end was acknowledged just before a crash", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec());
    world.finish(id);
    agent.core.tick();
    world.journal.ack([1, 2]);
    new Process(world);
    expect(world.tasks.has(id)).toBe(false);
  });
});

describe("the outbox", () => {
  it("is sent again after a reconnect, and after ten silent seconds, until acknowledged", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key("inspect"), { kind: "inspect" });
    const outboxIds = () => agent.reports.map((r) => r.outboxId);
    expect(outboxIds()).toEqual([1, 2]);
    agent.core.disconnected();
    agent.connect();
    expect(outboxIds()).toEqual([1, 2, 1, 2]);
    agent.core.received({ type: "ack", ids: [1] });
    world.nowMs += 9_999;
    agent.core.tick();
    expect(outboxIds()).toHaveLength(4);
    world.nowMs += 1;
    agent.core.tick();
    expect(outboxIds()).toEqual([1, 2, 1, 2, 2]);
    agent.core.received({ type: "ack", ids: [2, 99] });
    world.nowMs += 60_000;
    agent.core.tick();
    expect(outboxIds()).toHaveLength(5);
  });
  it("goes out in windows", () => {
    const world = new World();
    for (let n = 1; n <= 100; n++) new Process(world).connect().start(key("inspect", n), { kind: "inspect" });
    const agent = new Process(world).connect();
    expect(agent.reports).toHaveLength(128);
    agent.ackAll();
    expect(agent.reports.map((r) => r.outboxId)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
  });
});

describe("a full disk", () => {
  it("starts nothing, says so once, tells the controller, and takes the repeated start when there is room", () => {
    const world = new World();
    const agent = new Process(world).connect();
    world.journalFails = true;
    agent.start(key(), hookSpec()).start(key(), hookSpec());
    expect(world.runs.size).toBe(0);
    expect(agent.reports).toEqual([]);
    expect(world.log.filter((line) => line.startsWith("state: cannot be kept"))).toHaveLength(1);
    expect(agent.sent).toContainEqual({
      type: "progress",
      key: key(),
      message: expect.stringContaining("disk is full"),
    });
    world.journalFails = false;
    agent.start(key(), hookSpec());
    expect(world.runs.get(id)).toBe(1);
    expect(world.log.at(-1)).toContain("can be kept again");
  });
  it("keeps the verdict with the executor until it can be journalled", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec());
    world.finish(id);
    world.journalFails = true;
    agent.core.ended(id);
    agent.core.tick();
    expect(agent.lastResult(key())).toBeUndefined();
    world.journalFails = false;
    agent.core.tick();
    expect(agent.lastResult(key())).toMatchObject({ verdict: "ok" });
  });
  it("tries a start again that failed for want of room, and ends one that failed otherwise", () => {
    const world = new World();
    const agent = new Process(world).connect();
    world.startFails = new SlipwayError("out-of-space", "disk is full");
    agent.start(key(), hookSpec());
    world.startFails = undefined;
    world.nowMs += 5_000;
    agent.core.tick();
    expect(world.runs.get(id)).toBe(1);
    world.finish(id);
    agent.core.tick();
    world.startFails = new SlipwayError("internal", "permission denied");
    agent.start(key("Maintenance", 2), hookSpec());
    agent.core.tick();
    expect(agent.lastResult(key("Maintenance", 2))?.reason).toBe("not started: permission denied");
  });
});

describe("progress, heartbeats, questions", () => {
  it("sends progress when it changes and heartbeats at the asked interval", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec());
    const task = world.tasks.get(id);
    if (task === undefined) throw new Error("not started");
    task.progress = { percent: 40, message: "packages" };
    for (let i = 0; i < 4; i++) {
      agent.core.tick();
      world.nowMs += 400;
    }
    expect(agent.sent.filter((m) => m.type === "progress")).toEqual([
      { type: "progress", key: key(), percent: 40, message: "packages" },
    ]);
    expect(agent.sent.filter((m) => m.type === "heartbeat")).toEqual([
      { type: "heartbeat", seq: 1, running: [key()], inventorySeq: 1, inventoryAgeMs: 0 },
      { type: "heartbeat", seq: 2, running: [key()], inventorySeq: 1, inventoryAgeMs: 0 },
    ]);
  });
  it("echoes the nonce of a hook refresh", () => {
    const agent = new Process(new World()).connect();
    agent.core.received({ type: "refresh-hooks", nonce: 9n });
    expect(agent.sent.at(-1)).toMatchObject({ type: "hooks", nonce: 9n });
  });
});

describe("any sequence of events", () => {
  type Event = { do: string; n: number };
  const event: fc.Arbitrary<Event> = fc.record({
    do: fc.constantFrom(
      "start",
      "start",
      "cancel",
      "crash",
      "boot",
      "ack",
      "disconnect",
      "connect",
      "finish",
      "tick",
      "full",
      "room",
    ),
    n: fc.integer({ min: 1, max: 4 }),
  });
  it("runs a hook at most once, has one result per key, and loses no report", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const world = new World();
        const results = new Map<string, string>();
        const acked = new Set<number>();
        const reported = new Map<number, string>();
        let agent = new Process(world).connect();
        const check = () => {
          for (const report of agent.reports) {
            if (report.outboxId > 0) {
              const text = JSON.stringify(report);
              if (report.state === "ended") expect(reported.get(report.outboxId) ?? text).toBe(text);
              if (report.state === "ended") reported.set(report.outboxId, text);
            }
            if (report.result === undefined) continue;
            const text = JSON.stringify(report.result);
            const k = keyText(report.key);
            expect(results.get(k) ?? text).toBe(text);
            results.set(k, text);
          }
          for (const runs of world.runs.values()) expect(runs).toBe(1);
          const left = new Set(world.journal.outbox(0, 1000).map((entry) => entry.id));
          for (const outboxId of acked) expect(left.has(outboxId)).toBe(false);
          for (const outboxId of reported.keys()) expect(left.has(outboxId)).toBe(!acked.has(outboxId));
        };
        for (const { do: what, n } of events) {
          const k = key("Maintenance", n);
          if (what === "start") agent.start(k, hookSpec());
          else if (what === "cancel") agent.core.received({ type: "cancel", key: k, reason: "x" });
          else if (what === "finish") world.finish(keyText(k), { exitCode: n % 2 });
          else if (what === "tick") {
            world.nowMs += 3_000 * n;
            agent.core.tick();
          } else if (what === "disconnect") agent.core.disconnected();
          else if (what === "connect") agent.connect();
          else if (what === "full") world.journalFails = true;
          else if (what === "room") world.journalFails = false;
          else if (what === "ack") {
            const ids = agent.reports.map((r) => r.outboxId).filter((x) => x > 0 && x % n === 0);
            const before = new Set(world.journal.outbox(0, 1000).map((entry) => entry.id));
            agent.core.received({ type: "ack", ids });
            for (const entry of world.journal.outbox(0, 1000)) before.delete(entry.id);
            for (const gone of before) acked.add(gone);
          } else {
            check();
            if (what === "boot") world.powerCycle();
            agent = new Process(world).connect();
          }
          check();
        }
        // In the end, with room and a controller, everything accepted ends.
        world.journalFails = false;
        for (let n = 1; n <= 4; n++) {
          world.finish(keyText(key("Maintenance", n)));
          world.nowMs += 10_000;
          agent.core.tick();
          world.finish(keyText(key("Maintenance", n)));
          agent.core.tick();
        }
        expect(world.journal.open()).toEqual([]);
        check();
      }),
      { numRuns: 300 },
    );
  });
});

describe("what the host says of itself", () => {
  const facts = {
    rebootWanted: "/run/reboot-required exists",
    rebootUnknown: "",
    kernelRunning: "k",
    kernelNewest: "",
    uptimeMs: 7,
  };
  it("comes with the end of an inspection, a Maintenance hook and a reboot, however long it takes to answer", () => {
    const world = new World();
    world.facts = null;
    const agent = new Process(world).connect().start(key("inspect"), { kind: "inspect" }).start(key(), hookSpec());
    world.finish(id);
    agent.core.tick();
    expect(agent.reports.map((r) => r.state)).toEqual(["accepted", "accepted"]);
    world.facts = facts;
    agent.core.tick();
    expect(agent.lastResult(key("inspect"))).toMatchObject({ verdict: "ok", host: facts, hooks: { dir: "/hooks" } });
    expect(agent.lastResult(key())).toMatchObject({ verdict: "ok", host: facts });
    agent.start(key("PostMaintenance"), hookSpec("PostMaintenance"));
    world.finish(keyText(key("PostMaintenance")));
    agent.core.tick();
    expect(agent.lastResult(key("PostMaintenance"))).not.toHaveProperty("host");
  });
});

describe("a host that goes down while a hook runs", () => {
  it("is waited for: what became of the hook is said after the boot", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec());
    world.finish(id, { exitCode: 143, stoppedBy: "shutdown" });
    agent.core.tick();
    world.nowMs += 60_000;
    agent.core.tick();
    expect(agent.lastResult(key())).toBeUndefined();
    world.powerCycle();
    const next = new Process(world).connect();
    expect(next.lastResult(key())).toMatchObject({
      verdict: "interrupted",
      reason: "the host was shut down while the hook ran (boot boot1 => boot2)",
      bootIdBefore: "boot1",
      bootIdAfter: "boot2",
    });
  });
  it("but not for ever", () => {
    const world = new World();
    const agent = new Process(world).connect().start(key(), hookSpec());
    world.finish(id, { exitCode: 143, stoppedBy: "shutdown" });
    agent.core.tick();
    world.nowMs += 180_000;
    agent.core.tick();
    expect(agent.lastResult(key())).toMatchObject({ verdict: "interrupted", bootIdAfter: "boot1" });
  });
});
