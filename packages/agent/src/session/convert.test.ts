import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { defaults } from "@slipway/shared";
import { agentWire } from "@slipway/shared/wire";
import { describe, expect, it } from "vitest";
import type { Outgoing } from "../steps/types.ts";
import { noRequests } from "../steps/verdict.ts";
import { fromWire, toWire } from "./convert.ts";

const key = { run: "r1", host: "hv1", step: "Maintenance", attempt: 2 };
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
  it.each<[NonNullable<Init>["message"], string]>([
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
  it("tells 0 % from no percentage", () => {
    expect(overTheWire({ type: "progress", key, percent: 0, message: "m" })).toMatchObject({ value: { percent: 0 } });
    const none = overTheWire({ type: "progress", key, message: "m" });
    expect(none.case === "progress" && none.value.percent).toBeUndefined();
  });
});
