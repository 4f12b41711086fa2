import type { Settings } from "../config/settings.ts";
import type { Log, Machine, Platform } from "../steps/ports.ts";
import { createFleetPlatform } from "./fleet/index.ts";
import { createLibvirtPlatform } from "./libvirt/index.ts";
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

export interface PlatformPorts {
  readonly machine: Machine;
  /** A job has ended; the core's `ended`. */
  readonly announce: (id: string) => void;
  readonly log: Log;
}

export function openPlatform(settings: Settings, ports: PlatformPorts): OpenPlatform {
  switch (settings.platform) {
    case "none":
      return idle;
    case "simulated":
      return openSimulated(settings, ports);
    case "libvirt":
      return openLibvirt(settings, ports);
    case "fleet":
      return openFleet(settings, ports);
  }
}

function openLibvirt(settings: Settings, { machine, announce, log }: PlatformPorts): OpenPlatform {
  const platform = createLibvirtPlatform({
    uri: settings.libvirtUri,
    migrationUri: settings.migration.uri,
    migrationAddress: settings.migration.address,
    reserveMib: settings.reservedMemoryMib,
    sharedPaths: settings.sharedPaths,
    stateDir: settings.stateDir,
    monotonicMs: () => machine.monotonicMs(),
    announce,
    log,
  });
  platform.open();
  return { ...idle, platform, close: () => platform.close() };
}

function openFleet({ reservedMemoryMib, stateDir }: Settings, { machine, announce, log }: PlatformPorts): OpenPlatform {
  const platform = createFleetPlatform({
    reserveMib: reservedMemoryMib,
    stateDir,
    monotonicMs: () => machine.monotonicMs(),
    announce,
    log,
  });
  platform.open();
  return { ...idle, platform, close: () => platform.close() };
}

function openSimulated({ host, simulatedWorld }: Settings, { machine }: PlatformPorts): OpenPlatform {
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
