import type { SystemHealth } from "@slipway/shared";
import type { Gate, GateAnswer, GateQuestion } from "../coordinator/ports.ts";
import type { HostInventory } from "../domain/inventory.ts";
import type { MemberCheck, ProbeConfig, QuorumConfig } from "../domain/quorum.ts";
import type { ProbeRequest } from "../fleet/probes.ts";
import { type CheckAnswer, groupSystem } from "../quorum/groups.ts";
import { largestSafeSet, mayGoOut, mergeViews, notHealed, type System, standing, type View } from "../quorum/index.ts";

export interface QuorumPorts {
  readonly config: () => QuorumConfig;
  readonly read: (request: ProbeRequest) => Promise<SystemHealth>;
  /** Every host of the fleet with what is on it. */
  readonly inventories: () => readonly HostInventory[];
  readonly isFresh: (host: HostInventory) => boolean;
  /** Hosts that are out, by whatever run or operator. */
  readonly out: () => readonly string[];
  /** Does this instance stop when its host goes out? */
  readonly stopsWith: (host: string, uuid: string) => boolean;
}

/** Everything that the health page and the gate look at, read just now. */
export interface Reading {
  readonly systems: readonly System[];
  /** What was seen, by system and host, with evidence. */
  readonly views: ReadonlyMap<string, readonly View[]>;
}

/**
 * The gate for real: reads every system of the pool file anew for each question, from as many hosts as it says, and lets the pure
 * rules judge. Nothing is remembered between questions: a picture of before is no answer about now.
 */
export class QuorumGate implements Gate {
  readonly #ports: QuorumPorts;
  /** Probe -> its last question, of systems that are asked one at a time. */
  readonly #asked = new Map<string, Promise<View[]>>();

  constructor(ports: QuorumPorts) {
    this.#ports = ports;
  }

  ask({ host, out, about }: GateQuestion, answer: (a: GateAnswer) => void): void {
    const asked = about === "heal" ? this.#hasHealed(host) : this.mayGo([host], out);
    asked.then(answer, (error: Error) =>
      answer({
        verdict: "unknown",
        reasons: [{ rule: "quorum-unknown", subject: "gate", text: `the gate failed: ${error.message}`, fix: "" }],
      }),
    );
  }

  /** May these hosts go out now? Those that are out already are found out here, `out` may name more. */
  async mayGo(going: readonly string[], out: readonly string[]): Promise<GateAnswer> {
    const away = this.#away(going, out);
    const { systems } = await this.read(going, away);
    return mayGoOut(systems, { going, out: away });
  }

