import { create } from "@bufbuild/protobuf";
import { verdicts } from "@slipway/shared";
import { agentWire } from "@slipway/shared/wire";
import { describe, expect, test } from "vitest";
import { commandTo, factsFrom, keyFrom, resultFrom, stateFrom, verdictFrom } from "./convert.ts";

const report = (over: object = {}) => create(agentWire.StepReportSchema, { verdict: agentWire.Verdict.OK, ...over });

describe("what an agent says", () => {
  test("every verdict has its word, and none is guessed", () => {
    const known = agentWire.VerdictSchema.values.map((v) => verdictFrom(v.number as agentWire.Verdict));
    expect(known.filter((v) => v !== undefined).toSorted()).toEqual(Object.keys(verdicts).toSorted());
    expect(verdictFrom(agentWire.Verdict.UNSPECIFIED)).toBeUndefined();
    expect(verdictFrom(99 as never)).toBeUndefined();
    expect(resultFrom(report({ verdict: 99 }))).toBe("the verdict 99 is not known to this controller");
  });

  test("so has every state", () => {
    expect(agentWire.StepStateSchema.values.map((v) => stateFrom(v.number as agentWire.StepState))).toEqual([
      "unknown",
      "accepted",
      "ended",
    ]);
    expect(stateFrom(7 as never)).toBeUndefined();
  });

  test("an end keeps an exit status of 0 apart from none", () => {
    expect(resultFrom(report({ exitCode: 0 }))).toHaveProperty("exitCode", 0);
    expect(resultFrom(report({ signal: "SIGKILL" }))).not.toHaveProperty("exitCode");
  });

  test("a time that no calendar holds is not known", () => {
    const result = resultFrom(report({ startedAtMs: 9_223_372_036_854_775_807n, endedAtMs: -1n, durationMs: 5n }));
    expect(result).toMatchObject({ startedAtMs: 0, endedAtMs: 0, durationMs: 5 });
  });

  test("an inspection tells whether there is a Maintenance hook and what is wrong", () => {
    const hook = (stage: string, problem = "") => ({ stage, file: `/h/${stage}`, sha256: "", problem });
    const hooksOf = (hooks: object) => {
      const result = resultFrom(report({ hooks }));
      return typeof result === "string" ? result : result.hooks;
    };
    expect(hooksOf({ hooks: [hook("PreFlight"), hook("Maintenance")] })).toEqual({ maintenance: true, problems: [] });
    expect(hooksOf({ hooks: [] })).toEqual({ maintenance: false, problems: [] });
    expect(hooksOf({ hooks: [hook("Maintenance", "not executable; chmod +x")], problem: "" })).toEqual({
      maintenance: true,
      problems: ["Maintenance hook /h/Maintenance: not executable; chmod +x"],
    });
    expect(hooksOf({ problem: "/h: is a file" })).toEqual({ maintenance: false, problems: ["/h: is a file"] });
    expect(resultFrom(report())).not.toHaveProperty("hooks");
  });

  test.each([
    [{ run: "r1", host: "hv1", step: "Maintenance", attempt: 1 }, undefined],
    [{ run: "", host: "hv1", step: "Maintenance", attempt: 1 }, "is no run id"],
    [{ run: "R1", host: "hv1", step: "Maintenance", attempt: 1 }, "is no run id"],
    [{ run: "r1", host: "hv1/..", step: "Maintenance", attempt: 1 }, "is no host name"],
    [{ run: "r1", host: "hv1", step: "rm -rf", attempt: 1 }, "is no step name"],
    [{ run: "r1", host: "hv1", step: "Maintenance", attempt: 0 }, "attempts count from 1"],
  ])("key %j", (key, problem) => {
    const read = keyFrom(create(agentWire.StepKeySchema, key));
    if (problem === undefined) expect(read).toEqual(key);
    else expect(read).toContain(problem);
  });

  test("what one agent can make the controller keep is bounded", () => {
    const hello = create(agentWire.HelloSchema, {
      labels: Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`l${i}`, "x"])),
      kernel: "k".repeat(100_000),
      hooks: { hooks: Array.from({ length: 1_000 }, () => ({ stage: "Maintenance" })) },
    });
    const facts = factsFrom(hello);
    expect([Object.keys(facts.labels).length, facts.kernel.length, facts.hooks.hooks.length]).toEqual([64, 4_096, 64]);
  });
});

test("a command carries its words literally", () => {
  const ref = { run: "r1", host: "hv1", step: "Maintenance", attempt: 2 } as const;
  const args = ["a b", "$(x)", ";", "ü", ""];
  expect(
    commandTo({ kind: "start", ref, task: { kind: "hook", stage: "Maintenance", args, timeoutMs: 5, graceMs: 6 } }),
  ).toEqual({
    message: {
      case: "start",
      value: {
        key: ref,
        spec: { case: "hook", value: { stage: "Maintenance", args, timeoutMs: 5n, graceMs: 6n } },
      },
    },
  });
});
