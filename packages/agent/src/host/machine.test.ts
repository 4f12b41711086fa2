import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EXIT_REBOOTED, RealMachine, SimulatedMachine } from "./machine.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-host-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe("a simulated machine", () => {
  it("keeps its boot id over a restart of the agent and changes it with a reboot, power first", async () => {
    const events: string[] = [];
    const status = await new Promise<number>((resolve) => {
      const boot = (exit: (status: number) => void) =>
        new SimulatedMachine({ stateDir: dir, cutPower: () => events.push("power cut"), exit });
      const machine = boot(resolve);
      events.push(String(boot(() => {}).bootId() === machine.bootId()));
      machine.reboot((reason) => events.push(reason));
      machine.reboot((reason) => events.push(reason));
      events.push(machine.bootId());
    });
    expect(status).toBe(EXIT_REBOOTED);
    const next = new SimulatedMachine({ stateDir: dir, cutPower: () => {}, exit: () => {} });
    expect(events).toEqual(["true", expect.stringMatching(/^[0-9a-f-]{36}$/), "power cut"]);
    expect(next.bootId()).not.toBe(events[1]);
  });
  it("says so when it cannot go down", async () => {
    const reason = await new Promise<string>((resolve) => {
      const cutPower = () => {
        throw new Error("a process cannot be ended");
      };
      new SimulatedMachine({ stateDir: dir, cutPower, exit: () => {} }).reboot(resolve);
    });
    expect(reason).toBe("simulated reboot: a process cannot be ended");
  });
});

describe("the real machine", () => {
  it("has a boot id and a clock that only rises", () => {
    const machine = new RealMachine();
    expect(machine.bootId()).toMatch(/^[0-9a-f-]{36}$/);
    const before = machine.monotonicMs();
    expect(machine.monotonicMs()).toBeGreaterThanOrEqual(before);
  });
});
