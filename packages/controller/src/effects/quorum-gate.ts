import type { SystemHealth } from "@slipway/shared";
import type { Gate, GateAnswer, GateQuestion } from "../coordinator/ports.ts";
import type { HostInventory } from "../domain/inventory.ts";
import type { MemberCheck, ProbeConfig, QuorumConfig } from "../domain/quorum.ts";
import type { ProbeRequest } from "../fleet/probes.ts";
import { type CheckAnswer, groupSystem } from "../quorum/groups.ts";
import { largestSafeSet, mayGoOut, notHealed, type System, seenText, standing, type View } from "../quorum/index.ts";
import { checkAnswer, checkedFrom, systemSeen, systemsToHeal, viewpointsOf } from "../quorum/reading.ts";

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
  readonly pause: (ms: number) => Promise<void>;
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
    const asked = about === "heal" ? this.healed(host) : this.mayGo([host], out);
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
    const reading = await this.read(going, away);
    return { ...mayGoOut(reading.systems, { going, out: away }), seen: seenIn(reading) };
  }

  /**
   * Has a host that came back healed? Everybody who can is asked, for repairs show differently from host to host, and twice: what has
   * just come back may look well for the moment in which nobody has found out yet what it missed.
   */
  async healed(host: string): Promise<GateAnswer> {
    const first = await this.#healedNow(host);
    if (first.verdict !== "ok" || first.seen?.length === 0) return first;
    await this.#ports.pause(HEALED_AGAIN_MS);
    return this.#healedNow(host);
  }

  async #healedNow(host: string): Promise<GateAnswer> {
    const away = this.#away([host], []);
    const reading = await this.read([], away, { fromAll: true });
    const own = systemsToHeal(reading.systems, this.#ports.config().groups, host);
    const reasons = notHealed(own, host, away).map((text) => ({ rule: "not-healed", subject: host, text, fix: "" }));
    return { verdict: reasons.length === 0 ? "ok" : "deny", reasons, seen: seenIn(reading) };
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
    const points = viewpointsOf(probe, hosts, { going, out, fromAll });
    const view = async (from: string): Promise<View> => {
      const { system, settings, timeoutMs } = probe;
      return { from, health: await this.#ports.read({ host: from, system, settings, timeoutMs, going }) };
    };
    const seen = locksItself.has(probe.system)
      ? await this.#inTurn(probe.name, points.chosen, view)
      : await Promise.all(points.chosen.map(view));
    return { system: systemSeen(probe, points, seen, new Set(hosts.map((h) => h.host)), going), seen };
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
    const from = checkedFrom(check, inventories, out);
    if (from === undefined) return { state: "unknown", note: "no host could be asked" };
    const { system, settings } = check;
    const health = await this.#ports.read({ host: from, system, settings, timeoutMs: CHECK_MS, going: [] });
    return checkAnswer(health);
  }
}

function seenIn({ systems, views }: Reading): string[] {
  return systems.map((s) => seenText(s, views.get(s.name)?.map((v) => v.from) ?? []));
}

/** Kinds of systems that say themselves whether hosts may go. */
const answersForItself: ReadonlySet<string> = new Set(["ceph", "rabbitmq", "command"]);

/** Systems whose commands take a lock of the whole cluster: two at once get in each other's way, and one of them is told nothing. */
const locksItself: ReadonlySet<string> = new Set(["gluster"]);

/** Between the two readings of a host that seems to have healed, in milliseconds. */
const HEALED_AGAIN_MS = 2_000;

/** Bound on a member's check, in milliseconds. */
const CHECK_MS = 5_000;
