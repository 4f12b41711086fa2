import { describe, expect, test } from "vitest";
import type { HostRun, Run } from "../domain/run.ts";
import type { StepName } from "../domain/words.ts";
import { statusLine } from "./report.ts";

// Only what the line is made of.
const host = (name: string, step?: StepName) =>
  ({ name, steps: step ? [{ host: name, step, attempt: 1, startedT: 0, startedAt: 0 }] : [] }) as unknown as HostRun;
const run = (id: string, more: Partial<Run>) =>
  ({ spec: { run: id }, state: "rolling", hosts: [], ...more }) as unknown as Run;
const agents = (...connected: boolean[]) => connected.map((c) => ({ connected: c }));

describe("the status line", () => {
  test("counts agents", () => {
    expect(statusLine([], [])).toBe("0 agents connected");
    expect(statusLine(agents(true), [])).toBe("1 agent connected");
    expect(statusLine(agents(true, true, false), [])).toBe("2 agents connected, 1 not");
  });

  test.each<[Run, string]>([
    [run("r1", { hosts: [host("hv1"), host("hv3", "Maintenance")] }), "run r1 rolling: hv3 maintenance"],
    [run("r1", { state: "undoing" }), "run r1 undoing"],
    [
      run("r1", { state: "preflight", hosts: ["a", "b", "c", "d", "e"].map((name) => host(name, "PreFlight")) }),
      "run r1 preflight: a preflight, b preflight, c preflight and 2 more",
    ],
    [run("r1", { paused: { who: "alice", reason: "" } }), "run r1 paused by alice"],
    [
      run("r1", { held: { rule: "x", subject: "hv2", text: "its agent is away", fix: "" } }),
      "run r1 holds: hv2: its agent is away",
    ],
  ])("says what a run does (%#)", (active, text) => {
    expect(statusLine([], [active])).toBe(`0 agents connected; ${text}`);
  });
});
