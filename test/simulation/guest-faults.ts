import { plainHost, plainInstance, type SimulatedHost, type SimulatedInstance } from "@slipway/agent";
import { defaultPool, type PoolConfig } from "@slipway/controller";
import type { InstanceVerb } from "@slipway/shared";
import type { World } from "@slipway/simulator";
import { isAlive, memoryOf } from "@slipway/simulator";
import type { Random } from "@slipway/simulator/random";
import type { Weather } from "./faults.ts";

export function drawHypervisor(random: Random, name: string): SimulatedHost {
  const plain = plainHost(name);
  const capacity = { ...plain.capacity, memoryMib: 1_024 * random.pick([8, 12, 16]), cpus: 16 };
  const timing = { perGibMs: random.pick([200, 1_000, 4_000]), downtimeMs: 50, stopMs: 2_000, startMs: 500 };
  return { capacity, timing };
}

export function drawPool(random: Random): PoolConfig {
  const migration = {
    ...defaultPool.migration,
    perHost: random.int(1, 3),
    perTarget: random.int(1, 3),
    perCluster: random.int(1, 4),
    stuckMs: random.pick([5_000, 15_000]),
    timeoutMs: random.pick([20_000, 60_000]),
    attempts: random.int(1, 3),
  };
  return { ...defaultPool, migration };
}

/** What may befall the same step of an instance again and again until the faults stop. */
function drawTrouble(random: Random, weather: Weather): Pick<SimulatedInstance, "fail" | "stuck" | "slow"> {
  const wrong = 0.1 * weather.wildness;
  const verbs: InstanceVerb[] = ["move", "move", "stop", "start", "save"];
  return {
    fail: random.chance(wrong) ? [random.pick(verbs)] : [],
    stuck: random.chance(wrong) ? [random.pick(verbs)] : [],
    slow: random.chance(wrong) ? random.pick([5, 40]) : 1,
  };
}

/** Instances as they lie on hosts before anything happens: each host takes what fits, and some room is left. */
export function drawGuests(
  random: Random,
  weather: Weather,
  hosts: readonly { name: string; memoryMib: number }[],
): { host: string; instance: SimulatedInstance }[] {
  const out: { host: string; instance: SimulatedInstance }[] = [];
  const fill = random.pick([0.3, 0.5, 0.6, 0.75]);
  let n = 0;
  for (const { name: host, memoryMib } of hosts) {
    let taken = 0;
    for (let i = random.int(0, 4); i > 0; i--) {
      const mib = 1_024 * random.pick([1, 1, 2, 2, 4, 6]);
      const off = random.chance(0.08);
      if (!off && taken + mib > memoryMib * fill) continue;
      if (!off) taken += mib;
      out.push({ host, instance: drawGuest(random, weather, ++n, mib, off, hosts) });
    }
  }
  // No two of a group that is kept apart begin on one host.
  const seen = new Set<string>();
  return out.map(({ host, instance }) => {
    const { apart, ...metadata } = instance.metadata;
    if (apart === undefined || !seen.has(`${host} ${apart}`)) {
      if (apart !== undefined) seen.add(`${host} ${apart}`);
      return { host, instance };
    }
    return { host, instance: { ...instance, metadata } };
  });
}

export function drawGuest(
  random: Random,
  weather: Weather,
  n: number,
  memoryMib: number,
  off: boolean,
  hosts: readonly { name: string }[],
): SimulatedInstance {
  const policy = random.chance(0.35)
    ? random.pick(["shutdown-restart", "shutdown-restart", "managed-save", "leave", "migrate-with-storage"])
    : undefined;
  const local = policy === "migrate-with-storage" || random.chance(0.01);
  const metadata: Record<string, string> = {
    ...(policy === undefined ? {} : { policy }),
    ...(random.chance(0.35) ? { apart: random.pick(["web", "web", "db"]) } : {}),
    ...(random.chance(0.3) ? { home: random.pick(hosts).name } : {}),
    ...(random.chance(0.2) ? { tier: String(random.int(1, 2)) } : {}),
  };
  const disk = {
    target: "vda",
    device: "disk",
    kind: "file",
    source: `/vm/${n}.qcow2`,
    pool: "vm",
    sharedAs: local ? "" : "netfs simulated:/vm",
    readonly: false,
    shareable: false,
    sizeMib: 2_048,
  };
  return {
    ...plainInstance(uuidOf(n), `vm${n}`),
    ...drawTrouble(random, weather),
    ...(off ? { state: "shutoff", stateReason: "" } : {}),
    ...(!off && random.chance(0.06) ? { state: "paused", stateReason: "user" } : {}),
    memoryMib,
    metadata,
    disks: [disk as SimulatedInstance["disks"][number]],
    persistent: !random.chance(0.08),
    autostart: random.chance(0.2),
    ...(random.chance(0.015)
      ? { devices: [{ kind: "pci", name: "0000:03:00.0" } as SimulatedInstance["devices"][number]] }
      : {}),
  };
}

