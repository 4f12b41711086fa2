import { findIn, type InstanceSpec, type JobLook, type SimulatedInstance } from "@slipway/agent/internals";
import { type Recorded, type Run, type RunEvent, stepInHand } from "@slipway/controller/internals";
import { brokenActionRules } from "./action-rules.ts";
import { type Cause, type GuestWatch, memoryOf, type Work } from "./guests.ts";
import type { SimHost } from "./host.ts";
import type { World } from "./world.ts";

/** What somebody does on a host is in the controller's picture of it after this time, in milliseconds. */
export const NOTICED_MS = 25_000;

type Settled = Extract<RunEvent, { type: "instance-settled" }>;

/** It did not come by other hands, or was there when everything began. */
const NEVER = -1;

/** Watches the instances of a world, as they truly are, and complains as soon as an invariant of the design is broken. */
export class GuestChecker implements GuestWatch {
  readonly #world: World;
  /** When somebody last started or brought an instance there, or the host last lost capacity. */
  readonly #disturbed = new Map<string, number>();
  /** Uuid and host -> since when it runs there by other hands than Slipway's. */
  readonly #newcomers = new Map<string, number>();
  /** Uuid -> the highest generation under which it was moved or started, and the key of that step. */
  readonly #generations = new Map<string, { generation: number; id: string }>();
  /** Uuid -> where it was handed over to, and when. */
  readonly #arrivals = new Map<string, { to: string; at: number }[]>();
  /** Run and uuid -> when what is wanted with it now was first recorded. */
  readonly #wantedSince = new Map<string, number>();
  /** Uuid -> the step by which Slipway stopped it; gone once it runs again. */
  readonly stoppedBy = new Map<string, { id: string; host: string }>();
  /** Uuid -> when it last stopped, and when it last started. */
  readonly #stops = new Map<string, number>();
  readonly #starts = new Map<string, number>();
  /** Instances that a script has doubled by itself. */
  readonly doubledOnPurpose = new Set<string>();
  /** Host -> when the work that is in hand there was resolved upon: nobody can know what comes after that. */
  readonly #resolvedAt = new Map<string, number>();
  readonly #beganAt = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  #complain(text: string): void {
    this.#world.violate(text);
  }

  // What truly happens.

  begun(host: string, instance: SimulatedInstance, work: Work): void {
    this.#beganAt.set(`${work.id}`, this.#world.now);
    if (work.verb === "stop" || work.verb === "save") this.#mayStop(host, instance, work);
    if (work.verb === "start") {
      const elsewhere = this.#world.guests.whereRuns(instance.uuid).filter((h) => h !== host);
      if (elsewhere.length > 0)
        this.#complain(`${instance.name} is started on ${host} while it runs on ${elsewhere.join(", ")}`);
    }
  }

  stopped(host: string, before: SimulatedInstance, cause: Cause): void {
    this.#newcomers.delete(`${before.uuid} ${host}`);
    this.#stops.set(before.uuid, this.#world.now);
    if (typeof cause !== "string") {
      this.#mayStop(host, before, cause);
      this.stoppedBy.set(before.uuid, { id: cause.id, host });
    } else if (cause === "unknown") this.#complain(`${before.name} ceases to run on ${host} and nobody knows why`);
    this.#world.note("guest", host, `${before.name} stops (${causeText(cause)})`);
  }

  started(host: string, instance: SimulatedInstance, cause: Cause): void {
    this.stoppedBy.delete(instance.uuid);
    this.#starts.set(instance.uuid, this.#world.now);
    if (cause === "unknown") this.#complain(`${instance.name} begins to run on ${host} and nobody knows why`);
    if (typeof cause === "string") this.#comesBySomebody(host, instance);
    this.#world.note("guest", host, `${instance.name} starts (${causeText(cause)})`);
  }

  arrived(from: string, to: string, instance: SimulatedInstance, cause: Cause): void {
    this.#newcomers.delete(`${instance.uuid} ${from}`);
    const before = this.#arrivals.get(instance.uuid) ?? [];
    this.#arrivals.set(instance.uuid, [...before, { to, at: this.#world.now }]);
    this.#world.note("guest", to, `${instance.name} arrives from ${from} (${causeText(cause)})`);
    if (typeof cause === "string") {
      this.#comesBySomebody(to, instance);
      return;
    }
    const { guests, disk } = this.#world;
    for (const run of disk.runs.values())
      for (const h of run.hosts) {
        const step = h.name === to ? stepInHand(h)?.step : undefined;
        if (step === "Maintenance" || step === "reboot")
          this.#complain(`${instance.name} arrives on ${to} by ${cause.id}, which has ${step} in hand`);
      }
    const taken = guests.running(to).reduce((mib, one) => mib + memoryOf(one), 0);
    const { memoryMib } = guests.host(to).capacity;
    // What somebody starts meanwhile, or takes away of the memory, no admission can know.
    const since = this.#beganAt.get(`admitted ${instance.uuid} ${to}`) ?? 0;
    if (taken > memoryMib && (this.#disturbed.get(to) ?? -1) < since)
      this.#complain(`${to} carries ${taken} MiB after the arrival of ${instance.name}, and has ${memoryMib} MiB`);
  }

  lost(host: string, before: SimulatedInstance, cause: Cause): void {
    // One without a definition is gone when it stops; whether it may stop is asked there.
    if (before.persistent)
      this.#complain(`${before.name} was removed from ${host} (${causeText(cause)}) and is nowhere`);
  }

  doubled({ uuid, name }: SimulatedInstance, hosts: readonly string[]): void {
    if (!this.doubledOnPurpose.has(uuid)) this.#complain(`${name} runs on ${hosts.join(" and ")} at once`);
  }

  #comesBySomebody(host: string, { uuid }: SimulatedInstance): void {
    this.#newcomers.set(`${uuid} ${host}`, this.#world.now === 0 ? NEVER : this.#world.now);
    this.disturbed(host);
  }

  disturbed(host: string): void {
    this.#disturbed.set(host, this.#world.now);
  }

  /** Stopping needs a policy of the instance or a consent in the run, and an entry in the ledger from before. */
  #mayStop(host: string, instance: SimulatedInstance, { id, verb }: Work): void {
    const { uuid, name } = instance;
    if (verb !== "stop" && verb !== "save") {
      this.#complain(`${name} is stopped on ${host} by ${id}`);
      return;
    }
    const run = this.#world.disk.runs.get(id.split("/")[0] ?? "");
    const entry = run?.ledger.find((l) => l.kind === "instance" && l.subject === uuid && l.host === host);
    if (entry === undefined) this.#complain(`${name} is stopped by ${id} and the ledger does not know of it`);
    const policy = this.policyOf(instance);
    const allowed = policy === "shutdown-restart" || policy === "managed-save";
    if (!allowed && run?.spec.options.consentStop.includes(name) !== true)
      this.#complain(`${name} is stopped by ${id} without policy or consent (its policy is ${policy})`);
  }

  /** By its own metadata, else by the pool file; worked out apart from the code under test. */
  policyOf({ name, metadata }: Pick<SimulatedInstance, "name" | "metadata">): string {
    const own = metadata["policy"];
    if (own !== undefined) return own;
    const rule = this.#world.pool.instances.find(({ match }) =>
      match.endsWith("*") ? name.startsWith(match.slice(0, -1)) : match === name,
    );
    return rule?.policy ?? "migrate";
  }

  // What an agent asks of its platform.

  asked(host: SimHost, id: string, spec: InstanceSpec): void {
    if (spec.verb === "look") return;
    const known = host.journal.generation(spec.uuid);
    if (spec.generation < known)
      this.#complain(`${id}: done under generation ${spec.generation}, and ${host.name} knows of ${known}`);
    if (spec.verb === "move" || spec.verb === "start") {
      const before = this.#generations.get(spec.uuid);
      if (before !== undefined && before.id !== id && spec.generation <= before.generation)
        this.#complain(`${id}: generation ${spec.generation} after ${before.generation} (${before.id})`);
      this.#generations.set(spec.uuid, { generation: Math.max(spec.generation, before?.generation ?? 0), id });
    }
    if (spec.verb !== "admit" && spec.verb !== "start") return;
    const mark = host.journal.cordon()?.holder.split(",") ?? [];
    if (mark.length > 0 && !mark.includes(id.split("/")[0] ?? ""))
      this.#complain(`${id}: ${spec.name} is let in on ${host.name}, which is cordoned by ${mark.join(",")}`);
  }

  answered(host: SimHost, _id: string, spec: InstanceSpec, look: JobLook): void {
    if (spec.verb === "admit" && look.state === "ended" && look.result.verdict === "ok")
      this.#beganAt.set(`admitted ${spec.uuid} ${host.name}`, this.#world.now);
  }

  /** Maintenance begins, or the machine is about to go down by Slipway's hand. */
  goesDown(name: string, what: string): void {
    const resolvedAt = this.#resolvedAt.get(name) ?? this.#world.now;
    for (const left of this.left(name, resolvedAt)) this.#complain(`${what} on ${name}: ${left.name} runs there`);
  }

  /** What should have left a host: all that runs, but for what its policy leaves and what nobody can have noticed yet. */
  left(name: string, at: number): SimulatedInstance[] {
    const { guests } = this.#world;
    if (!guests.has(name)) return [];
    return guests.running(name).filter((one) => {
      const since = this.#newcomers.get(`${one.uuid} ${name}`) ?? NEVER;
      const isNoticed = since === NEVER || at - since > NOTICED_MS;
      return isNoticed && this.policyOf(one) !== "leave";
    });
  }

  /** Has somebody started it there so lately that nobody can know of it? */
  isUnnoticed(uuid: string, hosts: readonly string[]): boolean {
    return hosts.some((host) => {
      const since = this.#newcomers.get(`${uuid} ${host}`);
      return since !== undefined && this.#world.now - since <= NOTICED_MS;
    });
  }

  // What the log says.

  recorded(before: Run | undefined, after: Run, { event }: Recorded): void {
    if (before === undefined) return;
    const world = this.#world;
    const { run } = after.spec;
    if (event.type === "action-started" || event.type === "instance-settled") {
      for (const rule of brokenActionRules(world, before, after, event)) this.#complain(`run ${run}: ${rule}`);
    }
    if (event.type === "action-started") {
      const key = `${run} ${event.subject}`;
      if (!this.#wantedSince.has(key)) this.#wantedSince.set(key, world.now);
    }
    if (event.type === "instance-settled") {
      this.#trulySettled(run, event);
      this.#wantedSince.delete(`${run} ${event.uuid}`);
    }
    if (event.type === "step-started" && (event.step === "Maintenance" || event.step === "reboot"))
      this.#resolvedAt.set(event.host, world.now);
    if (event.type === "step-ended" && event.step === "drain" && event.result.verdict === "ok")
      for (const left of this.left(event.host, world.now))
        this.#complain(`run ${run}: ${event.host} counts as empty, and ${left.name} runs there`);
    if (event.type === "host-ended" && event.outcome === "updated") this.#allBack(after, event.host);
  }

  /** A settlement in the log must be the true one. */
  #trulySettled(run: string, { uuid, name, outcome, from, to }: Settled): void {
    const { guests } = this.#world;
    const since = this.#wantedSince.get(`${run} ${uuid}`) ?? this.#world.now;
    const arrivedThere = (this.#arrivals.get(uuid) ?? []).some((a) => a.to === to && a.at >= since);
    const happened = (times: Map<string, number>) => (times.get(uuid) ?? -1) >= since;
    const lie = (truth: string) => this.#complain(`run ${run}: the log says that ${name} ${outcome}, ${truth}`);
    switch (outcome) {
      case "moved":
        if (!arrivedThere) lie(`and it never got to ${to}`);
        return;
      case "stayed": {
        const moving = findIn(guests, from, uuid)?.work;
        if (arrivedThere) lie(`and it got to ${to}`);
        else if (moving?.verb === "move" && moving.to === to && moving.id.startsWith(`${run}/`))
          lie("and it is still moving");
        return;
      }
      case "stopped":
      case "saved":
        if (guests.whereRuns(uuid).length > 0 && !happened(this.#stops)) lie("and it has run on all the time");
        return;
      case "started":
      case "resumed":
        if (guests.whereRuns(uuid).length === 0 && !happened(this.#starts)) lie("and it does not run");
        return;
    }
  }

  /** What was stopped for the turn of a host that is in service again runs, or is named. */
  #allBack(run: Run, name: string): void {
    if (run.spec.options.op === "drain") return;
    const notes = run.hosts.find((h) => h.name === name)?.notes ?? [];
    for (const [uuid, { id, host }] of this.stoppedBy)
      if (host === name && id.startsWith(`${run.spec.run}/`) && !notes.some((n) => n.subject === uuid))
        this.#complain(`run ${run.spec.run}: ${name} is in service again, and ${uuid} is still stopped and not named`);
  }

  /** When faults have stopped and the world is quiet. */
  final(): void {
    const world = this.#world;
    const entries = [...world.disk.runs.values()].flatMap((r) => r.ledger).filter((l) => l.closedAt === undefined);
    for (const [uuid, { id, host }] of this.stoppedBy)
      if (!entries.some((l) => l.subject === uuid && l.host === host))
        this.#complain(`${uuid} was stopped by ${id} and no entry of the ledger names it`);
    for (const { id, kind, subject, host } of entries) {
      if (kind !== "instance" || this.stoppedBy.has(subject)) continue;
      const since = this.#starts.get(subject) ?? 0;
      const run = world.disk.runs.get(id.split(":")[0] ?? "");
      const settled = run?.hosts.find((h) => h.name === host)?.settled.findLast((s) => s.uuid === subject);
      // A host that stays out keeps its entries until somebody restores it.
      if (run?.hosts.some((h) => h.name === host && (h.cordoned || stepInHand(h)))) continue;
      if (settled?.outcome === "started" && since > 0) this.#complain(`entry ${id} is open and its instance runs`);
    }
  }
}

const causes = {
  guest: "by itself",
  somebody: "by other hands",
  power: "the host goes off",
  boot: "the host boots",
  unknown: "nobody knows why",
} as const;

function causeText(cause: Cause): string {
  return typeof cause === "string" ? causes[cause] : `run ${cause.id.split("/")[0]}`;
}
