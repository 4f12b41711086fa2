import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { defaults } from "@slipway/shared";
import { agentWire } from "@slipway/shared/wire";
import { describe, expect, it } from "vitest";
import type { Outgoing } from "../steps/types.ts";
import { noRequests } from "../steps/verdict.ts";
import { instance, inventoryOf } from "../testing/jobs.ts";
import { fromWire, toWire } from "./convert.ts";

const key = { run: "r1", host: "hv1", step: "Maintenance", attempt: 2 };
type StartInit = MessageInitShape<typeof agentWire.StartStepSchema>;
type Init = Parameters<typeof create<typeof agentWire.SessionResponseSchema>>[1];

function incoming(message: NonNullable<Init>["message"]) {
  return fromWire(create(agentWire.SessionResponseSchema, message === undefined ? {} : { message }));
}
function overTheWire(message: Outgoing) {
  const schema = agentWire.SessionRequestSchema;
  return fromBinary(schema, toBinary(schema, create(schema, toWire(message)))).message;
}

describe("what the controller says", () => {
  it("becomes a message of the core", () => {
    const hook = { stage: "Maintenance", args: ["a b", ""], timeoutMs: 7n, graceMs: 0n };
    expect(incoming({ case: "start", value: { key, spec: { case: "hook", value: hook } } })).toEqual({
      type: "start",
      key,
      spec: { kind: "hook", stage: "Maintenance", args: ["a b", ""], timeoutMs: 7, graceMs: defaults.graceMs },
    });
    expect(
      incoming({ case: "start", value: { key, spec: { case: "reboot", value: { timeoutMs: 2n ** 63n } } } }),
    ).toEqual({
      type: "start",
      key,
      spec: { kind: "reboot", timeoutMs: 2_147_483_647 },
    });
    expect(incoming({ case: "cancel", value: { key, reason: "x" } })).toEqual({ type: "cancel", key, reason: "x" });
    expect(incoming({ case: "query", value: { key } })).toEqual({ type: "query", key });
    expect(incoming({ case: "ack", value: { outboxIds: [1n, 2n ** 60n, 3n] } })).toEqual({ type: "ack", ids: [1, 3] });
    expect(incoming({ case: "refreshHooks", value: { nonce: 2n ** 60n } })).toEqual({
      type: "refresh-hooks",
      nonce: 2n ** 60n,
    });
  });
  it("may be about an instance, a probe or a service", () => {
    const uuid = "11111111-1111-4111-8111-111111111111";
    const start = (spec: NonNullable<StartInit["spec"]>) => incoming({ case: "start", value: { key, spec } });
    const move = { to: "hv2", uri: "qemu+tls://hv2/system", storage: "all", disks: ["vda"], stuckMs: 9 };
    const common = { verb: "move", uuid, name: "vm1", generation: 3 };
    expect(start({ case: "instance", value: { ...common, timeoutMs: 7n, move } })).toEqual({
      type: "start",
      key,
      spec: {
        kind: "instance",
        ...common,
        timeoutMs: 7,
        move: { address: "", bandwidthMib: 0, downtimeMs: 0, autoConverge: false, postCopy: false, ...move },
      },
    });
    const needs = { uuid, memoryMib: 512, metadata: { tier: "2" }, disks: [{ target: "vda" }], startedAtMs: 2n ** 60n };
    const admit = start({ case: "instance", value: { ...common, verb: "admit", from: "hv2", instance: needs } });
    expect(admit).toMatchObject({
      spec: { verb: "admit", from: "hv2", timeoutMs: defaults.timeoutMs, instance: { ...needs, name: "" } },
    });
    expect(JSON.stringify(admit, (_key, part) => (typeof part === "bigint" ? 0 : part))).not.toContain("$typeName");
    expect(start({ case: "probe", value: { system: "etcd", settings: { endpoint: "e" }, going: ["hv2"] } })).toEqual({
      type: "start",
      key,
      spec: { kind: "probe", system: "etcd", settings: { endpoint: "e" }, timeoutMs: 10_000, going: ["hv2"] },
    });
    const service = { verb: "service-stop", kind: "systemd", name: "nginx.service", settings: { a: "b" } };
    expect(start({ case: "service", value: { ...service, timeoutMs: 2n ** 63n } })).toEqual({
      type: "start",
      key,
      spec: { ...service, kind: "service", service: "systemd", timeoutMs: 2_147_483_647 },
    });
    expect(incoming({ case: "setCordon", value: { holder: "r1,operator", reason: "x" } })).toEqual({
      type: "set-cordon",
      holder: "r1,operator",
      reason: "x",
    });
  });
  it.each<[NonNullable<Init>["message"], string]>([
    [{ case: "start", value: { key, spec: { case: "instance", value: { verb: "eject" } } } }, 'unknown verb "eject"'],
    [{ case: "start", value: { key, spec: { case: "instance", value: { verb: "toString" } } } }, "unknown verb"],
    [{ case: "start", value: { key, spec: { case: "instance", value: { verb: "move" } } } }, "where to"],
    [{ case: "start", value: { key, spec: { case: "service", value: { verb: "stop" } } } }, 'unknown verb "stop"'],
    [undefined, "does not know"],
    [{ case: "start", value: { key } }, "does not know"],
    [{ case: "start", value: { spec: { case: "noop", value: {} } } }, "without a key"],
    [{ case: "start", value: { key, spec: { case: "hook", value: { stage: "Rm" } } } }, 'unknown stage "Rm"'],
    [{ case: "cancel", value: {} }, "without a key"],
    [{ case: "query", value: {} }, "without a key"],
  ])("that cannot be understood is named (%o)", (message, text) => {
    expect(incoming(message)).toContain(text);
  });
});

