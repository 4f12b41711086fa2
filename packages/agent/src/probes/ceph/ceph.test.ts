import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { type Recording, recorded, replay } from "../testing/recording.ts";
import { cephProbe } from "./probe.ts";

const IGNORED = { ignore: "POOL_NEARFULL" };
const look = (recording: Recording | string, going: string[] = []) =>
  replay(cephProbe, typeof recording === "string" ? recorded("ceph", recording) : recording, {
    going,
    settings: IGNORED,
  });
const CEPH = "ceph --connect-timeout=5 --format=json";
function changed(situation: string, asked: string, from: string | RegExp, to: string): Recording {
  const recording = new Map(recorded("ceph", situation));
  const answer = recording.get(`${CEPH} ${asked}`);
  if (answer === undefined || answer.stdout.replace(from, to) === answer.stdout)
    throw new Error(`nothing to change: ${asked}`);
  return recording.set(`${CEPH} ${asked}`, { ...answer, stdout: answer.stdout.replace(from, to) });
}

describe("Ceph", () => {
  it("is healthy when all is clean, whatever harmless warning there is", async () => {
    const health = await look("healthy");
    expect(health).toMatchObject({
      state: "healthy",
      reasons: [],
      identity: "11111111-2222-3333-4444-555555555555",
      goingVerdict: "",
    });
    expect(health.sets.map((s) => [s.name, s.needed, s.members.map((m) => `${m.name}@${m.host}`)])).toEqual([
      ["mons", 2, ["mon.n1@n1", "mon.n2@n2", "mon.n3@n3"]],
      ["osds", 0, ["osd.0@n1", "osd.1@n1", "osd.2@n2", "osd.3@n2", "osd.4@n3", "osd.5@n3"]],
    ]);
  });
  it("answers about all OSDs and monitors of the hosts that go in one question each", async () => {
    expect(await look("healthy", ["n1.example.org"])).toMatchObject({ goingVerdict: "ok", goingReasons: [] });
    expect(await look("healthy", ["n1", "n2"])).toMatchObject({
      goingVerdict: "deny",
      goingReasons: [
        "ceph: 9 placement groups are or would become inactive",
        "ceph mon: not enough monitors would be available (n3) after stopping mons [n1,n2]",
        "ceph: no mgr would be left; add one on another host",
      ],
    });
  });
  it("counts for itself as well: a yes that overlooks a placement group is none", async () => {
    const overlooked = changed("healthy", "pg dump pgs_brief", '"acting":[3,0,4]', '"acting":[1,0,4]');
    expect(await look(overlooked, ["n1"])).toMatchObject({
      goingVerdict: "deny",
      goingReasons: ["ceph: osd ok-to-stop says yes, but 1 placement group would have fewer OSDs than min_size (2.7)"],
    });
    // Of an erasure-coded pool a place may be empty; one that holds nothing of the host loses nothing.
    const empty = changed("healthy", "pg dump pgs_brief", '"acting":[3,0,4]', '"acting":[3,0,2147483647]');
    expect((await look(empty, ["n1"])).goingVerdict).toBe("deny");
    const elsewhere = changed("healthy", "pg dump pgs_brief", '"acting":[3,0,4]', '"acting":[3,2147483647,4]');
    expect((await look(elsewhere, ["n1"])).goingVerdict).toBe("ok");
  });
  it("is not asked about a host that has no daemon of it: to a typo it would say yes", async () => {
    expect(await look("healthy", ["n9"])).toMatchObject({ goingVerdict: "ok" });
  });
  it("names the OSDs and monitors that are down", async () => {
    const health = await look("degraded", ["n1"]);
    expect(health.state).toBe("degraded");
    expect(health.reasons).toContain("ceph osd.4 is down");
    expect(health.goingVerdict).toBe("deny");
    const without = changed(
      "healthy",
      "quorum_status",
      '"quorum_names":["n1","n2","n3"]',
      '"quorum_names":["n1","n2"]',
    );
    expect((await look(without)).reasons).toEqual(["ceph mon.n3 is not in the quorum"]);
  });
  it("does not take an answer that did not come for a no or a yes", async () => {
    const recording = new Map(recorded("ceph", "healthy"));
    for (const [asked, answer] of recorded("ceph", "electing"))
      if (asked.includes("osd ok-to-stop")) recording.set(asked, answer);
    expect(recording.get(`${CEPH} osd ok-to-stop 0 1`)?.exitCode).toBe(11);
    expect((await look(recording, ["n1"])).goingVerdict).toBe("unknown");
  });
  it("is unknown without a quorum of monitors", async () => {
    expect((await look("down")).state).toBe("unknown");
    expect((await look("electing")).state).toBe("unknown");
  });
  it.each([
    ["an error that the site wants to ignore", "status", "POOL_APP_NOT_ENABLED", "OSD_FULL", "degraded"],
    ["a check that nobody knows", "status", "POOL_APP_NOT_ENABLED", "NEW_IN_NEXT_RELEASE", "degraded"],
    ["a check that the site ignores", "status", "POOL_APP_NOT_ENABLED", "POOL_NEARFULL", "healthy"],
    ["scrubbing", "status", '"active+clean"', '"active+clean+scrubbing+deep"', "healthy"],
    ["a placement group that is not clean", "status", '"active+clean"', '"active+undersized"', "degraded"],
    ["counts that differ", "status", '"num_up_osds":6', '"num_up_osds":5', "unknown"],
    ["another cluster's answer", "osd dump", "11111111-2222", "11111111-3333", "unknown"],
  ])("with %s", async (_name, asked, from, to, state) => {
    expect((await look(changed("healthy", asked, from, to))).state).toBe(state);
  });
  it.each([
    ["other OSDs than asked for", "osd ok-to-stop 0 1", '"osds":[0,1]', '"osds":[0]'],
    ["a yes that contradicts itself", "osd ok-to-stop 0 1", '"num_not_ok_pgs":0', '"num_not_ok_pgs":2'],
    [
      "placement groups that it does not know of",
      "osd ok-to-stop 0 1",
      '"num_ok_pgs"',
      '"unknown_pgs":["1.0"],"num_ok_pgs"',
    ],
    ["placement groups that are not told yet", "pg dump pgs_brief", '"pg_ready":true', '"pg_ready":false'],
    ["one that is told twice", "pg dump pgs_brief", '"pgid":"2.6"', '"pgid":"2.7"'],
    ["one of an unknown pool", "pg dump pgs_brief", '"pgid":"2.6"', '"pgid":"9.6"'],
    ["one on an unknown OSD", "pg dump pgs_brief", '"acting":[3,0,4]', '"acting":[3,0,44]'],
  ])("does not trust %s", async (_name, asked, from, to) => {
    expect((await look(changed("healthy", asked, from, to), ["n1"])).goingVerdict).toBe("unknown");
  });
});

standsDamage({
  probe: cephProbe,
  system: "ceph",
  going: ["n1"],
  situations: ["healthy", "degraded", "electing", "down"],
  rounds: 60,
});
