import type { ServiceSpec } from "@slipway/agent/internals";
import type { HostRun, LedgerRecord, Recorded, Run, StepName } from "@slipway/controller/internals";
import type { MemberTruth, SetTruth } from "./systems.ts";
import type { World } from "./world.ts";

/** An answer of the gate may be acted on for so long, and what follows from it takes a moment; in milliseconds. */
const FRESH_MS = 30_000;
const SLACK_MS = 1_000;
/** Until what befalls an instance, or a host, can be known to somebody who asks, in milliseconds. */
const NOTICED_MS = { system: 0, host: 15_000, instance: 90_000 } as const;

/** What a yes of the gate was made out of. */
export interface Basis {
  /** When it was begun to be read, and when it was given. */
  readonly at: number;
  readonly saidAt: number;
  /** Hosts that operators had cordoned then. */
  readonly operator: ReadonlySet<string>;
}

type About = "gate" | "recheck" | "heal";

/**
 * Watches replicated systems and services as they truly are: nothing that Slipway takes out breaks a group, nothing stays stopped
 * that nobody names. Brute force over the truth; it knows nothing of the rules of the gate.
 */
export class QuorumChecker {
  readonly #world: World;
  /** About what, of which host -> the last yes. */
  readonly #yes = new Map<string, Basis>();
  readonly #overrides: { readonly run: string; readonly host: string; readonly reason: string }[] = [];
  /** Host -> when its services were last resolved to be stopped. */
  readonly #resolvedAt = new Map<string, number>();
  /** Host -> its boot then: a boot of its own accord starts services that had been stopped. */
  readonly #bootThen = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  #complain(text: string): void {
    this.#world.violate(text);
  }

  /** The gate has let a host go on. */
  said(about: About, host: string, basis: Omit<Basis, "saidAt">): void {
    this.#yes.set(`${about} ${host}`, { ...basis, saidAt: this.#world.now });
  }

  recorded(before: Run | undefined, after: Run, { event }: Recorded): void {
    if (before === undefined) return;
    const { run } = after.spec;
    switch (event.type) {
      case "step-started":
        this.#stepStarted(before, after, event.host, event.step);
        return;
      case "step-overridden":
        if (this.#world.overriding !== `${run}/${event.host}`)
          this.#complain(`run ${run}: ${event.step} of ${event.host} is overridden and no operator has said so`);
        // An operator's word: nothing is weighed that rests on it.
        this.#yes.set(`${event.step} ${event.host}`, {
          ...{ at: Number.NEGATIVE_INFINITY, saidAt: Number.POSITIVE_INFINITY },
          operator: new Set(),
        });
        this.#overrides.push({ run, host: event.host, reason: event.reason });
        return;
      case "service-action-started": {
        if (event.verb !== "service-stop") return;
        if (!this.#entries(event.host, event.spec.service).some((l) => l.id.startsWith(`${run}:`)))
          this.#complain(`run ${run}: ${event.host}: ${event.subject} is to stop without an open entry in the ledger`);
        if (event.attempt === 1) this.#fresh(after, event.host, "recheck", `${event.subject} is to stop`);
        return;
      }
      case "run-ended":
        for (const { name } of after.hosts) this.#named(name, `run ${run} ends`);
        return;
    }
  }

  #stepStarted(before: Run, after: Run, name: string, step: StepName): void {
    if (step === "services-stop") {
      this.#resolvedAt.set(name, this.#world.now);
      this.#bootThen.set(name, this.#world.host(name).boots);
    }
    const host = before.hosts.find((h) => h.name === name);
    const walk = host?.steps.slice(host.from) ?? [];
    const last = walk.at(-1)?.step;
    // One reboot ends what a Maintenance began; what follows a boot, or is tried again, has to be asked about again.
    const isWork = isWorkStep(step) && !(step === "reboot" && last === "Maintenance");
    if (isWork) this.#isDown(name, step);
    if (step === "uncordon") this.#isUp(name, after.spec.run);
    if (this.#world.systems.isEmpty) return;
    if (step === "cordon") this.#weigh(after, name, "gate", "goes out");
    else if (step === "services-stop" || (isWork && last !== "services-stop")) {
      this.#fresh(after, name, "recheck", `${step} begins`);
      this.#weigh(after, name, "recheck", `begins ${step}`);
    } else if (step === "uncordon") this.#hasHealed(after, name, walk);
  }

  /** The answer that this rests on is there, and young enough. */
  #fresh(run: Run, host: string, about: About, what: string): void {
    if (this.#world.systems.isEmpty) return;
    const yes = this.#yes.get(`${about} ${host}`);
    const age = this.#world.now - (yes?.saidAt ?? 0);
    if (yes === undefined) this.#complain(`run ${run.spec.run}: ${host}: ${what} and no ${about} has agreed`);
    else if (age > FRESH_MS + SLACK_MS)
      this.#complain(`run ${run.spec.run}: ${host}: ${what} on a ${about} that is ${age} ms old`);
  }

  /**
   * Would every group hold without this host, and all others that are out? What broke by itself after the question was put is nobody's
   * fault; what was missing before it, or has not healed since, forbids that anything whole goes as well.
   */
  #weigh(run: Run, host: string, about: About, what: string): void {
    const basis = this.#yes.get(`${about} ${host}`);
    if (basis === undefined || basis.at === Number.NEGATIVE_INFINITY) return;
    for (const set of this.#world.systems.truth()) {
      const since = basis.at - NOTICED_MS[set.kind];
      const leaving = set.members.filter((m) => m.host === host && this.#leavesWith(run, set, m));
      // What is down already loses nothing.
      if (!leaving.some((m) => m.isUp)) continue;
      const stays = set.members.filter((m) => !leaving.includes(m) && !this.#isOut(set, m, host, basis));
      const missing = stays.filter((m) => !m.isWhole && m.since < since);
      const left = stays.length - missing.length;
      const list = missing.map((m) => m.name).join(", ");
      if (left < set.needed)
        this.#complain(
          `run ${run.spec.run}: ${host} ${what}: ${set.name} keeps ${left} of ${set.needed} needed members${list && ` (${list} missing)`}`,
        );
      else if (missing.length > 0 && leaving.some((m) => m.isWhole))
        this.#complain(`run ${run.spec.run}: ${host} ${what} while ${list} of ${set.name} is not whole`);
    }
  }

  #leavesWith(run: Run, set: SetTruth, { name }: MemberTruth): boolean {
    if (set.kind !== "instance") return true;
    const policy = this.#world.checker.guests.policyOf({ name, metadata: this.#metadataOf(name) });
    return !policy.startsWith("migrate") || run.spec.options.consentStop.includes(name);
  }

  #metadataOf(name: string): Readonly<Record<string, string>> {
    const { guests, hosts } = this.#world;
    for (const host of hosts.keys()) {
      const one = guests.instances(host).find((g) => g.name === name);
      if (one) return one.metadata;
    }
    return {};
  }

  /** Taken out by a run, or by an operator before the question was put. */
  #isOut(set: SetTruth, { host }: MemberTruth, own: string, { operator }: Basis): boolean {
    if (set.kind === "instance" || host === undefined || host === own) return false;
    return this.#world.disk.holders(host).length > 0 || operator.has(host);
  }

  /** Goes back into service: what has been taken down for its turn has caught up. */
  #hasHealed(run: Run, name: string, walk: HostRun["steps"]): void {
    const host = run.hosts.find((h) => h.name === name);
    if (run.abort || host?.directed || !walk.some((s) => s.step === "services-stop" || isWorkStep(s.step))) return;
    const basis = this.#yes.get(`heal ${name}`);
    const down = walk.findLastIndex((s) => s.step === "services-stop" || isWorkStep(s.step));
    const healed = walk.findLastIndex((s) => s.step === "heal" && s.result?.verdict === "ok");
    if (basis === undefined || healed < down) {
      this.#complain(`run ${run.spec.run}: ${name} is put back and nobody has asked whether it has healed`);
      return;
    }
    for (const set of this.#world.systems.truth()) {
      // While others of it are out it cannot say who heals; the next way out waits for that.
      const isApart = set.members.some((m) => m.host !== name && !m.isUp);
      for (const m of isApart ? [] : set.members)
        if (set.kind === "system" && m.host === name && !m.isWhole && m.since < basis.at)
          this.#complain(`run ${run.spec.run}: ${name} is put back and ${set.name} has not healed there`);
    }
  }

  #hasBooted(host: string): boolean {
    return this.#world.host(host).boots !== (this.#bootThen.get(host) ?? 1);
  }

  // Services.

  /** The services of a host in the order of their stops. */
  servicesOf(host: string): { readonly kind: string; readonly name: string }[] {
    const { labels } = this.#world.host(host).script;
    const rule = this.#world.quorum.services.find(({ match }) => {
      const [key = "", value] = match.split("=");
      if (value !== undefined) return labels[key] === value;
      return match === host || match === "*" || (match.endsWith("*") && host.startsWith(match.slice(0, -1)));
    });
    return [...(rule?.services ?? [])];
  }

  #stopped(host: string): string[] {
    return this.servicesOf(host)
      .map(serviceText)
      .filter((s) => this.#world.services.isStopped(host, s));
  }

  #entries(host: string, service: { readonly kind: string; readonly name: string }): LedgerRecord[] {
    return [...this.#world.disk.runs.values()].flatMap((r) =>
      r.ledger.filter(
        (l) =>
          l.kind === "service" &&
          l.host === host &&
          l.closedAt === undefined &&
          l.service !== undefined &&
          serviceText(l.service) === serviceText(service),
      ),
    );
  }

  /** An agent truly begins to stop or start a service. */
  begun(host: string, { verb, service, name }: ServiceSpec, id: string): void {
    if (verb === "service-stop") this.#stopping(host, { kind: service, name }, id);
    else this.#starting(host, { kind: service, name }, id);
  }

  #stopping(host: string, service: { readonly kind: string; readonly name: string }, id: string): void {
    const text = serviceText(service);
    if (this.#entries(host, service).length === 0)
      this.#complain(`${id}: ${text} stops on ${host} and the ledger does not know of it`);
    const order = this.servicesOf(host).map(serviceText);
    const early = order
      .slice(0, Math.max(0, order.indexOf(text)))
      .filter((s) => !this.#world.services.isStopped(host, s));
    if (early.length > 0 && !this.#hasBooted(host))
      this.#complain(`${id}: ${text} stops on ${host} before ${early.join(", ")}`);
    if (!this.#world.guests.has(host)) return;
    const at = this.#resolvedAt.get(host) ?? this.#world.now;
    for (const left of this.#world.checker.guests.left(host, at))
      this.#complain(`${id}: ${text} stops on ${host} while ${left.name} runs there`);
  }

  #starting(host: string, service: { readonly kind: string; readonly name: string }, id: string): void {
    const text = serviceText(service);
    const order = this.servicesOf(host).map(serviceText);
    const late = order.slice(order.indexOf(text) + 1).filter((s) => this.#world.services.isStopped(host, s));
    if (late.length > 0) this.#complain(`${id}: ${text} starts on ${host} before ${late.join(", ")}`);
  }

  #isDown(host: string, step: string): void {
    if (this.#hasBooted(host)) return;
    for (const s of this.servicesOf(host).map(serviceText))
      if (!this.#world.services.isStopped(host, s)) this.#complain(`${host}: ${step} begins while ${s} runs`);
  }

  #isUp(host: string, run: string): void {
    for (const s of this.#stopped(host)) this.#complain(`run ${run}: ${host} is uncordoned while ${s} is down`);
  }

  /** What is stopped stands in the ledger, and what stands there of a host in service is stopped. */
  #named(host: string, when: string): void {
    for (const service of this.servicesOf(host))
      if (this.#world.services.isStopped(host, serviceText(service)) && this.#entries(host, service).length === 0)
        this.#complain(`${when}: ${serviceText(service)} is stopped on ${host} and nothing names it`);
  }

  /** When faults have stopped and the world is quiet. */
  final(): void {
    const { disk, hosts } = this.#world;
    for (const host of hosts.keys()) {
      this.#named(host, "in the end");
      // Who uncordons it by hand is told of what is left.
      const wasSettled = [...disk.runs.values()].some((r) =>
        r.ledger.some((l) => l.host === host && l.kind === "cordon" && l.note.startsWith("uncordoned by")),
      );
      if (disk.holders(host).length > 0 || wasSettled) continue;
      for (const { id } of this.servicesOf(host).flatMap((s) => this.#entries(host, s)))
        this.#complain(`in the end ${host} is in service and entry ${id} is open`);
    }
    for (const { run, host, reason } of this.#overrides) {
      const notes = disk.runs.get(run)?.hosts.find((h) => h.name === host)?.notes ?? [];
      if (!notes.some((n) => n.rule === "overridden" && n.text.includes(reason)))
        this.#complain(`run ${run}: an override of ${host} is not recorded`);
    }
  }
}

function isWorkStep(step: StepName): boolean {
  return step === "Maintenance" || step === "reboot";
}

export function serviceText({ kind, name }: { readonly kind: string; readonly name: string }): string {
  return name === "" ? kind : `${kind} ${name}`;
}
