import type { GroupConfig, ProbeConfig, QuorumConfig } from "@slipway/controller";
import { stepInHand } from "@slipway/controller";
import type { GroupScript, ServiceFate, Sight, SystemScript, World } from "@slipway/simulator";
import { isAlive } from "@slipway/simulator";
import type { Random } from "@slipway/simulator/random";
import type { Weather } from "./faults.ts";

const KINDS_OF_SERVICES = ["gluster-mounts", "gluster", "etcd"] as const;

/** Some hosts, in the order of the pool. */
function some(random: Random, hosts: readonly string[], count: number): string[] {
  const left = [...hosts];
  while (left.length > count) left.splice(random.int(0, left.length - 1), 1);
  return left;
}

/** Systems and groups over hosts of all clusters, and what is stopped on which hosts. */
export function drawQuorum(random: Random, hosts: readonly string[], instances: readonly string[]) {
  const count = () => Math.min(hosts.length, random.pick([3, 3, 3, 4, 5]));
  const systems: SystemScript[] = [];
  if (random.chance(0.8)) systems.push({ name: "etcd", hosts: some(random, hosts, count()), service: "etcd" });
  if (random.chance(0.5)) systems.push({ name: "gv0", hosts: some(random, hosts, count()), service: "gluster" });
  if (random.chance(0.3)) systems.push({ name: "consul", hosts: some(random, hosts, count()) });
  const groups: GroupScript[] = [];
  if (random.chance(0.4)) {
    const members = some(random, hosts, random.int(2, hosts.length));
    const needed = random.pick([members.length - 1, Math.floor(members.length / 2) + 1]);
    groups.push({ name: "racks", kind: "host", members, needed: Math.min(needed, members.length - 1) });
  }
  if (random.chance(0.5) && instances.length >= 2) {
    const members = some(random, instances, random.int(2, Math.min(3, instances.length)));
    groups.push({ name: "dns", kind: "instance", members, needed: members.length - 1 });
  }
  const quorum: QuorumConfig = {
    probes: systems.map(({ name, hosts: from }): ProbeConfig => {
      const views = random.pick([1, 2, 2]);
      const asked = random.chance(0.6) ? hosts : from;
      return { name, system: name, from: asked, views, settings: {}, aliases: {}, outside: [], timeoutMs: 5_000 };
    }),
    groups: groups.map(({ name, kind, members, needed }): GroupConfig => {
      const isChecked = random.chance(0.4);
      const check = { system: "tcp", settings: {} } as const;
      return { name, needed, members: members.map((m) => ({ kind, name: m, ...(isChecked ? { check } : {}) })) };
    }),
    services: random.chance(0.85) ? [drawServices(random, systems)] : [],
  };
  return { systems, groups, quorum };
}

function drawServices(random: Random, systems: readonly SystemScript[]): QuorumConfig["services"][number] {
  const needed = new Set(systems.flatMap((s) => s.service ?? []));
  const kinds = KINDS_OF_SERVICES.filter((kind) => needed.has(kind) || random.chance(0.3));
  const service = (kind: string, name = "") => ({ kind, name, settings: {}, timeoutMs: random.pick([10_000, 40_000]) });
  const unit = random.chance(0.3) ? [service("systemd", "nfs-server.service")] : [];
  return {
    match: random.pick(["*", "hv*", "role=storage"]),
    services: [...unit, ...kinds.map((kind) => service(kind))],
  };
}

/** What goes wrong with systems, their probes and the services of hosts. */
export class QuorumTrouble {
  readonly #world: World;
  readonly #random: Random;
  readonly #weather: Weather;
  #stopped = false;
  /** System -> the one viewpoint that does not tell the truth: of two that lie alike nobody could know. */
  readonly #flaky = new Map<string, { readonly from: string; readonly sight: Sight }>();
  readonly #unreadable = new Set<string>();
  /** "hv1 etcd": how its next actions end. */
  readonly #fates = new Map<string, ServiceFate>();
  #isSlow = false;

