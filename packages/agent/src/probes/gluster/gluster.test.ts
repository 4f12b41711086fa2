import type { QuorumSet, SystemHealth } from "@slipway/shared";
import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { type Recording, recorded, replay } from "../testing/recording.ts";
import { glusterProbe } from "./probe.ts";
import { ruleOf, serverQuorum } from "./rules.ts";
import type { Volume } from "./volumes.ts";

const look = (recording: Recording | string, settings: Record<string, string> = {}) =>
  replay(glusterProbe, typeof recording === "string" ? recorded("gluster", recording) : recording, { settings });
const setOf = (health: SystemHealth, name: string) => health.sets.find((s) => s.name === name) as QuorumSet;
const states = (set: QuorumSet) => set.members.map((m) => m.state);

function changed(situation: string, asked: string, from: string | RegExp, to: string): Recording {
  const recording = new Map(recorded("gluster", situation));
  const key = `gluster --mode=script --xml ${asked}`;
  const answer = recording.get(key);
  if (answer === undefined || answer.stdout.replace(from, to) === answer.stdout)
    throw new Error(`nothing to change: ${key}`);
  return recording.set(key, { ...answer, stdout: answer.stdout.replace(from, to) });
}

describe("GlusterFS", () => {
  it("is healthy when every brick is up and nothing is to be healed", async () => {
    const health = await look("healthy");
    expect(health).toMatchObject({ state: "healthy", reasons: [] });
    expect(health.sets.map((s) => [s.name, s.needed, s.oneOf])).toEqual([
      ["volume gv0 set 1", 2, []],
      ["volume gv1 set 1", 2, ["n1:/bricks/b", "n2:/bricks/b"]],
      ["glusterd", 2, []],
    ]);
    expect(setOf(health, "volume gv1 set 1").members[2]).toMatchObject({ host: "n3", roles: ["arbiter"], state: "up" });
    expect(setOf(health, "glusterd").members.map((m) => [m.name, m.host])).toEqual([
      ["glusterd n1", "n1"],
      ["glusterd n2", "n2"],
      ["glusterd n3", "n3"],
    ]);
  });

  it("knows every type of volume by its own rule", async () => {
    const health = await look("all-types");
    expect(health).toMatchObject({ state: "healthy", reasons: [] });
    expect(health.sets.map((s) => [s.name, s.needed, s.members.map((m) => m.votes)])).toEqual([
      ["volume gv0 set 1", 2, [1, 1, 1]],
      ["volume gv1 set 1", 2, [1, 1, 1]],
      ["volume gv2 set 1", 2, [1, 1, 1]],
      ["volume gv3 set 1", 1, [1]],
      ["volume gv3 set 2", 1, [1]],
      ["volume gv4 set 1", 2, [1, 1]],
      ["volume gv4 set 2", 2, [1, 1]],
      ["glusterd", 2, [1, 1, 1]],
    ]);
  });

  it("takes the heal count of a brick that is down for unknown, not for zero", async () => {
    const health = await look("brick-down");
    expect(health.state).toBe("degraded");
    expect(health.reasons).toEqual([
      "gluster volume gv0: brick n1:/bricks/a: 7 entries to heal",
      "gluster volume gv0: brick n2:/bricks/a is offline",
      "gluster volume gv0: brick n3:/bricks/a: 7 entries to heal",
    ]);
    const set = setOf(health, "volume gv0 set 1");
    expect(states(set)).toEqual(["up", "down", "up"]);
    expect(set.members[1]?.note).toBe("offline; entries to heal: unknown");
    expect(set.repairing).toBe("n1:/bricks/a: 7 entries to heal, n3:/bricks/a: 7 entries to heal");
  });

  it("is not well before the last entry is healed, though all is up", async () => {
    const health = await look("healing");
    expect(health.state).toBe("degraded");
    expect(states(setOf(health, "volume gv0 set 1"))).toEqual(["up", "up", "up"]);
    expect(setOf(health, "volume gv1 set 1").repairing).toBe("");
  });

  it("tells of split-brain", async () => {
    expect((await look("split-brain")).reasons).toContain(
      "gluster volume gv4: brick n1:/bricks/e: 3 entries to heal, 1 of them in split-brain",
    );
  });

  it("tells of a rebalance", async () => {
    const recording = new Map(recorded("gluster", "all-types"));
    for (const [asked, answer] of recorded("gluster", "rebalancing")) recording.set(asked, answer);
    const health = await look(recording);
    expect(health).toMatchObject({ state: "degraded", reasons: ["gluster volume gv3: rebalance in progress"] });
  });

  it("finds the bricks of a peer that it has lost down, though nobody lists them", async () => {
    const health = await look("peer-down");
    expect(health.state).toBe("degraded");
    expect(health.reasons).toContain("gluster peer n3 is not connected");
    expect(states(setOf(health, "volume gv0 set 1"))).toEqual(["up", "up", "down"]);
    expect(states(setOf(health, "glusterd"))).toEqual(["up", "up", "down"]);
  });

  it("sees that the lost server quorum has taken its own brick", async () => {
    const health = await look("server-quorum-lost");
    expect(health.state).toBe("unknown");
    expect(states(setOf(health, "volume gv0 set 1"))).toEqual(["down", "down", "down"]);
    expect(states(setOf(health, "glusterd"))).toEqual(["up", "down", "down"]);
  });

  it("is unknown without a glusterd to ask", async () => {
    const health = await look("down");
    expect(health.state).toBe("unknown");
    expect(health.reasons[0]).toMatch(/Connection failed. Please check if gluster daemon is operational/);
  });

  it.each([
    ["a heal count of a dash", "volume heal gv0 info summary", "<totalNumberOfEntries>0", "<totalNumberOfEntries>-"],
    [
      "a brick that the heal cannot reach",
      "volume heal gv0 info summary",
      "<status>Connected",
      "<status>Transport endpoint is not connected",
    ],
    ["a brick left out of the heal", "volume heal gv0 info summary", "<name>n2:", "<name>n9:"],
    ["another transaction", "volume status all", "<opRet>0</opRet>", "<opRet>-1</opRet>"],
    ["a type that it does not know", "volume info", "<typeStr>Replicate", "<typeStr>Tier"],
    [
      "an unknown task",
      "volume status all",
      "<tasks/>",
      "<tasks><task><type>Tier</type><statusStr>?</statusStr></task></tasks>",
    ],
  ])("is unknown with %s", async (_name, asked, from, to) => {
    const health = await look(changed("healthy", asked, from, to));
    expect(health.state).toBe("unknown");
    expect(health.reasons[0]).toMatch(/gluster/);
  });

  it("sees a client that has lost a brick: the next one would be its last", async () => {
    const asked = "volume status all clients";
    const health = await look(changed("healthy", asked, /10\.9\.0\.3:(\d+)/, "10.9.0.7:$1"));
    expect(health.state).toBe("degraded");
    expect(health.reasons.join("\n")).toMatch(/clients on 10\.9\.0\.7 have other bricks but not n2:/);
  });

  it("looks at the volumes it was told of, which must exist", async () => {
    const health = await look("healthy", { volume: "gv1" });
    expect(health.sets.map((s) => s.name)).toEqual(["volume gv1 set 1"]);
    expect((await look("healthy", { volume: "gv1,gv9" })).reasons).toEqual([
      "gluster has no volume gv9 (setting volume)",
    ]);
  });

  it("asks again while somebody else holds gluster's lock", async () => {
    const busy = {
      stdout: "Another transaction is in progress for gv0.",
      stderr: "",
      exitCode: 1,
      timedOut: false,
      problem: "",
    };
    const [first] = recorded("gluster", "healthy");
    let asked = 0;
    const health = await replay(
      {
        ...glusterProbe,
        ask: (context) =>
          glusterProbe.ask({
            ...context,
            pause: async () => true,
            run: async (argv) => (asked++ < 2 ? busy : context.run(argv)),
          }),
      },
      recorded("gluster", "healthy"),
    );
    expect(first).toBeDefined();
    expect(health.state).toBe("healthy");
    expect(asked).toBe(8);
  });
});

