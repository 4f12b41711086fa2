import {
  type Clock,
  findIn,
  MemoryWorld,
  type SimulatedHost,
  SimulatedHypervisor,
  type SimulatedInstance,
  type SimulatedWorld,
} from "@slipway/agent/internals";
import { SlipwayError } from "@slipway/shared";
import type { World } from "./world.ts";

export type Work = NonNullable<SimulatedInstance["work"]>;

/** Why an instance began or ceased to run: what Slipway asked a hypervisor for, or something that it has no part in. */
export type Cause = Work | "guest" | "somebody" | "power" | "boot" | "unknown";

/** Everything that happens to instances, as it happens. */
export interface GuestWatch {
  begun(host: string, instance: SimulatedInstance, work: Work): void;
  stopped(host: string, before: SimulatedInstance, cause: Cause): void;
  started(host: string, instance: SimulatedInstance, cause: Cause): void;
  arrived(from: string, to: string, instance: SimulatedInstance, cause: Cause): void;
  lost(host: string, before: SimulatedInstance, cause: Cause): void;
  doubled(instance: SimulatedInstance, hosts: readonly string[]): void;
}

/** The instances of a pool as they truly are: what agents and controller know of them is another matter. */
export class Guests extends MemoryWorld {
  readonly #world: World;
  readonly #watch: GuestWatch;
  readonly #hypervisors = new Map<string, SimulatedHypervisor>();
  /** Where each instance runs. */
  readonly #on = new Map<string, Set<string>>();
  readonly #changed = new Map<string, SimulatedHost>();
  /** Hosts whose libvirtd does not answer. */
  readonly outages = new Set<string>();
  /** Pairs of hosts ("hv1 hv2") between which no migration gets through. */
  readonly cut = new Set<string>();
  /** The next hand-over leaves a stopped definition on its source. */
  leavesLeftover: () => boolean = () => false;
  #cause: Cause | undefined;
  #handing = false;
  /** What a hypervisor has just finished with: it hands over in the next moment. */
  #finished: { readonly uuid: string; readonly work: Work } | undefined;

  constructor(world: World, watch: GuestWatch) {
    super();
    this.#world = world;
    this.#watch = watch;
    this.isReachable = (from, to) =>
      !this.outages.has(to) && !this.cut.has(`${from} ${to}`) && !this.cut.has(`${to} ${from}`);
  }

  hypervisor(host: string): SimulatedHypervisor {
    const found = this.#hypervisors.get(host);
    if (found === undefined) throw new Error(`${host} has no hypervisor`);
    return found;
  }

  has(host: string): boolean {
    return this.#hypervisors.has(host);
  }

  /** Puts up a hypervisor, which outlives agents; the host is in its first boot. */
  install(name: string, host: SimulatedHost, clock: Clock, bootId: string): void {
    this.add(name, host);
    this.setBoot(name, bootId);
    this.#hypervisors.set(name, new SimulatedHypervisor(name, this.#view(name), clock));
  }

  /** A host has another capacity from now on; MemoryWorld hands out the host as it is. */
  change(name: string, host: SimulatedHost): void {
    this.#changed.set(name, host);
  }

  override host(name: string): SimulatedHost {
    return this.#changed.get(name) ?? super.host(name);
  }

  /** What runs on a host. */
  running(host: string): SimulatedInstance[] {
    return this.instances(host).filter(isAlive);
  }

