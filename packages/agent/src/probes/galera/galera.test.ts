import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { type Recording, recorded, replay } from "../testing/recording.ts";
import { galeraProbe } from "./probe.ts";

const settings = { nodes: "n1,n2,n3", "defaults-file": "/etc/slipway/galera.cnf" };
const look = (recording: Recording | string, more: Record<string, string> = {}) =>
  replay(galeraProbe, typeof recording === "string" ? recorded("galera", recording) : recording, {
    settings: { ...settings, ...more },
    ...(more["nodes"] === undefined ? {} : { otherwise: { stdout: "", stderr: "", timedOut: true, problem: "" } }),
  });
function changed(node: string, from: string | RegExp, to: string): Recording {
  const recording = new Map(recorded("galera", "healthy"));
  for (const [asked, answer] of recording)
    if (asked.includes(`--host=${node}`)) recording.set(asked, { ...answer, stdout: answer.stdout.replace(from, to) });
  return recording;
}

describe("Galera", () => {
  it("is healthy when all nodes are synced in one component", async () => {
    expect(await look("healthy")).toMatchObject({
      state: "healthy",
      reasons: [],
      sets: [{ needed: 2, members: [{ name: "n1", state: "up" }, { name: "n2" }, { name: "n3" }] }],
    });
  });
  it("is degraded with a donor, which still votes", async () => {
    const health = await look("donor");
    expect(health).toMatchObject({ state: "degraded", reasons: ["galera node n2: it is Donor/Desynced"] });
    expect(health.sets[0]?.members[1]?.state).toBe("up");
  });
  it("names the node that is gone", async () => {
    const health = await look("degraded");
    expect(health.state).toBe("degraded");
    expect(health.reasons).toEqual([expect.stringMatching(/^galera node n3 is not up: ERROR 2002/)]);
  });
  it("counts nobody who is not in the primary component", async () => {
    const health = await look("no-quorum");
    expect(health.reasons).toContain("galera node n1 is not up: it is non-Primary, Initialized");
    expect(health.reasons).toContain("galera: no node is in a primary component");
    expect(health.sets[0]?.members.map((m) => m.state)).toEqual(["down", "down", "down"]);
  });
  it("cannot tell a wrong password from anything else", async () => {
    const health = await look("denied");
    expect(health.state).toBe("unknown");
    expect(health.reasons[0]).toMatch(/^galera node n1: .*Access denied/);
  });
  it("sees members that nobody named, and a membership that differs", async () => {
    expect((await look("healthy", { nodes: "n1,n2" })).reasons).toEqual([
      "galera has 3 members, 2 are named; complete the setting nodes or arbitrators",
    ]);
    const split = await look(changed("n3", "wsrep_cluster_conf_id\t3", "wsrep_cluster_conf_id\t7"));
    expect(split.reasons).toEqual(["galera: nodes see different memberships"]);
  });
  it("counts an arbitrator by what is left of the size, and keeps one that holds data", async () => {
    const health = await look("healthy", { nodes: "n1,n2", arbitrators: "arb1" });
    expect(health.sets[0]).toMatchObject({ needed: 2, oneOf: ["n1", "n2"] });
    expect(health.sets[0]?.members[2]).toMatchObject({ name: "garbd arb1", state: "up", roles: ["arbiter"] });
  });
  it("is degraded while write sets queue up", async () => {
    const health = await look(changed("n2", "wsrep_local_recv_queue\t0", "wsrep_local_recv_queue\t4711"));
    expect(health.reasons).toEqual(["galera node n2: 4711 write sets wait to be applied (limit 100)"]);
  });
});

standsDamage({
  probe: galeraProbe,
  system: "galera",
  settings,
  situations: ["healthy", "donor", "degraded", "no-quorum", "denied", "down"],
});
