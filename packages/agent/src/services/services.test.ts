import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { recorded } from "../probes/testing/recording.ts";
import { cephNooutService } from "./ceph-noout.ts";
import { fleetService } from "./fleet.ts";
import { pacemakerService } from "./pacemaker.ts";
import { systemdService } from "./systemd.ts";
import { Bench, ended } from "./testing/bench.ts";

let bench: Bench;
beforeEach(() => {
  vi.useFakeTimers();
  bench = new Bench();
});
afterEach(() => {
  bench.close();
  vi.useRealTimers();
});
const told = () => bench.asked.filter((asked) => !asked.startsWith("systemctl show"));

describe("a systemd unit", () => {
  const unit = { name: "nova-compute" };
  it("is stopped once, started, and found well", async () => {
    bench.units.set("nova-compute.service", "active");
    expect(await bench.step(systemdService, "service-stop", unit)).toMatchObject({ verdict: "ok", reason: "" });
    expect(await bench.step(systemdService, "service-stop", unit)).toMatchObject({
      verdict: "ok",
      reason: "it was stopped already",
    });
    expect(await bench.step(systemdService, "service-check", unit)).toMatchObject({
      verdict: "failed",
      reason: "nova-compute.service is inactive (dead)",
    });
    expect(await bench.step(systemdService, "service-start", unit)).toMatchObject({ verdict: "ok", reason: "" });
    expect(told()).toEqual(["systemctl stop -- nova-compute.service", "systemctl start -- nova-compute.service"]);
  });
  it("that somebody had stopped before is not started", async () => {
    bench.units.set("nova-compute.service", "inactive");
    await bench.step(systemdService, "service-stop", unit);
    const started = await bench.step(systemdService, "service-start", unit);
    expect(started).toMatchObject({
      verdict: "ok",
      reason: "it had been stopped before the work began, and is left so",
    });
    expect(told()).toEqual([]);
    expect((await bench.step(systemdService, "service-start", unit)).reason).toBe("");
    expect(told()).toEqual(["systemctl start -- nova-compute.service"]);
  });
  it("that does not stop is named when the time is up", async () => {
    bench.units.set("nova-compute.service", "active");
    bench.answer = (asked) => (asked.includes(" stop ") ? ended() : undefined);
    expect(await bench.step(systemdService, "service-stop", { ...unit, timeoutMs: 5_000 })).toMatchObject({
      verdict: "failed",
      reason: "nova-compute.service is still active (running); the time is up",
    });
  });
  it.each([
    ["is not there", "nosuch", /^unit nosuch.service is not-found on this host/],
    ["is no name", "a b; reboot", /is no name of a unit/],
    ["is an option", "--force", /is no name of a unit/],
  ])("that %s is refused", async (_name, name, reason) => {
    const result = await bench.step(systemdService, "service-stop", { name });
    expect(result.verdict).toBe("failed");
    expect(result.reason).toMatch(reason);
    expect(told()).toEqual([]);
  });
  it("is looked at after a restart of the agent, and nothing is done to it", async () => {
    bench.units.set("nova-compute.service", "active");
    const resumed = (verb: "service-stop" | "service-start") =>
      bench.step(systemdService, verb, { ...unit, resume: true });
    expect((await resumed("service-stop")).verdict).toBe("interrupted");
    expect((await resumed("service-start")).verdict).toBe("ok");
    bench.units.set("nova-compute.service", "inactive");
    expect((await resumed("service-stop")).verdict).toBe("ok");
    expect((await resumed("service-start")).verdict).toBe("interrupted");
    expect(told()).toEqual([]);
  });
});

describe("fleet", () => {
  const id = "5008552852624d72a68626cb8d4acf5d";
  const service = fleetService(() => id);
  const machines = (stdout: string) => (asked: string) =>
    asked.startsWith("fleetctl list-machines") ? ended(stdout) : undefined;
  const head = "MACHINE\t\tIP\t\tMETADATA\n";
  beforeEach(() => {
    for (const unit of ["fleet.socket", "fleet.service"]) bench.units.set(unit, "active");
  });
  it("stops with its socket, which would start it again", async () => {
    expect((await bench.step(service, "service-stop")).verdict).toBe("ok");
    expect(told()).toEqual(["systemctl stop -- fleet.socket fleet.service"]);
    bench.units.set("fleet.socket", "active");
    expect((await bench.step(service, "service-stop")).reason).toBe("");
  });
  it("is back when the cluster lists this machine", async () => {
    bench.answer = machines(`${head}${id}\t10.77.0.12\tname=worker1\n`);
    expect((await bench.step(service, "service-start")).verdict).toBe("ok");
    bench.answer = machines(head);
    expect((await bench.step(service, "service-start", { timeoutMs: 4_000 })).reason).toBe(
      `fleet does not list this machine (${id}); the time is up`,
    );
  });
});

