import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { type Recording, recorded, replay } from "../testing/recording.ts";
import { etcdProbe } from "./probe.ts";
import { etcdV2Probe } from "./v2.ts";

const settings = { endpoint: "http://{host}:2379" };
const v3 = (recording: Recording | string, more: Record<string, string> = {}) =>
  replay(etcdProbe, typeof recording === "string" ? recorded("etcd", recording) : recording, {
    settings: { ...settings, ...more },
    host: "10.9.0.1",
  });
const v2 = (situation: string) => replay(etcdV2Probe, recorded("etcd-v2", situation), { settings, host: "10.9.0.1" });

function changed(situation: string, asked: string, from: string | RegExp, to: string): Recording {
  const recording = new Map(recorded("etcd", situation));
  const answer = recording.get(asked);
  if (answer === undefined) throw new Error(`not recorded: ${asked}`);
  const stdout = answer.stdout.replace(from, to);
  if (stdout === answer.stdout) throw new Error(`nothing to change in ${answer.stdout}`);
  return recording.set(asked, { ...answer, stdout });
}

describe("etcd", () => {
  it("is healthy with all members, and keeps ids that no double can hold", async () => {
    expect(await v3("healthy")).toMatchObject({
      system: "etcd",
      state: "healthy",
      reasons: [],
      identity: "28359d03b963ef12",
      version: "3.4.23",
      sets: [
        {
          name: "members",
          needed: 2,
          members: [
            { name: "n3", host: "10.9.0.3", votes: 1, state: "up", roles: [] },
            { name: "n1", host: "10.9.0.1", votes: 1, state: "up", roles: ["leader"] },
            { name: "n2", host: "10.9.0.2", votes: 1, state: "up", roles: [] },
          ],
        },
      ],
    });
  });

  it("is degraded without one, which is named", async () => {
    const health = await v3("degraded");
    expect(health.state).toBe("degraded");
    expect(health.reasons).toEqual([expect.stringMatching(/^etcd member n3 \(10\.9\.0\.3\) is not up: .*connect/)]);
    expect(health.sets[0]?.members.map((m) => m.state)).toEqual(["down", "up", "up"]);
  });

  it("misses a member that has never started by its address: it has a vote", async () => {
    const health = await v3("never-started");
    expect(health.reasons).toEqual(["etcd member cc76a4cfd2b0cb52 (10.9.0.4) is not up: it has never started"]);
    expect(health.sets[0]).toMatchObject({ needed: 3 });
    expect(health.sets[0]?.members[3]).toMatchObject({ host: "10.9.0.4", votes: 1, state: "down" });
  });

  it("gives a learner no vote", async () => {
    const health = await v3("learner");
    expect(health.reasons).toEqual(["etcd member n4 is a learner; promote or remove it"]);
    expect(health.sets[0]).toMatchObject({ needed: 2 });
    expect(health.sets[0]?.members[3]).toMatchObject({ name: "n4", votes: 0, roles: ["learner"], state: "up" });
  });

  it("tells of an alarm", async () => {
    const health = await v3("no-space");
    expect(health.state).toBe("degraded");
    expect(health.reasons).toContain("etcd alarm NOSPACE on member q1");
    expect(health.sets[0]?.members[0]?.state).toBe("up");
  });

  it("cannot be known without a quorum; nobody is up who has no leader", async () => {
    const health = await v3("no-quorum");
    expect(health.state).toBe("unknown");
    expect(health.reasons).toContain("etcd has no leader");
    expect(health.sets[0]?.members.map((m) => m.state)).toEqual(["down", "down", "down"]);
  });

  it("is unknown where it does not answer at all", async () => {
    expect(await v3("down")).toMatchObject({ state: "unknown", sets: [] });
  });

  const status = (n: number) => `POST http://10.9.0.${n}:2379/v3/maintenance/status {}`;
  it("counts a member that does not answer in time as unknown: it may be the network", async () => {
    const silent = new Map(recorded("etcd", "healthy")).set(status(3), {
      stdout: "",
      stderr: "",
      timedOut: true,
      problem: "",
    });
    const health = await v3(silent);
    expect(health.state).toBe("unknown");
    expect(health.sets[0]?.members[0]).toMatchObject({
      name: "n3",
      state: "unknown",
      note: "status: no answer in time",
    });
  });

  it.each([
    ["another leader", changed("healthy", status(2), '"leader":"6260', '"leader":"7260'), /follow 2 different leaders/],
    ["another term", changed("healthy", status(2), '"raftTerm":"2"', '"raftTerm":"3"'), /in different terms/],
    [
      "a member that is far behind",
      changed("healthy", status(2), '"raftIndex":"15"', '"raftIndex":"1500"'),
      /n1 is 1486 log entries behind \(limit 1000\)/,
    ],
  ])("sees %s", async (_name, recording, reason) => {
    const health = await v3(recording);
    expect(health.state).toBe("degraded");
    expect(health.reasons.join("\n")).toMatch(reason);
  });

  it("takes nobody's answer for somebody else's", async () => {
    const twin = changed("healthy", status(2), '"member_id":"7267', '"member_id":"4127');
    expect((await v3(twin)).reasons[0]).toMatch(/^etcd member n2 .*is answered by member/);
    const stranger = changed("healthy", status(2), '"cluster_id":"28', '"cluster_id":"29');
    expect((await v3(stranger)).reasons[0]).toMatch(/is answered by cluster/);
  });

  it.each([
    [{ endpiont: "x" }, "setting endpiont is not known; did you mean endpoint?"],
    [{ endpoint: "https://root:pw@x:2379" }, /give http:\/\/HOST:PORT/],
    [{ cert: "/a" }, "settings cert and key belong together"],
    [{ ca: "../ca.pem" }, /give an absolute path/],
    [{ lag: "many" }, "setting lag is many; give a whole number"],
  ])("refuses settings that make no sense: %j", async (wrong, reason) => {
    const health = await v3("healthy", wrong as Record<string, string>);
    expect(health.state).toBe("unknown");
    expect(health.reasons[0]).toMatch(reason);
  });
});