  async #hasHealed(host: string): Promise<GateAnswer> {
    const reasons = await this.healed(host);
    return {
      verdict: reasons.length === 0 ? "ok" : "deny",
      reasons: reasons.map((text) => ({ rule: "not-healed", subject: host, text, fix: "" })),
    };
  }

  /** Why a host that came back has not healed; empty when it has. Everybody who can is asked: repairs show differently from host to host. */
  async healed(host: string): Promise<string[]> {
    const away = this.#away([host], []);
    const { systems } = await this.read([], away, { fromAll: true });
    // Instances that were stopped for the host's turn start after it has healed; of their groups only what runs here is waited for.
    const groups = this.#ports.config().groups.filter((g) => g.members.some((m) => m.kind === "instance"));
    const later = new Set(groups.map((g) => `group ${g.name}`));
    const isLate = ({ sets }: System) => sets.every((s) => s.members.every((m) => m.host !== host || m.state === "up"));
    const own = systems.filter((s) => !later.has(s.name) || !isLate(s));
    return notHealed(own, host, away);
  }

  /** The largest set of these hosts that could go together now; verified with the systems that answer for themselves. */
  async safeSet(candidates: readonly string[], known?: Reading): Promise<string[]> {
    const away = this.#away(candidates, []);
    const { systems } = known ?? (await this.read([], away));
    const found = largestSafeSet(systems, candidates, away);
    while (found.length > 0 && this.#ownAnswers(systems, found).length > 0) {
      const { verdict } = await this.mayGo(found, away);
      if (verdict === "ok" || verdict === "tight") break;
      found.pop();
    }
    return found;
  }

  /**
   * Could this host go out now, alone? By what was read just now; systems that answer such questions themselves are asked about it,
   * one host after the other, for agents put one question at a time.
   */
  async standing({ systems }: Reading, host: string): Promise<GateAnswer> {
    const away = this.#away([host], []);
    const answer = standing(systems, host, away);
    const own = this.#ownAnswers(systems, [host]);
    if (own.length === 0 || answer.verdict === "deny" || answer.verdict === "unknown") return answer;
    const asked = await this.read([host], away, { only: (name) => own.includes(name) });
    const rest = systems.filter((s) => !own.includes(s.name));
    return mayGoOut([...rest, ...asked.systems], { going: [host], out: away });
  }

  /** Hosts that are out already, by whatever run or operator. */
  out(): readonly string[] {
    return this.#ports.out();
  }

  /** Systems with members on these hosts that are of a kind that answers for itself. */
  #ownAnswers(systems: readonly System[], hosts: readonly string[]): string[] {
    const kinds = new Map(this.#ports.config().probes.map((p) => [p.name, p.system]));
    return systems
      .filter(({ name, sets }) => {
        const members = sets.flatMap((set) => set.members);
        const isTouched = members.length === 0 || members.some((m) => m.host !== undefined && hosts.includes(m.host));
        return isTouched && answersForItself.has(kinds.get(name) ?? "");
      })
      .map((s) => s.name);
  }

  #away(going: readonly string[], out: readonly string[]): string[] {
    return [...new Set([...this.#ports.out(), ...out])].filter((host) => !going.includes(host));
  }

  /** Reads every system, or those that `only` names; `fromAll`: from every host that can, not only as many as needed. */
  async read(
    going: readonly string[],
    out: readonly string[],
    { fromAll = false, only = () => true }: { fromAll?: boolean; only?: (system: string) => boolean } = {},
  ): Promise<Reading> {
    const { probes, groups, services } = this.#ports.config();
    const config = {
      probes: probes.filter((p) => only(p.name)),
      groups: groups.filter((g) => only(`group ${g.name}`)),
      services,
    };
    const views = new Map<string, readonly View[]>();
    const probed = config.probes.map(async (probe) => {
      const { system, seen } = await this.#system(probe, going, out, fromAll);
      views.set(probe.name, seen);
      return system;
    });
    const grouped = this.#groups(config, out);
    return { systems: [...(await Promise.all(probed)), ...(await grouped)], views };
  }

  async #system(
    probe: ProbeConfig,
    going: readonly string[],
    out: readonly string[],
    fromAll: boolean,
  ): Promise<{ system: System; seen: View[] }> {
    const hosts = this.#ports.inventories();
    const isThere = (name: string) => hosts.some((h) => h.host === name && h.connected);
    const able = probe.from.filter((name) => isThere(name) && !out.includes(name));
    // Those who stay see what will be left; a host that goes is asked only where there are too few others.
    const chosen = [...able.filter((n) => !going.includes(n)), ...able.filter((n) => going.includes(n))].slice(
      0,
      fromAll ? probe.from.length : probe.views,
    );
    const view = async (from: string): Promise<View> => {
      const { system, settings, timeoutMs } = probe;
      return { from, health: await this.#ports.read({ host: from, system, settings, timeoutMs, going }) };
    };
    const seen = locksItself.has(probe.system)
      ? await this.#inTurn(probe.name, chosen, view)
      : await Promise.all(chosen.map(view));
    const names = new Set(hosts.map((h) => h.host));
    const hostOf = (address: string) => hostNamed(address, names, probe.aliases);
    const merged = mergeViews(probe.name, seen, { hostOf, outside: probe.outside });
    if (chosen.length < probe.views) {
      const missing = probe.from.filter((name) => !able.includes(name)).join(", ");
      const reason = `it can be read from ${chosen.length} of ${probe.views} hosts only; ${missing || "no other"} cannot be asked`;
      return { system: { ...merged, state: "unknown", reasons: [reason, ...merged.reasons] }, seen };
    }
    const own = ownAnswer(seen, going);
    return { system: own ? { ...merged, own } : merged, seen };
  }

  /** One host after another, and one question after another. */
  #inTurn(probe: string, hosts: readonly string[], view: (from: string) => Promise<View>): Promise<View[]> {
    const before = this.#asked.get(probe) ?? Promise.resolve([]);
    const seen = before.then(async () => {
      const views: View[] = [];
      for (const host of hosts) views.push(await view(host));
      return views;
    });
    this.#asked.set(probe, seen);
    return seen;
  }

  async #groups(config: QuorumConfig, out: readonly string[]): Promise<System[]> {
    const inventories = this.#ports.inventories();
    const answers = new Map<string, CheckAnswer>();
    await Promise.all(
      config.groups.flatMap((group) =>
        group.members.map(async ({ name, check }) => {
          if (check) answers.set(`${group.name}/${name}`, await this.#check(check, inventories, out));
        }),
      ),
    );
    return config.groups.map((group) =>
      groupSystem(group, {
        inventories,
        out,
        isFresh: this.#ports.isFresh,
        stopsWith: this.#ports.stopsWith,
        checkOf: (name, member) => answers.get(`${name}/${member}`),
      }),
    );
  }

  async #check(
    check: MemberCheck,
    inventories: readonly HostInventory[],
    out: readonly string[],
  ): Promise<CheckAnswer> {
    const from = check.from ?? inventories.find((h) => h.connected && !out.includes(h.host))?.host;
    if (from === undefined) return { state: "unknown", note: "no host could be asked" };
    const { system, settings } = check;
    const health = await this.#ports.read({ host: from, system, settings, timeoutMs: CHECK_MS, going: [] });
    const note = health.reasons.join("; ");
    return { state: health.state === "healthy" ? "up" : health.state === "degraded" ? "down" : "unknown", note };
  }
}

