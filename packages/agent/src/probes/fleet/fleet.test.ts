import { describe, expect, it } from "vitest";
import { standsDamage } from "../testing/damage.ts";
import { type Recording, recorded, replay } from "../testing/recording.ts";
import { fleetProbe } from "./probe.ts";

const look = (recording: Recording | string, settings: Record<string, string> = {}) =>
  replay(fleetProbe, typeof recording === "string" ? recorded("fleet", recording) : recording, { settings });

function changed(what: string, from: string | RegExp, to: string): Recording {
  const recording = new Map(recorded("fleet", "healthy"));
  for (const [asked, answer] of recording)
    if (asked.includes(what)) recording.set(asked, { ...answer, stdout: answer.stdout.replace(from, to) });
  return recording;
}

describe("fleet", () => {
  it("is healthy when every unit is what it shall be", async () => {
    expect(await look("healthy", { machines: "top1,worker1,10.77.0.13" })).toMatchObject({
      state: "healthy",
      reasons: [],
    });
  });
  it("names the units that it dropped without a word when a machine left", async () => {
    expect(await look("degraded", { machines: "top1,worker1,worker2" })).toMatchObject({
      state: "degraded",
      reasons: [
        "fleet machine worker1 is missing",
        "fleet unit pcocc-vm-batch1.service shall be launched and is inactive",
        "fleet unit pcocc-vm-ns3.service shall be launched and is inactive",
      ],
    });
  });
  it("does not miss what was stopped on purpose", async () => {
    expect((await look("one-stopped")).state).toBe("healthy");
  });
  it.each([
    ["a unit that failed", "list-units", "active\trunning", "failed\tfailed", /is failed \(failed\)/],
    ["a launched unit that runs nowhere", "list-units", /pcocc-vm-ns1.*\n/, "", /is launched and runs nowhere/],
    ["a unit on a machine that is gone", "list-machines", /cb23.*\n/, "", /on machine cb23\w+, which is missing/],
  ])("sees %s", async (_name, what, from, to, reason) => {
    const health = await look(changed(what, from, to));
    expect(health.state).toBe("degraded");
    expect(health.reasons.join("\n")).toMatch(reason);
  });
  it("takes a global unit for what it is: one on each machine that its file allows", async () => {
    expect(await look("global")).toMatchObject({ state: "healthy", reasons: [] });
    expect(await look("global-failed")).toMatchObject({
      state: "degraded",
      reasons: [
        "fleet unit monitor.service is failed (failed) on worker1",
        "fleet unit monitor.service is global and does not run on worker2",
      ],
    });
  });
  it("does not guess where a global unit may run when its file is not the one that fleet lists", async () => {
    const recording = new Map(recorded("fleet", "global"));
    const asked = "fleetctl cat monitor.service";
    const answer = recording.get(asked);
    if (answer === undefined) throw new Error("not recorded");
    recording.set(asked, { ...answer, stdout: answer.stdout.replace("role=hypervisor", "role=nothing") });
    expect(await look(recording)).toMatchObject({
      state: "unknown",
      reasons: ["fleetctl cat monitor.service: the answer is not what fleet lists"],
    });
  });
  it("cannot tell when its own lists disagree", async () => {
    expect((await look(changed("list-unit-files", /pcocc-vm-ns1.*\n/, ""))).reasons).toEqual([
      "fleet: pcocc-vm-ns1.service runs and has no unit file; the answers do not agree",
    ]);
  });
});

standsDamage({
  probe: fleetProbe,
  system: "fleet",
  situations: ["healthy", "degraded", "global", "global-failed"],
  settings: { machines: "top1,worker1,worker2" },
});
