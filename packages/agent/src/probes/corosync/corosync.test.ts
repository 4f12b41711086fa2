import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { type Recording, recorded, replay } from "../testing/recording.ts";
import { corosyncProbe } from "./probe.ts";

const look = (recording: Recording | string, settings: Record<string, string> = {}) =>
  replay(corosyncProbe, typeof recording === "string" ? recorded("corosync", recording) : recording, { settings });

function changed(changes: readonly (readonly [asked: string, from: string | RegExp, to: string])[]): Recording {
  const recording = new Map(recorded("corosync", "healthy"));
  for (const [asked, from, to] of changes) {
    const answer = recording.get(asked);
    if (answer === undefined || answer.stdout.replace(from, to) === answer.stdout)
      throw new Error(`nothing to change: ${asked} ${from}`);
    recording.set(asked, { ...answer, stdout: answer.stdout.replace(from, to) });
  }
  return recording;
}
const STATUS = "corosync-quorumtool -s";
const NODES = "corosync-cmapctl nodelist.";
const CONFIG = "corosync-cmapctl quorum.";

describe("corosync", () => {
  it("is healthy with every vote", async () => {
    expect(await look("healthy")).toMatchObject({
      state: "healthy",
      sets: [
        {
          name: "members",
          needed: 2,
          members: [{ name: "n1", state: "up" }, { name: "n2" }, { name: "n3", votes: 1 }],
        },
      ],
    });
  });
  it("misses by name who is in the node list only", async () => {
    const health = await look("degraded");
    expect(health).toMatchObject({ state: "degraded", reasons: ["corosync node n3 (10.9.0.3) is not there"] });
    expect(health.sets[0]?.members[2]?.state).toBe("down");
  });
  it("is degraded without a quorum, and unknown without corosync", async () => {
    expect((await look("no-quorum")).reasons).toContain("corosync: this partition is not quorate");
    expect((await look("down")).reasons).toEqual([
      "corosync-quorumtool: ended with 1 (Cannot initialize CMAP service)",
    ]);
  });
  const pair = changed([
    [STATUS, /^ +3 +1 n3\n/m, ""],
    [STATUS, "Nodes:            3", "Nodes:            2"],
    [STATUS, "Expected votes:   3", "Expected votes:   2"],
    [STATUS, "Highest expected: 3", "Highest expected: 2"],
    [STATUS, "Total votes:      3", "Total votes:      2"],
    [STATUS, "Quorum:           2  ", "Quorum:           1  "],
    [STATUS, "Flags:            Quorate ", "Flags:            2Node Quorate WaitForAll "],
    [NODES, /^nodelist.node.2.*\n/gm, ""],
  ]);
  it("keeps both of two nodes, unless the pool file says that fencing works", async () => {
    expect((await look(pair)).sets[0]).toMatchObject({ needed: 2 });
    expect((await look(pair, { "two-node": "allow" })).sets[0]).toMatchObject({ needed: 1 });
  });
  it("counts a quorum device where its votes are", async () => {
    const device = changed([
      [STATUS, "    Nodeid      Votes Name", "    Nodeid      Votes    Qdevice Name"],
      [STATUS, /^( +\d +1) (n\d)/gm, "$1    A,V,NMW $2"],
      [
        STATUS,
        /3 +1 +A,V,NMW n3\n/,
        (all: string) => `${all}         0          1            Qdevice\n`,
      ] as unknown as [string, RegExp, string],
      [STATUS, "Expected votes:   3", "Expected votes:   4"],
      [STATUS, "Highest expected: 3", "Highest expected: 4"],
      [STATUS, "Total votes:      3", "Total votes:      4"],
      [STATUS, "Quorum:           2  ", "Quorum:           3  "],
      [STATUS, "Flags:            Quorate ", "Flags:            Quorate Qdevice "],
      [
        CONFIG,
        /$/,
        "quorum.device.model (str) = net\nquorum.device.votes (u32) = 1\nquorum.device.net.host (str) = qnetd\n",
      ],
    ]);
    const health = await look(device);
    expect(health).toMatchObject({ state: "healthy", reasons: [] });
    expect(health.sets[0]).toMatchObject({ needed: 3 });
    expect(health.sets[0]?.members[3]).toMatchObject({ host: "qnetd", roles: ["witness"], state: "up" });
  });
  it.each([
    ["a flag that it does not know", [[STATUS, "Quorate \n", "Quorate Sleepy\n"]], /flag "Sleepy" is not known/],
    ["more votes than it lists", [[STATUS, "Total votes:      3", "Total votes:      5"]], /counts 5 votes/],
    [
      "a node that nobody configured",
      [[NODES, /^nodelist.node.2.*\n/gm, ""]],
      /node 3 is there and not in the node list/,
    ],
    ["a node missing from its list", [[STATUS, /^ +2 +1 n2\n/m, ""]], /2 nodes listed, Nodes says 3/],
  ] as const)("is unknown with %s", async (_name, changes, reason) => {
    const health = await look(changed(changes));
    expect(health.state).toBe("unknown");
    expect(health.reasons[0]).toMatch(reason);
  });
});

standsDamage({ probe: corosyncProbe, system: "corosync", situations: ["healthy", "degraded", "no-quorum", "down"] });
