import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { recorded, replay } from "../testing/recording.ts";
import { rabbitProbe } from "./probe.ts";

const look = (situation: string, going: string[] = []) =>
  replay(rabbitProbe, recorded("rabbitmq", situation), { going });

describe("RabbitMQ", () => {
  it("is healthy when all nodes run", async () => {
    expect(await look("healthy")).toMatchObject({
      state: "healthy",
      reasons: [],
      identity: "rabbit@n1,rabbit@n2,rabbit@n3",
      version: "3.10.8",
      goingVerdict: "",
      sets: [{ needed: 2, members: [{ name: "rabbit@n1", host: "n1" }, { name: "rabbit@n2" }, { name: "rabbit@n3" }] }],
    });
  });
  it("lets a node go that no queue depends on, and none whose queues have no member to spare", async () => {
    expect(await look("healthy", ["n1.example.org"])).toMatchObject({ goingVerdict: "ok", goingReasons: [] });
    expect(await look("degraded", ["n1"])).toMatchObject({
      goingVerdict: "deny",
      goingReasons: ["Node rabbit@n1 reported local queues with minimum online quorum (queue 'qq' in vhost '/')"],
    });
  });
  it("has nothing against a host that it is not on, and no answer about two of its nodes at once", async () => {
    expect((await look("healthy", ["h9"])).goingVerdict).toBe("ok");
    const recording = new Map(recorded("rabbitmq", "healthy"));
    const [asked = ""] = [...recording.keys()].filter((k) => k.includes("critical"));
    const answer = recording.get(asked);
    if (answer) recording.set(asked.replace("@n1", "@n2"), answer);
    expect((await replay(rabbitProbe, recording, { going: ["n1", "n2"] })).goingVerdict).toBe("unknown");
  });
  it("names who does not run, and who is in maintenance", async () => {
    expect((await look("degraded")).reasons).toEqual(["rabbitmq node rabbit@n3 does not run"]);
    expect((await look("maintenance")).reasons).toContain("rabbitmq node rabbit@n2 is in maintenance mode");
  });
  it("does not take the check of a node in maintenance for an answer", async () => {
    expect((await look("maintenance-self", ["n2"])).goingVerdict).toBe("unknown");
  });
  it("is unknown when it does not run", async () => {
    const health = await look("down");
    expect(health.state).toBe("unknown");
    expect(health.reasons[0]).toMatch(/unable to perform an operation on node 'rabbit@n1'/);
  });
});

standsDamage({
  probe: rabbitProbe,
  system: "rabbitmq",
  going: ["n1"],
  situations: ["healthy", "degraded", "maintenance", "no-quorum", "down"],
});
