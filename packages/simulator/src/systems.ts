import type { SimulatedInstance } from "@slipway/agent/internals";
import type { SystemHealth } from "@slipway/shared";
import type { World } from "./world.ts";

/** A replicated system as the script of a world describes it. */
export interface SystemScript {
  readonly name: string;
  /** Hosts that carry a member, each with one vote; a majority of them is needed. */
  readonly hosts: readonly string[];
  /** Kind of the service without which a member does not run; absent: it runs while its host does. */
  readonly service?: string;
}

/** A group of the pool file: hosts, or instances by name. */
export interface GroupScript {
  readonly name: string;
  readonly kind: "host" | "instance";
  readonly members: readonly string[];
  readonly needed: number;
}

/** One member as it truly is. */
export interface MemberTruth {
  readonly name: string;
  /** Where it is just now; undefined for an instance that runs nowhere. */
  readonly host: string | undefined;
  readonly isUp: boolean;
  /** It is up, and has caught up with what it missed. */
  readonly isWhole: boolean;
  /** Since when it is as it is. */
  readonly since: number;
}

export interface SetTruth {
  readonly name: string;
  readonly kind: "system" | "host" | "instance";
  readonly needed: number;
  readonly service: string | undefined;
  readonly members: readonly MemberTruth[];
}

interface Mutable {
  isUp: boolean;
  healedAt: number;
  since: number;
}

/** What one viewpoint makes of a system: the truth, nothing, another member's state, the state of before, or all well. */
export type Sight = "true" | "unknown" | "wrong" | "old" | "well";

/** Replicated systems and groups as they truly are: members run, die by themselves, and need time to heal after a return. */
export class SimSystems {
  readonly #world: World;
  readonly #systems = new Map<string, SystemScript>();
  readonly #groups = new Map<string, GroupScript>();
  /** "etcd hv1": dead by itself. */
  readonly #dead = new Set<string>();
  readonly #members = new Map<string, Mutable>();
  /** The last view of a system that was a true one, by viewpoint. */
  readonly #before = new Map<string, SystemHealth>();
  /** How long a member heals after its return, in milliseconds. */
  healMs: () => number = () => 0;

  constructor(world: World) {
    this.#world = world;
  }

  get isEmpty(): boolean {
    return this.#systems.size === 0 && this.#groups.size === 0;
  }

  add(system: SystemScript): void {
    this.#systems.set(system.name, system);
    for (const host of system.hosts)
      this.#members.set(`${system.name} ${host}`, { isUp: true, healedAt: 0, since: -1 });
  }

  addGroup(group: GroupScript): void {
    this.#groups.set(group.name, group);
    for (const m of group.members) this.#members.set(`${group.name} ${m}`, { isUp: true, healedAt: 0, since: -1 });
  }

  systems(): SystemScript[] {
    return [...this.#systems.values()];
  }

  die(system: string, host: string): void {
    this.#dead.add(`${system} ${host}`);
    this.#world.note("fault", host, `the member of ${system} dies`);
  }

  revive(system: string, host: string): void {
    if (this.#dead.delete(`${system} ${host}`)) this.#world.note("fault", host, `the member of ${system} runs again`);
  }

  reviveAll(): void {
    this.#dead.clear();
  }

  /** Everything as it is at this moment. */
  truth(): SetTruth[] {
    const systems = [...this.#systems.values()].map(({ name, hosts, service }): SetTruth => {
      const members = hosts.map((host) => this.#member(name, host, host, this.#runs(name, host, service)));
      return { name, kind: "system", needed: Math.floor(hosts.length / 2) + 1, service, members };
    });
    const groups = [...this.#groups.values()].map(({ name, kind, members, needed }): SetTruth => {
      const truths = members.map((m) => {
        if (kind === "host") return this.#member(name, m, m, this.#world.host(m).up);
        const at = this.#instance(m);
        return this.#member(name, m, at?.host, at?.one.state === "running");
      });
      return { name, kind, needed, service: undefined, members: truths };
    });
    return [...systems, ...groups];
  }

  #runs(system: string, host: string, service: string | undefined): boolean {
    const { services } = this.#world;
    return (
      this.#world.host(host).up &&
      !this.#dead.has(`${system} ${host}`) &&
      (service === undefined || !services.isStopped(host, service))
    );
  }

  #instance(name: string): { host: string; one: SimulatedInstance } | undefined {
    for (const host of this.#world.hosts.keys()) {
      const one = this.#world.guests.running(host).find((g) => g.name === name);
      if (one) return { host, one };
    }
    return undefined;
  }

  /** What has changed is found out when somebody looks. */
  #member(set: string, name: string, host: string | undefined, isUp: boolean): MemberTruth {
    const { now } = this.#world;
    const known = this.#members.get(`${set} ${name}`) as Mutable;
    if (known.isUp !== isUp) {
      known.since = now;
      if (isUp) known.healedAt = now + (this.#systems.has(set) ? this.healMs() : 0);
      known.isUp = isUp;
    }
    const isWhole = isUp && now >= known.healedAt;
    return { name, host, isUp, isWhole, since: isWhole ? Math.max(known.since, known.healedAt) : known.since };
  }

  /** What the agent of a host reads of a system, or of a member of a group ("dns/vm1"). */
  view(system: string, from: string, sight: Sight): SystemHealth {
    const host = this.#world.host(from);
    const [name = "", member] = system.split("/");
    const truth = this.truth().find((s) => s.name === name);
    if (truth === undefined || !host.up || host.process?.session === undefined || host.partitioned)
      return unread(system, `the agent of ${from} does not answer`);
    if (sight === "unknown") return unread(system, "the answer cannot be read");
    if (member !== undefined) {
      const isUp = truth.members.find((m) => m.name === member)?.isUp === true;
      return { ...unread(system, isUp ? "" : "connection refused"), state: isUp ? "healthy" : "degraded" };
    }
    const key = `${system} ${from}`;
    const before = this.#before.get(key);
    if (sight === "old" && before !== undefined) return before;
    const members = truth.members.map((m) => (sight === "well" ? { ...m, isUp: true, isWhole: true } : m));
    const health = healthOf({ ...truth, members }, sight === "wrong" ? from : undefined);
    if (sight === "true") this.#before.set(key, health);
    return health;
  }
}

/** `wrong`: the member after that of this host is seen the other way round. */
function healthOf(truth: SetTruth, wrong: string | undefined): SystemHealth {
  const mistaken = (truth.members.findIndex((m) => m.host === wrong) + 1) % truth.members.length;
  const members = truth.members.map((m, i) => {
    const isUp = wrong !== undefined && i === mistaken ? !m.isUp : m.isUp;
    return { name: m.name, host: m.name, votes: 1, state: isUp ? "up" : "down", roles: [], note: "" };
  });
  const healing = truth.members.filter((m) => m.isUp && !m.isWhole).map((m) => `${m.name} heals`);
  const reasons = [...members.filter((m) => m.state === "down").map((m) => `${m.name} is down`), ...healing];
  return {
    ...unread(truth.name, ""),
    state: reasons.length === 0 ? "healthy" : "degraded",
    reasons,
    sets: [{ name: "members", needed: truth.needed, members, oneOf: [], repairing: healing.join(", ") }],
  };
}

function unread(system: string, reason: string): SystemHealth {
  return {
    system,
    identity: "",
    state: "unknown",
    reasons: reason === "" ? [] : [reason],
    sets: [],
    goingVerdict: "",
    goingReasons: [],
    evidence: [],
    version: "",
  };
}
