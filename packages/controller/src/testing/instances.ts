import type { Disk, HostCapacity, Instance, Inventory } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import { defaultPool, type PoolConfig } from "../domain/pool.ts";

/** A guest of 1 GiB that runs and can go anywhere. `uuid` follows from the name. */
export function instance(name: string, over: Partial<Instance> = {}): Instance {
  const memoryMib = over.memoryMib ?? 1024;
  return {
    uuid: uuidOf(name),
    name,
    state: "running",
    stateReason: "",
    vcpus: 1,
    memoryMib,
    memoryMaxMib: memoryMib,
    hugepageKib: 0,
    disks: [],
    devices: [],
    cpuMode: "custom",
    cpuModel: "qemu64",
    cpuFeatures: [],
    cpuDisabled: [],
    machineType: "pc-i440fx-7.2",
    virtType: "kvm",
    nics: [{ kind: "bridge", source: "br0" }],
    autostart: false,
    persistent: true,
    guestAgent: false,
    metadata: {},
    generation: 0,
    job: "",
    saved: false,
    numaNodes: [],
    pinned: "",
    startedAtMs: 0n,
    ...over,
  };
}

/** A disk on storage that every host of `host()` reaches. */
export function disk(target: string, over: Partial<Disk> = {}): Disk {
  return {
    target,
    kind: "file",
    device: "disk",
    source: `/vm/${target}.qcow2`,
    pool: "shared",
    sharedAs: "netfs nas:/vm",
    sizeMib: 10_240,
    readonly: false,
    shareable: false,
    ...over,
  };
}

/** A disk that only its host has, in the pool `local` that every host has one of. */
export function localDisk(target: string, over: Partial<Disk> = {}): Disk {
  return disk(target, { source: `/var/lib/vm/${target}.qcow2`, pool: "local", sharedAs: "", ...over });
}

/** A host of 16 GiB and 8 processors, with what runs on it. Read at engine time 0. */
export function host(
  name: string,
  instances: readonly Instance[] = [],
  over: Partial<HostCapacity> = {},
  about: Partial<Omit<HostInventory, "inventory">> & { readonly inventory?: Partial<Inventory> } = {},
): HostInventory {
  const { inventory, ...rest } = about;
  return {
    host: name,
    labels: {},
    connected: true,
    readT: 0,
    ...rest,
    inventory: {
      seq: 1,
      platform: "libvirt",
      problem: "",
      cordonedBy: "",
      instances: [...instances],
      capacity: capacity(name, over),
      ...inventory,
    },
  };
}

export function capacity(name: string, over: Partial<HostCapacity> = {}): HostCapacity {
  return {
    memoryMib: 16_384,
    memoryFreeMib: 16_384,
    cpus: 8,
    cpuArch: "x86_64",
    cpuModel: "Skylake-Server",
    cpuVendor: "Intel",
    cpuFeatures: ["avx", "avx2"],
    numa: [],
    hugepages: [],
    machineTypes: ["pc", "pc-i440fx-7.2"],
    bridges: ["br0"],
    networks: ["default"],
    pools: [
      { name: "shared", type: "netfs", path: "/vm", active: true, sharedAs: "netfs nas:/vm", freeMib: 1_000_000 },
      { name: "local", type: "dir", path: "/var/lib/vm", active: true, sharedAs: "", freeMib: 100_000 },
    ],
    migrationUri: `qemu+tls://${name}/system`,
    migrationAddress: "",
    version: "libvirt 9.0.0, QEMU 7.2.22",
    virtTypes: ["qemu", "kvm"],
    cpuModels: ["qemu64", "Haswell"],
    ...over,
  };
}

/** A pool file with these words in it. */
export function poolOf(
  capacity: Partial<PoolConfig["capacity"]> = {},
  instances: PoolConfig["instances"] = [],
): PoolConfig {
  return { ...defaultPool, capacity: { ...defaultPool.capacity, ...capacity }, instances };
}

/** The same for the same name, different for different names. */
export function uuidOf(name: string): string {
  let hex = [...new TextEncoder().encode(name)].map((b) => b.toString(16).padStart(2, "0")).join("");
  hex = hex.slice(-32).padStart(32, "0");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