  /** Hosts on which an instance runs: one at most, if all is well. */
  whereRuns(uuid: string): string[] {
    return [...(this.#on.get(uuid) ?? [])];
  }

  /** Hosts on which it is defined, running or not. */
  whereDefined(uuid: string): string[] {
    return [...this.#hypervisors.keys()].filter((host) => findIn(this, host, uuid) !== undefined);
  }

  /** Something that Slipway has no part in. */
  by(cause: Cause, act: () => void): void {
    this.#cause = cause;
    try {
      act();
    } finally {
      this.#cause = undefined;
    }
  }

  /** libvirtd goes: what it had under way is given up, what runs runs on. */
  outage(host: string): void {
    for (const one of this.instances(host)) if (one.work) super.put(host, { ...one, work: undefined });
    this.outages.add(host);
  }

  powerCut(host: string): void {
    this.outages.delete(host);
    this.by("power", () => this.hypervisor(host).powerCut());
  }

  boot(host: string, bootId: string): void {
    // A boot starts libvirtd, too.
    this.outages.delete(host);
    this.by("boot", () => this.hypervisor(host).boot(bootId));
  }

  override put(host: string, instance: SimulatedInstance): void {
    const before = findIn(this, host, instance.uuid);
    super.put(host, instance);
    if (this.#handing) return;
    const { work } = instance;
    this.#finished = before?.work && work === undefined ? { uuid: instance.uuid, work: before.work } : undefined;
    if (work && before?.work?.id !== work.id) {
      this.#watch.begun(host, instance, work);
      this.#tickWhenDue(host, work);
    }
    const cause = this.#cause ?? before?.work ?? "unknown";
    if (before && isAlive(before) && !isAlive(instance)) this.#stopped(host, before, cause);
    else if (isAlive(instance) && !(before && isAlive(before))) this.#started(host, instance, cause);
  }

  override remove(host: string, uuid: string): void {
    const before = findIn(this, host, uuid);
    super.remove(host, uuid);
    if (before === undefined || this.#handing) return;
    const cause = this.#cause ?? before.work ?? "unknown";
    if (isAlive(before)) this.#stopped(host, before, cause);
    if (this.whereDefined(uuid).length === 0) this.#watch.lost(host, before, cause);
  }

  override hand(from: string, to: string, uuid: string): void {
    const instance = findIn(this, from, uuid);
    if (instance === undefined) throw new Error(`${uuid} is not on ${from}`);
    this.#handing = true;
    super.hand(from, to, uuid);
    if (instance.persistent && this.leavesLeftover())
      super.put(from, { ...instance, state: "shutoff", stateReason: "migrated", autostart: false });
    this.#handing = false;
    const on = this.#on.get(uuid) ?? new Set();
    on.delete(from);
    on.add(to);
    this.#on.set(uuid, on);
    const work = this.#finished?.uuid === uuid ? this.#finished.work : undefined;
    this.#watch.arrived(from, to, instance, this.#cause ?? work ?? "unknown");
    this.#checkDoubled(instance);
  }

  #stopped(host: string, before: SimulatedInstance, cause: Cause): void {
    this.#on.get(before.uuid)?.delete(host);
    this.#watch.stopped(host, before, cause);
  }

  #started(host: string, instance: SimulatedInstance, cause: Cause): void {
    const on = this.#on.get(instance.uuid) ?? new Set();
    this.#on.set(instance.uuid, on.add(host));
    this.#watch.started(host, instance, cause);
    this.#checkDoubled(instance);
  }

  #checkDoubled(instance: SimulatedInstance): void {
    const on = this.whereRuns(instance.uuid);
    if (on.length > 1) this.#watch.doubled(instance, on);
  }

  /** A hypervisor does what is due whether or not an agent looks on. */
  #tickWhenDue(host: string, { beganMs, takesMs, stuckMs, deadlineMs }: Work): void {
    const { now } = this.#world;
    const due = [takesMs, takesMs / 2 + stuckMs].map((ms) => Math.ceil(beganMs + ms));
    for (const at of [...due, deadlineMs])
      this.#world.after(at - now, () => {
        if (!this.outages.has(host) && this.bootOf(host) !== "") this.hypervisor(host).tick();
      });
  }

  /** The world as one host's libvirtd shows it; it shows nothing while it is down. */
  #view(own: string): SimulatedWorld {
    const read = <T>(host: string, value: () => T): T => {
      if (host === own && this.outages.has(own))
        throw new SlipwayError("unreachable", "libvirtd does not answer: Connection refused");
      return value();
    };
    return {
      host: (name) => read(name, () => this.host(name)),
      bootOf: (host) => this.bootOf(host),
      setBoot: (host, bootId) => this.setBoot(host, bootId),
      instances: (host) => read(host, () => this.instances(host)),
      put: (host, instance) => this.put(host, instance),
      remove: (host, uuid) => this.remove(host, uuid),
      hand: (from, to, uuid) => this.hand(from, to, uuid),
      reaches: (from, to) => this.reaches(from, to),
    };
  }
}

export function isAlive({ state }: Pick<SimulatedInstance, "state">): boolean {
  return state !== "shutoff";
}

/** Memory that counts where room is counted, in MiB. */
export function memoryOf({ memoryMib, memoryMaxMib }: Pick<SimulatedInstance, "memoryMib" | "memoryMaxMib">): number {
  return Math.max(memoryMib, memoryMaxMib);
}