export function uuidOf(n: number): string {
  return `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
}

/** What goes wrong with instances and their hypervisors, or is done to them by others. */
export class GuestTrouble {
  readonly #world: World;
  readonly #random: Random;
  readonly #weather: Weather;
  #stopped = false;
  #newcomers = 0;

  constructor(world: World, random: Random, weather: Weather) {
    this.#world = world;
    this.#random = random;
    this.#weather = weather;
    world.guests.leavesLeftover = () => !this.#stopped && random.chance(0.1 * weather.wildness);
  }

  begin(): void {
    if (Number.isFinite(this.#weather.everyMs)) this.#next();
  }

  #next(): void {
    this.#world.after(this.#random.exponential(this.#weather.everyMs), () => {
      if (this.#stopped) return;
      this.#strike();
      this.#next();
    });
  }

  /** Every hypervisor answers, and nothing fails or hangs any more. */
  stop(): void {
    const { guests, hosts } = this.#world;
    this.#stopped = true;
    guests.outages.clear();
    guests.cut.clear();
    for (const host of hosts.keys())
      for (const one of guests.has(host) ? guests.instances(host) : [])
        guests.put(host, { ...one, fail: [], stuck: [], slow: 1 });
  }

  #strike(): void {
    const { guests } = this.#world;
    const random = this.#random;
    const host = random.pick([...this.#world.hosts.keys()].filter((h) => guests.has(h)));
    const fault = random.pick(KINDS);
    const running = guests.running(host).filter((one) => one.work === undefined);
    const any = guests.running(host);
    this.#world.note("fault", host, fault);
    const forAWhile = (max: number, undo: () => void) =>
      this.#world.after(random.int(500, max), () => {
        if (!this.#stopped) undo();
      });
    switch (fault) {
      case "libvirtd down":
        guests.outage(host);
        forAWhile(random.pick([3_000, 30_000, 100_000]), () => guests.outages.delete(host));
        return;
      case "migration network cut": {
        const other = random.pick([...this.#world.hosts.keys()]);
        guests.cut.add(`${host} ${other}`);
        forAWhile(60_000, () => guests.cut.delete(`${host} ${other}`));
        return;
      }
      case "newcomer":
        this.#newcomer(host);
        return;
      case "guest shuts down":
        if (any.length > 0) this.shutsDown(host, random.pick(any));
        return;
      case "guest starts":
        this.#starts(host);
        return;
      case "guest pauses": {
        if (running.length === 0) return;
        const one = random.pick(running);
        guests.put(host, { ...one, state: one.state === "paused" ? "running" : "paused" });
        return;
      }
      case "guest changes its ways": {
        const all = guests.instances(host);
        if (all.length > 0)
          guests.put(host, { ...random.pick(all), ...drawTrouble(random, { ...this.#weather, wildness: 4 }) });
        return;
      }
      case "capacity shrinks": {
        const { capacity, timing } = guests.host(host);
        guests.change(host, { capacity: { ...capacity, memoryMib: Math.floor(capacity.memoryMib * 0.8) }, timing });
        this.#world.checker.guests.disturbed(host);
        return;
      }
      case "power cut of a target": {
        const moving = [...this.#world.hosts.keys()].flatMap((h) =>
          guests.has(h) ? guests.running(h).filter((one) => one.work?.verb === "move") : [],
        );
        const to = moving[0]?.work?.to;
        if (to !== undefined) this.#world.host(to).powerCycle(false);
        return;
      }
      case "agent of a migration dies": {
        for (const h of this.#world.hosts.keys()) {
          const one = guests.has(h) ? guests.running(h).find((g) => g.work?.verb === "move") : undefined;
          if (one?.work === undefined) continue;
          this.#world.host(random.chance(0.5) ? h : one.work.to).killAgent(random.int(500, 20_000));
          return;
        }
      }
    }
  }

  /** Somebody starts an instance where there is room for it, not asking Slipway. */
  #newcomer(host: string): void {
    const { guests } = this.#world;
    if (guests.outages.has(host) || guests.bootOf(host) === "") return;
    const n = 900 + ++this.#newcomers;
    const one = { ...plainInstance(uuidOf(n), `new${n}`), memoryMib: 1_024 };
    if (this.#hasRoom(host, one)) guests.by("somebody", () => guests.put(host, one));
  }

  #starts(host: string): void {
    const { guests } = this.#world;
    if (guests.outages.has(host) || guests.bootOf(host) === "") return;
    // Never what runs elsewhere: that its disks are in use is known to the storage.
    const off = guests
      .instances(host)
      .filter((one) => !isAlive(one) && one.work === undefined && guests.whereRuns(one.uuid).length === 0);
    const one = off.length > 0 ? this.#random.pick(off) : undefined;
    if (one && this.#hasRoom(host, one))
      guests.by("somebody", () => guests.put(host, { ...one, state: "running", stateReason: "booted", saved: false }));
  }

  /** Counting what is on its way there, which a host reserves nothing for when somebody starts something by hand. */
  #hasRoom(host: string, one: SimulatedInstance): boolean {
    const { guests } = this.#world;
    const coming = [...this.#world.hosts.keys()].flatMap((h) =>
      guests.has(h) ? guests.running(h).filter((g) => g.work?.to === host) : [],
    );
    const taken = [...guests.running(host), ...coming].reduce((mib, g) => mib + memoryOf(g), 0);
    return taken + memoryOf(one) <= guests.host(host).capacity.memoryMib;
  }

  shutsDown(host: string, one: SimulatedInstance): void {
    const { guests } = this.#world;
    guests.by("guest", () => {
      if (one.persistent) guests.put(host, { ...one, state: "shutoff", stateReason: "shutdown" });
      else guests.remove(host, one.uuid);
    });
  }
}

const KINDS = [
  "libvirtd down",
  "migration network cut",
  "newcomer",
  "newcomer",
  "guest shuts down",
  "guest starts",
  "guest pauses",
  "guest changes its ways",
  "guest changes its ways",
  "capacity shrinks",
  "power cut of a target",
  "agent of a migration dies",
  "agent of a migration dies",
] as const;
