import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { recorded, replay } from "../testing/recording.ts";
import { pacemakerProbe } from "./probe.ts";

const look = (situation: string) => replay(pacemakerProbe, recorded("pacemaker", situation));
function changed(from: string | RegExp, to: string) {
  const [[asked, answer] = ["", undefined]] = [...recorded("pacemaker", "healthy")];
  if (answer === undefined || answer.stdout.replace(from, to) === answer.stdout) throw new Error("nothing to change");
  return replay(pacemakerProbe, new Map([[asked, { ...answer, stdout: answer.stdout.replace(from, to) }]]));
}

describe("Pacemaker", () => {
  it("is healthy when every node is online and nothing failed", async () => {
    expect(await look("healthy")).toMatchObject({
      state: "healthy",
      reasons: [],
      version: "2.1.5-a3f44794f94",
      sets: [{ members: [{ name: "n1", roles: ["dc"] }, { name: "n2" }, { name: "n3", state: "up" }] }],
    });
  });
  it("tells of a node in standby, of a failed action and of a node that must be fenced", async () => {
    expect((await look("standby")).reasons).toEqual(["pacemaker node n3 is in standby"]);
    expect((await look("failed-action")).reasons).toEqual(["pacemaker: monitor of d2 failed on n2 (not running)"]);
    expect((await look("degraded")).reasons).toEqual([
      "pacemaker node n3 is offline",
      "pacemaker node n3 is unclean: it waits to be fenced",
    ]);
  });
  it("is degraded without a quorum, and unknown without Pacemaker", async () => {
    expect((await look("no-quorum")).reasons).toContain("pacemaker: this partition has no quorum");
    expect((await look("down")).reasons).toEqual(["crm_mon: error: Could not connect to launcher: Connection refused"]);
  });
  it.each([
    [
      "a pending fencing",
      /<status code/,
      '<fence_history><fence_event action="off" target="n3" client="x" origin="n1" status="pending"/></fence_history><status code',
      "degraded",
      /n3 is being fenced/,
    ],
    [
      "an old fencing",
      /<status code/,
      '<fence_history><fence_event action="off" target="n3" client="x" origin="n1" status="success"/></fence_history><status code',
      "healthy",
      /^$/,
    ],
    [
      "fencing of another age",
      /<status code/,
      '<fence_history><fence_event action="off" target="n3" client="x" origin="n1" status="?"/></fence_history><status code',
      "unknown",
      /fencing of n3/,
    ],
    ["a blocked resource", 'blocked="false"', 'blocked="true"', "degraded", /resource d1 is blocked/],
    ["maintenance mode", 'maintenance-mode="false"', 'maintenance-mode="true"', "degraded", /in maintenance mode/],
    ["a node left out", /<node name="n2" id="2" online.*\n/, "", "unknown", /2 nodes listed, 3 configured/],
    [
      "entities of its own",
      "<pacemaker-result",
      '<!DOCTYPE x [<!ENTITY a "b">]><pacemaker-result',
      "unknown",
      /document type/,
    ],
    ["the old form", /pacemaker-result/g, "crm_mon", "unknown", /XML without <pacemaker-result>/],
  ] as const)("with %s", async (_name, from, to, state, reason) => {
    const health = await changed(from, to);
    expect(health.state).toBe(state);
    expect(health.reasons.join("\n")).toMatch(reason);
  });
});

standsDamage({
  probe: pacemakerProbe,
  system: "pacemaker",
  situations: ["healthy", "standby", "failed-action", "degraded", "no-quorum", "down"],
  rounds: 50,
});
