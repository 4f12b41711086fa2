import type { HostCapacity, Instance, InstanceVerb } from "@slipway/shared";

/** What the hypervisor of an instance's host is doing with it. */
export interface Work {
  /** Key text of the step that asked for it. */
  readonly id: string;
  readonly verb: InstanceVerb;
  /** Of a move: the target, and the boot of it that the memory goes to. */
  readonly to: string;
  readonly toBoot: string;
  /** Times of the world's clock, in milliseconds. */
  readonly beganMs: number;
  readonly takesMs: number;
  readonly deadlineMs: number;
  /** Of a move: time without progress after which it is aborted. */
  readonly stuckMs: number;
}

/** An instance of a simulated world, with the faults that it will show. */
export interface SimulatedInstance extends Omit<Instance, "startedAtMs" | "generation" | "job"> {
  readonly startedAtMs: number;
  /** Verbs that fail, at the end of their time. */
  readonly fail: readonly InstanceVerb[];
  /** Verbs that never end by themselves. */
  readonly stuck: readonly InstanceVerb[];
  /** Everything takes this many times as long. */
  readonly slow: number;
  readonly work?: Work | undefined;
}

/** How long things take on a simulated host, in milliseconds. */
export interface Timing {
  /** Moving, or saving, one GiB of memory. */
  readonly perGibMs: number;
  /** Pause of a guest at the switch of a move. */
  readonly downtimeMs: number;
  readonly stopMs: number;
  readonly startMs: number;
}

export interface SimulatedHost {
  readonly capacity: HostCapacity;
  readonly timing: Timing;
}

/**
 * Hosts with instances on them, as seen by all of them. Synchronous, and each change is whole: nobody ever sees an instance on two
 * hosts, or on none. What reads throws a SlipwayError when the world cannot be read.
 */
export interface SimulatedWorld {
  host(name: string): SimulatedHost;
  /** Id of the boot a host is in; empty: it is off, or there is no such host. */
  bootOf(host: string): string;
  setBoot(host: string, bootId: string): void;
  /** What lies on a host, by uuid in order; the same array as long as nothing has changed. */
  instances(host: string): readonly SimulatedInstance[];
  put(host: string, instance: SimulatedInstance): void;
  remove(host: string, uuid: string): void;
  /** The instance is on `to` from now on, and no more on `from`. */
  hand(from: string, to: string, uuid: string): void;
  /** Whether a migration from one host to another gets through. */
  reaches(from: string, to: string): boolean;
}

export function findIn(world: SimulatedWorld, host: string, uuid: string): SimulatedInstance | undefined {
  return world.instances(host).find((one) => one.uuid === uuid);
}

/** A host that nothing is said about: room for a few guests, with storage that all hosts reach. */
export function plainHost(name: string): SimulatedHost {
  return {
    capacity: {
      memoryMib: 65_536,
      memoryFreeMib: 0,
      cpus: 16,
      cpuArch: "x86_64",
      cpuModel: "Skylake-Server",
      cpuVendor: "Intel",
      cpuFeatures: ["avx2"],
      numa: [],
      hugepages: [],
      machineTypes: ["pc-q35-7.2", "q35", "pc-i440fx-7.2", "pc"],
      bridges: ["br0"],
      networks: ["default"],
      pools: [
        { name: "vm", type: "netfs", path: "/vm", active: true, sharedAs: "netfs simulated:/vm", freeMib: 1_048_576 },
      ],
      migrationUri: `simulated://${name}`,
      migrationAddress: "",
      version: "simulated",
      virtTypes: ["kvm", "qemu"],
      cpuModels: ["Skylake-Server", "Haswell-noTSX"],
    },
    timing: { perGibMs: 1_000, downtimeMs: 50, stopMs: 500, startMs: 300 },
  };
}

/** An instance that nothing is said about but its name. */
export function plainInstance(uuid: string, name: string): SimulatedInstance {
  return {
    uuid,
    name,
    state: "running",
    stateReason: "booted",
    vcpus: 1,
    memoryMib: 1_024,
    memoryMaxMib: 0,
    hugepageKib: 0,
    disks: [],
    devices: [],
    cpuMode: "",
    cpuModel: "",
    cpuFeatures: [],
    cpuDisabled: [],
    machineType: "q35",
    virtType: "kvm",
    nics: [],
    autostart: false,
    persistent: true,
    guestAgent: false,
    metadata: {},
    saved: false,
    numaNodes: [],
    pinned: "",
    startedAtMs: 0,
    fail: [],
    stuck: [],
    slow: 1,
  };
}

/** The world in memory, for simulations. The object itself plays libvirt and the storage: it outlives agents and boots. */
export class MemoryWorld implements SimulatedWorld {
  readonly #hosts = new Map<string, { boot: string; host: SimulatedHost; instances: readonly SimulatedInstance[] }>();
  /** Cut to fail migrations between two hosts. */
  isReachable: (from: string, to: string) => boolean = () => true;

  add(name: string, host: SimulatedHost = plainHost(name)): void {
    this.#hosts.set(name, { boot: "", host, instances: [] });
  }

  host(name: string): SimulatedHost {
    return this.#on(name).host;
  }
  bootOf(host: string): string {
    return this.#hosts.get(host)?.boot ?? "";
  }
  setBoot(host: string, bootId: string): void {
    this.#on(host).boot = bootId;
  }
  instances(host: string): readonly SimulatedInstance[] {
    return this.#on(host).instances;
  }
  put(host: string, instance: SimulatedInstance): void {
    const on = this.#on(host);
    const others = on.instances.filter((one) => one.uuid !== instance.uuid);
    on.instances = [...others, instance].sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
  }
  remove(host: string, uuid: string): void {
    const on = this.#on(host);
    on.instances = on.instances.filter((one) => one.uuid !== uuid);
  }
  hand(from: string, to: string, uuid: string): void {
    const instance = findIn(this, from, uuid);
    if (instance === undefined) throw new Error(`${uuid} is not on ${from}`);
    this.put(to, instance);
    this.remove(from, uuid);
  }
  reaches(from: string, to: string): boolean {
    return this.bootOf(to) !== "" && this.isReachable(from, to);
  }

  #on(name: string) {
    const on = this.#hosts.get(name);
    if (on === undefined) throw new Error(`there is no host ${name}`);
    return on;
  }
}