  constructor(world: World, random: Random, weather: Weather) {
    this.#world = world;
    this.#random = random;
    this.#weather = weather;
    const healMs = random.pick([0, 2_000, 15_000, 60_000]);
    world.systems.healMs = () => (this.#stopped ? Math.min(healMs, 5_000) : random.int(healMs / 2, healMs));
    world.services.startsAtBoot = random.chance(0.5);
    world.services.stopMs = random.pick([2_000, 2_000, 9_000]);
    // One that has been added to its system and has never run.
    const [first] = world.systems.systems();
    if (first && random.chance(0.1 * weather.wildness)) world.systems.die(first.name, random.pick(first.hosts));
    world.services.fate = (host, { verb, service, timeoutMs }) => {
      if (this.#stopped) return undefined;
      if (verb === "service-check") return undefined;
      const planned = this.#fates.get(`${host} ${service}`);
      if (planned) return planned;
      if (!random.chance(0.06 * weather.wildness)) return undefined;
      return drawFate(random, timeoutMs);
    };
    world.gate.reading = (system, from) => ({
      delayMs: random.int(5, this.#isSlow ? 15_000 : 200),
      sight: this.#sight(system, from),
    });
  }

  #sight(system: string, from: string): Sight {
    if (this.#stopped) return "true";
    if (this.#unreadable.has(system) || this.#random.chance(0.02 * this.#weather.wildness)) return "unknown";
    const flaky = this.#flaky.get(system);
    return flaky?.from === from ? flaky.sight : "true";
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

  /** Everybody is well, and tells the truth. */
  stop(): void {
    this.#stopped = true;
    this.#world.systems.reviveAll();
    const { guests, hosts } = this.#world;
    const startAll = () => {
      for (const host of hosts.keys())
        for (const one of guests.bootOf(host) === "" ? [] : guests.instances(host))
          if (
            !isAlive(one) &&
            one.work === undefined &&
            guests.whereRuns(one.uuid).length === 0 &&
            !this.#isOwed(one.uuid)
          )
            guests.by("somebody", () => guests.put(host, { ...one, state: "running", stateReason: "booted" }));
      this.#world.after(60_000, startAll);
    };
    // What died with its host and is nobody's to start is started by those whose it is.
    this.#world.after(30_000, startAll);
  }

  #isOwed(uuid: string): boolean {
    return [...this.#world.disk.runs.values()].some((r) =>
      r.ledger.some((l) => l.subject === uuid && l.closedAt === undefined),
    );
  }

  #strike(): void {
    const world = this.#world;
    const random = this.#random;
    const forAWhile = (max: number, undo: () => void) =>
      world.after(random.int(500, max), () => {
        if (!this.#stopped) undo();
      });
    const systems = world.systems.systems();
    const kind = random.pick(KINDS);
    if (kind === "override") {
      this.#override();
      return;
    }
    if (kind === "service") {
      const host = random.pick([...world.hosts.keys()]);
      const rules = world.quorum.services.flatMap((r) => r.services);
      if (rules.length === 0) return;
      const { kind: service, timeoutMs } = random.pick(rules);
      const fate = drawFate(random, timeoutMs);
      world.note("fault", host, `${service}: ${fate.verdict}, ${fate.reason}`);
      this.#fates.set(`${host} ${service}`, fate);
      forAWhile(60_000, () => this.#fates.delete(`${host} ${service}`));
      return;
    }
    if (kind === "slow") {
      this.#isSlow = true;
      forAWhile(60_000, () => {
        this.#isSlow = false;
      });
      return;
    }
    if (systems.length === 0) return;
    const system = random.pick(systems);
    switch (kind) {
      case "member dies": {
        // In the middle: while a host of the same system is on its way out.
        const host = random.pick(this.#others(system));
        world.systems.die(system.name, host);
        // A network that is cut: from one side nothing is to be seen of it.
        if (random.chance(0.3)) this.#sees(system.name, "well");
        forAWhile(random.pick([10_000, 60_000, 150_000]), () => world.systems.revive(system.name, host));
        return;
      }
      case "viewpoint":
        this.#sees(system.name, random.pick(["wrong", "old", "unknown"] as const));
        return;
      case "unreadable":
        world.note("fault", system.name, "nobody can read it");
        this.#unreadable.add(system.name);
        forAWhile(60_000, () => this.#unreadable.delete(system.name));
        return;
    }
  }

  /** One host does not see a system as it is; where one view has to do it sees nothing, for nobody could know better. */
  #sees(system: string, sight: Sight): void {
    const world = this.#world;
    const probe = world.quorum.probes.find((p) => p.name === system);
    const from = this.#random.pick(sight === "well" ? (probe?.from ?? []) : [...world.hosts.keys()]);
    const seen = (probe?.views ?? 1) > 1 ? sight : "unknown";
    world.note("fault", from, `what it sees of ${system}: ${seen}`);
    this.#flaky.set(system, { from, sight: seen });
    world.after(this.#random.int(500, 60_000), () => {
      if (!this.#stopped) this.#flaky.delete(system);
    });
  }

  #others(system: SystemScript): readonly string[] {
    const going = new Set(
      [...this.#world.disk.runs.values()].flatMap((r) => r.hosts.filter((h) => stepInHand(h)).map((h) => h.name)),
    );
    const others = system.hosts.filter((h) => !going.has(h));
    return others.length > 0 && others.length < system.hosts.length ? others : system.hosts;
  }

  #override(): void {
    for (const run of this.#world.disk.runs.values()) {
      const { held, spec } = run;
      if (!held || !["gate-unknown", "recheck", "heal"].includes(held.rule)) continue;
      for (const h of run.hosts)
        if (h.gateReasons.length > 0 && stepInHand(h)) {
          const reason = `reason ${this.#random.int(1, 999)}`;
          this.#world.command(spec.run, { kind: "override", host: h.name, reason }, "bob");
          return;
        }
    }
  }
}

function drawFate(random: Random, timeoutMs: number): ServiceFate {
  return random.pick<ServiceFate>([
    { takesMs: 1_000, verdict: "failed", reason: "busy: held by qemu-system-x86 (4711)", does: false, outlives: false },
    { takesMs: 1_000, verdict: "failed", reason: "it says that it failed", does: true, outlives: false },
    { takesMs: Infinity, verdict: "ok", reason: "it hangs", does: false, outlives: false },
    { takesMs: timeoutMs + 5_000, verdict: "ok", reason: "it is done too late", does: true, outlives: true },
    { takesMs: Math.floor(timeoutMs * 0.9), verdict: "ok", reason: "it is slow", does: true, outlives: true },
    { takesMs: 4_000, verdict: "ok", reason: "it outlives its agent", does: true, outlives: true },
  ]);
}

const KINDS = [
  "member dies",
  "member dies",
  "member dies",
  "viewpoint",
  "unreadable",
  "slow",
  "service",
  "service",
  "override",
] as const;