describe("the rule of a set", () => {
  const bricks = (n: number, arbiter = false) =>
    Array.from({ length: n }, (_, i) => ({
      name: `h${i}:/b`,
      host: `h${i}`,
      uuid: `${i}`,
      isArbiter: arbiter && i === n - 1,
    }));
  const volume = (kind: Volume["kind"], options: Record<string, string> = {}, redundancy = 0): Volume => ({
    name: "v",
    isStarted: true,
    sets: [],
    kind,
    redundancy,
    options: new Map(Object.entries(options)),
  });
  /** Which bricks can go, by trying: the rule's meaning, whatever its numbers are. */
  const maySpare = (v: Volume, n: number, arbiter = false) => {
    const set = bricks(n, arbiter);
    const rule = ruleOf(v, set);
    const holds = (gone: number) =>
      set.reduce((sum, _, i) => (gone & (1 << i) ? sum : sum + (rule.votes[i] ?? 0)), 0) >= rule.needed &&
      (rule.oneOf.length === 0 || set.some((b, i) => !(gone & (1 << i)) && rule.oneOf.includes(b.name)));
    return Array.from({ length: 1 << n }, (_, gone) => gone)
      .filter((gone) => gone > 0 && holds(gone))
      .map((gone) => set.flatMap((_, i) => (gone & (1 << i) ? [i] : [])).join(""));
  };
  it.each([
    ["replica 3: any one", volume("replicate"), 3, false, ["0", "1", "2"]],
    ["arbiter: any one", volume("replicate"), 3, true, ["0", "1", "2"]],
    ["replica 2 without quorum: none", volume("replicate"), 2, false, []],
    ["replica 2 auto: only the second", volume("replicate", { "cluster.quorum-type": "auto" }), 2, false, ["1"]],
    [
      "replica 2 fixed 1: either",
      volume("replicate", { "cluster.quorum-type": "fixed", "cluster.quorum-count": "1" }),
      2,
      false,
      ["0", "1"],
    ],
    [
      "replica 4: one, or two that leave the first",
      volume("replicate"),
      4,
      false,
      ["0", "1", "2", "12", "3", "13", "23"],
    ],
    [
      "replica 3 fixed 3: none",
      volume("replicate", { "cluster.quorum-type": "fixed", "cluster.quorum-count": "3" }),
      3,
      false,
      [],
    ],
    ["disperse 2+1: any one", volume("disperse", {}, 1), 3, false, ["0", "1", "2"]],
    ["disperse 2+1 that wants 3: none", volume("disperse", { "disperse.quorum-count": "3" }, 1), 3, false, []],
    ["distribute: none", volume("distribute"), 1, false, []],
  ])("%s", (_name, v, n, arbiter, spared) => {
    expect(maySpare(v, n, arbiter).toSorted()).toEqual(spared.toSorted());
  });
  it("is unreadable with a quorum type of another age", () => {
    expect(() => ruleOf(volume("replicate", { "cluster.quorum-type": "most" }), bricks(3))).toThrow(
      /most is not known/,
    );
    expect(() => ruleOf(volume("replicate", { "cluster.quorum-type": "fixed" }), bricks(3))).toThrow(/quorum-count/);
  });
  it("of the glusterd is more than half, or the ratio that was set", () => {
    const server = { "cluster.server-quorum-type": "server" };
    expect(serverQuorum([volume("replicate")], 4)).toBeUndefined();
    expect(serverQuorum([volume("replicate", server)], 4)).toBe(3);
    expect(serverQuorum([volume("replicate", { ...server, "cluster.server-quorum-ratio": "80%" })], 4)).toBe(4);
  });
});

standsDamage({
  probe: glusterProbe,
  system: "gluster",
  situations: ["healthy", "brick-down", "healing", "peer-down", "server-quorum-lost", "down"],
  rounds: 30,
});
