import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { HostCapacity } from "@slipway/shared";
import { type Identities, type Mount, parseMounts } from "./mounts.ts";
import { deviceUuid } from "./paths.ts";
import { parseNames } from "./words.ts";

const OVS_DEADLINE_MS = 5_000;
const OVS = "/usr/bin/ovs-vsctl";

/** What the kernel of this host says, of which libvirt says nothing or less. */
export interface LocalFacts {
  readonly memoryMib: number;
  readonly memoryFreeMib: number;
  readonly hugepages: HostCapacity["hugepages"];
  readonly bridges: readonly string[];
  readonly mounts: readonly Mount[];
}

export interface Local {
  /** Throws where the kernel's own files cannot be read. */
  facts(): Promise<LocalFacts>;
  /** When the guest of this name began to run here, milliseconds since the epoch; 0 when not known. */
  startedAtMs(name: string): number;
}

export const realLocal: Local = {
  async facts() {
    const { total, available } = parseMemory(readFileSync("/proc/meminfo", "utf8"));
    return {
      memoryMib: total,
      memoryFreeMib: available,
      hugepages: hugepages("/sys/kernel/mm/hugepages"),
      bridges: [...linuxBridges("/sys/class/net"), ...(await ovsBridges())].sort(),
      mounts: parseMounts(readFileSync("/proc/self/mountinfo", "utf8"), realIdentities),
    };
  },
  startedAtMs(name) {
    // Written by libvirtd when it starts the emulator, and when a migration arrives.
    const file = statSync(join("/run/libvirt/qemu", `${name}.pid`), { throwIfNoEntry: false });
    return Math.round(file?.mtimeMs ?? 0);
  },
};

/** /proc/meminfo in MiB. Throws when it says something else. */
export function parseMemory(meminfo: string): { total: number; available: number } {
  const field = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d{1,15}) kB$`, "m").exec(meminfo)?.[1];
    if (kib === undefined) throw new Error(`/proc/meminfo: no ${name}`);
    return Math.floor(Number(kib) / 1024);
  };
  return { total: field("MemTotal"), available: field("MemAvailable") };
}

function hugepages(dir: string): HostCapacity["hugepages"] {
  return list(dir).flatMap((name) => {
    const sizeKib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1]);
    const count = (file: string) => Number(readText(join(dir, name, file)).trim());
    const total = count("nr_hugepages");
    return sizeKib > 0 && total > 0 ? [{ sizeKib, total, free: count("free_hugepages") }] : [];
  });
}

function linuxBridges(dir: string): string[] {
  return list(dir).filter(
    (name) => existsSync(join(dir, name, "bridge")) && (Number(readText(join(dir, name, "flags")).trim()) & 1) === 1,
  );
}

function ovsBridges(): Promise<string[]> {
  if (!existsSync(OVS)) return Promise.resolve([]);
  const options = { timeout: OVS_DEADLINE_MS, maxBuffer: 256 * 1024, encoding: "utf8" } as const;
  return new Promise((resolve) => {
    execFile(OVS, ["--timeout=4", "list-br"], options, (error, out) => resolve(error === null ? parseNames(out) : []));
  });
}

const realIdentities: Identities = {
  glusterVolume(volume) {
    if (!/^[A-Za-z0-9_-]+$/.test(volume)) return "";
    return /^volume-id=([0-9a-f-]{36})$/m.exec(readText(`/var/lib/glusterd/vols/${volume}/info`))?.[1] ?? "";
  },
  deviceUuid,
};

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