describe("what the agent says", () => {
  it("arrives whole", () => {
    const result = {
      verdict: "interrupted",
      exitCode: 0,
      signal: "SIGKILL",
      reason: "why",
      startedAtMs: 1.5,
      endedAtMs: 2_000_000_000_000,
      durationMs: 3.4,
      output: "ü",
      outputBytes: 5_000_000_000,
      requests: { ...noRequests, rebootRequired: true, skip: "busy" },
      hooks: {
        dir: "/h",
        problem: "",
        hooks: [{ stage: "PreFlight", file: "/h/PreFlight", sha256: "ab", problem: "" }],
      },
      bootIdBefore: "b1",
      bootIdAfter: "b2",
      hookFile: "/h/Maintenance",
      hookSha256: "cd",
      rebootedAsAsked: true,
      host: {
        rebootWanted: "/run/reboot-required exists",
        rebootUnknown: "u",
        kernelRunning: "6.1.0-40",
        kernelNewest: "6.1.0-44",
        uptimeMs: 1,
      },
    } as const;
    const message = overTheWire({ type: "report", report: { outboxId: 9, key, state: "ended", bootId: "b0", result } });
    expect(message).toMatchObject({
      case: "report",
      value: {
        outboxId: 9n,
        key,
        state: agentWire.StepState.ENDED,
        verdict: agentWire.Verdict.INTERRUPTED,
        exitCode: 0,
        signal: "SIGKILL",
        reason: "why",
        startedAtMs: 2n,
        endedAtMs: 2_000_000_000_000n,
        durationMs: 3n,
        output: "ü",
        outputBytes: 5_000_000_000n,
        requests: { rebootRequired: true, rerunAfterReboot: false, skip: "busy", message: "" },
        hooks: result.hooks,
        bootIdBefore: "b1",
        bootIdAfter: "b2",
        hookFile: "/h/Maintenance",
        hookSha256: "cd",
        rebootedAsAsked: true,
        rebootWanted: "/run/reboot-required exists",
        rebootUnknown: "u",
        kernelRunning: "6.1.0-40",
        kernelNewest: "6.1.0-44",
      },
    });
    const { exitCode: _, ...without } = result;
    const signalled = overTheWire({
      type: "report",
      report: { outboxId: 9, key, state: "ended", bootId: "b0", result: without },
    });
    expect(signalled.case === "report" && signalled.value.exitCode).toBeUndefined();
    expect(overTheWire({ type: "report", report: { outboxId: 0, key, state: "unknown", bootId: "" } })).toMatchObject({
      value: { outboxId: 0n, state: agentWire.StepState.UNSPECIFIED, verdict: agentWire.Verdict.UNSPECIFIED },
    });
  });
  it("may be an inventory", () => {
    const one = instance("11111111-1111-4111-8111-111111111111", {
      disks: [
        {
          target: "vda",
          kind: "file",
          device: "disk",
          source: "/vm/a",
          pool: "vm",
          sharedAs: "shared ocean",
          sizeMib: 9,
          readonly: false,
          shareable: false,
        },
      ],
      devices: [{ kind: "pci", name: "0000:3b:00.0" }],
      metadata: { tier: "2", ü: "" },
      numaNodes: [0, 1],
      startedAtMs: 1_763_000_000_000n,
    });
    const inventory = { ...inventoryOf(one), seq: 4, cordonedBy: "r1" };
    expect(overTheWire({ type: "inventory", inventory, ageMs: 1_500.4 })).toMatchObject({
      case: "inventory",
      value: { ...inventory, ageMs: 1_500 },
    });
    const heartbeat = { type: "heartbeat", seq: 2, running: [key], inventorySeq: 4, inventoryAgeMs: 1.6 } as const;
    expect(overTheWire(heartbeat)).toMatchObject({
      case: "heartbeat",
      value: { seq: 2n, running: [key], inventorySeq: 4, inventoryAgeMs: 2 },
    });
    expect(overTheWire({ ...heartbeat, inventoryAgeMs: 1e12 })).toMatchObject({
      value: { inventoryAgeMs: 4_294_967_295 },
    });
  });
  it("may be the end of a probe or of something done to an instance", () => {
    const plain = {
      verdict: "ok",
      signal: "",
      reason: "",
      startedAtMs: 1,
      endedAtMs: 2,
      durationMs: 1,
      output: "",
      outputBytes: 0,
      requests: noRequests,
      bootIdBefore: "b1",
      bootIdAfter: "b1",
      hookFile: "",
      hookSha256: "",
    } as const;
    const look = {
      problem: "",
      present: true,
      state: "paused",
      job: "",
      generation: 3,
      bytes: 2n ** 60n,
      downtimeMs: 8,
    };
    const member = { name: "m1", host: "hv1", votes: 1, state: "up", roles: ["leader"], note: "" };
    const health = {
      system: "etcd",
      identity: "c",
      state: "degraded",
      reasons: ["m2 is down"],
      sets: [{ name: "members", needed: 2, members: [member], oneOf: [], repairing: "" }],
      goingVerdict: "deny",
      goingReasons: ["no"],
      evidence: [{ asked: "GET /health", exitCode: 0, answer: "{}" }],
      version: "3.5",
    };
    const report = { outboxId: 1, key, state: "ended", bootId: "b1" } as const;
    expect(
      overTheWire({ type: "report", report: { ...report, result: { ...plain, instance: look, health } } }),
    ).toMatchObject({ value: { instance: look, health } });
    const bare = overTheWire({ type: "report", report: { ...report, result: plain } });
    expect(bare.case === "report" && [bare.value.instance, bare.value.health]).toEqual([undefined, undefined]);
  });
  it("tells 0 % from no percentage", () => {
    expect(overTheWire({ type: "progress", key, percent: 0, message: "m" })).toMatchObject({ value: { percent: 0 } });
    const none = overTheWire({ type: "progress", key, message: "m" });
    expect(none.case === "progress" && none.value.percent).toBeUndefined();
  });
});
