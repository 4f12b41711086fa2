import { SlipwayError } from "@slipway/shared";
import type { Settings } from "../config/settings.ts";
import type { Machine, Platform } from "../steps/ports.ts";
import { FileWorld } from "./simulated/files.ts";
import { SimulatedHypervisor } from "./simulated/hypervisor.ts";
import { SimulatedPlatform } from "./simulated/platform.ts";

/** The platform of a host, with what only its process has to do with it. */
export interface OpenPlatform {
  /** Absent on a host without instances. */
  readonly platform?: Platform;
  /** To be called a few times a second, before the core's. */
  tick(): void;
  /** A simulated host goes off. */
  cutPower(): void;
  /** The process ends; what the platform does it goes on doing. */
  close(): void;
}

const idle = { tick: () => {}, cutPower: () => {}, close: () => {} };

export function openPlatform(settings: Settings, machine: Machine): OpenPlatform {
  switch (settings.platform) {
    case "none":
      return idle;
    case "simulated":
      return openSimulated(settings, machine);
    case "libvirt":
      throw new SlipwayError("refused", "slipway.platform: libvirt is not in this agent yet", { fix: "write none" });
  }
}

function openSimulated({ host, simulatedWorld }: Settings, machine: Machine): OpenPlatform {
  const world = new FileWorld(simulatedWorld);
  world.join(host);
  // Hosts of one pool share one machine, so its monotonic clock is the world's.
  const nowMs = () => machine.monotonicMs();
  const hypervisor = new SimulatedHypervisor(host, world, { nowMs, wallMs: () => machine.wallMs() });
  const platform = new SimulatedPlatform(hypervisor, nowMs);
  let isBooted = false;
  return {
    ...idle,
    platform,
    tick: () => {
      try {
        if (!isBooted) hypervisor.boot(machine.bootId());
        isBooted = true;
      } catch {
        // A file that cannot be read; the platform's reading names it.
      }
      platform.tick();
    },
    cutPower: () => hypervisor.powerCut(),
  };
}