/** Kinds of systems that say themselves whether hosts may go. */
const answersForItself: ReadonlySet<string> = new Set(["ceph", "rabbitmq", "command"]);

/** Systems whose commands take a lock of the whole cluster: two at once get in each other's way, and one of them is told nothing. */
const locksItself: ReadonlySet<string> = new Set(["gluster"]);

/** Bound on a member's check, in milliseconds. */
const CHECK_MS = 5_000;

/** The host that a member's address means: its name, its name before the first dot, or what the pool file says. */
export function hostNamed(
  address: string,
  names: ReadonlySet<string>,
  aliases: Readonly<Record<string, string>>,
): string | undefined {
  const alias = Object.hasOwn(aliases, address) ? aliases[address] : undefined;
  if (alias !== undefined) return alias;
  if (names.has(address)) return address;
  // Addresses have dots too, but no host is named by the first number of one.
  const short = /^[0-9.]+$|:/.test(address) ? "" : (address.split(".")[0] ?? "");
  return names.has(short) ? short : undefined;
}

/** Systems that answer for themselves were asked about exactly these hosts; the worst of their answers counts. */
function ownAnswer(seen: readonly View[], going: readonly string[]): System["own"] {
  const answers = seen.map((v) => v.health).filter((h) => h.goingVerdict !== "");
  if (answers.length === 0 || going.length === 0) return undefined;
  const verdict = answers.some((h) => h.goingVerdict === "deny")
    ? "deny"
    : answers.every((h) => h.goingVerdict === "ok")
      ? "ok"
      : "unknown";
  return { going, verdict, reasons: [...new Set(answers.flatMap((h) => h.goingReasons))] };
}