describe("etcd's v2 text", () => {
  it("is healthy with all members", async () => {
    const health = await v2("healthy");
    expect(health).toMatchObject({ state: "healthy", reasons: [] });
    expect(health.sets[0]).toMatchObject({ needed: 2 });
    expect(health.sets[0]?.members.find((m) => m.roles.includes("leader"))).toMatchObject({
      name: "n1",
      host: "10.9.0.1",
    });
  });
  it("names who is not reached, and who has never started", async () => {
    expect((await v2("degraded")).reasons).toEqual([
      "etcd member n3 (10.9.0.3) is unreachable: [http://10.9.0.3:2379] are all unreachable",
    ]);
    const health = await v2("never-started");
    expect(health.reasons).toEqual([
      "etcd member eab77f127a5783dd (10.9.0.4) is unreachable: no available published client urls",
    ]);
    expect(health.sets[0]).toMatchObject({ needed: 3 });
  });
  it.each(["no-quorum", "down"])("is unknown when there is no leader to ask: %s", async (situation) => {
    expect((await v2(situation)).state).toBe("unknown");
  });
  it("does not believe the last line", async () => {
    const recording = new Map(recorded("etcd-v2", "degraded"));
    for (const [asked, answer] of recording)
      recording.set(asked, {
        ...answer,
        exitCode: 0,
        stdout: answer.stdout.replace("cluster is degraded", "cluster is healthy"),
      });
    expect((await replay(etcdV2Probe, recording, { settings, host: "10.9.0.1" })).state).toBe("degraded");
  });
});

standsDamage({
  probe: etcdProbe,
  system: "etcd",
  settings,
  host: "10.9.0.1",
  situations: ["healthy", "degraded", "never-started", "learner", "no-quorum", "no-space", "down"],
});
standsDamage({
  probe: etcdV2Probe,
  system: "etcd-v2",
  settings,
  host: "10.9.0.1",
  situations: ["healthy", "degraded", "never-started", "no-quorum", "down"],
});