describe("Pacemaker", () => {
  const mon = (situation: string) => [...recorded("pacemaker", situation).values()][0];
  it("moves its resources away and waits until they have gone", async () => {
    let looks = 0;
    bench.answer = (asked) => {
      if (!asked.startsWith("crm_mon")) return ended();
      looks++;
      const standby = mon("standby");
      if (looks <= 2) return mon("healthy");
      return looks === 3
        ? { ...ended(), stdout: standby?.stdout.replace(/(name="n3".*resources_running=")0/, "$11") ?? "" }
        : standby;
    };
    expect(await bench.step(pacemakerService, "service-stop", { settings: { node: "n3" } })).toMatchObject({
      verdict: "ok",
    });
    expect(bench.asked.filter((a) => !a.startsWith("crm_mon"))).toEqual(["crm_standby --node=n3 --update=on"]);
    expect(looks).toBe(4);
  });
  it.each([
    ["a fence is due", "degraded", /pacemaker is not well: .*n3 is unclean/],
    ["an action failed", "failed-action", /monitor of d2 failed on n2/],
    ["it does not answer", "down", /Could not connect/],
  ])("is left alone while %s", async (_name, situation, reason) => {
    bench.answer = (asked) => (asked.startsWith("crm_mon") ? mon(situation) : ended());
    const result = await bench.step(pacemakerService, "service-stop");
    expect(result.verdict).toBe("failed");
    expect(result.reason).toMatch(reason);
    expect(bench.asked.every((asked) => asked.startsWith("crm_mon"))).toBe(true);
  });
  it("comes back from standby", async () => {
    bench.answer = (asked) => (asked.startsWith("crm_mon") ? mon("healthy") : ended());
    expect((await bench.step(pacemakerService, "service-start")).verdict).toBe("ok");
    expect(bench.asked[0]).toBe("crm_standby --node=n1 --delete");
  });
});

describe("Ceph's noout", () => {
  let isSet: boolean;
  beforeEach(() => {
    isSet = false;
    bench.answer = (asked) => {
      if (asked.endsWith("node ls"))
        return recorded("ceph", "healthy").get("ceph --connect-timeout=5 --format=json node ls");
      if (asked.endsWith("osd dump"))
        return ended(JSON.stringify({ crush_node_flags: isSet ? { n1: ["noout"] } : { n2: ["noout"] } }));
      isSet = asked.includes(" set-group ");
      return ended();
    };
  });
  const changes = () => bench.asked.filter((asked) => asked.includes("-group"));
  it("is set for this host alone, and taken back", async () => {
    expect((await bench.step(cephNooutService, "service-stop")).verdict).toBe("ok");
    expect((await bench.step(cephNooutService, "service-stop")).reason).toBe("it was stopped already");
    expect((await bench.step(cephNooutService, "service-check")).reason).toBe("ceph: noout is set for n1");
    expect((await bench.step(cephNooutService, "service-start")).verdict).toBe("ok");
    expect(changes()).toEqual([
      "ceph --connect-timeout=5 osd set-group noout n1",
      "ceph --connect-timeout=5 osd unset-group noout n1",
    ]);
  });
  it("that an operator had set stays", async () => {
    isSet = true;
    await bench.step(cephNooutService, "service-stop");
    expect((await bench.step(cephNooutService, "service-start")).reason).toMatch(/left so/);
    expect(changes()).toEqual([]);
  });
  it("is not set for a host that has no OSD: Ceph would take any name", async () => {
    const result = await bench.step(cephNooutService, "service-stop", { settings: { node: "n9" } });
    expect(result.reason).toBe("ceph has no OSD on n9; give its name there in the setting node");
    expect(changes()).toEqual([]);
  });
});
