import type { ActionRecord } from "../../domain/action.ts";
import type { FleetView } from "../../domain/fleet.ts";
import type { HostInventory } from "../../domain/inventory.ts";
import type { HostRun, Run } from "../../domain/run.ts";
import type { Reason } from "../../domain/words.ts";
import {
  type InFlight,
  type Mover,
  type Placement,
  place,
  type Question,
  type Role,
  type Tried,
} from "../../placement/index.ts";
import { dutiesOf, isBusy } from "./duties.ts";
import { opsOfRun } from "./ops.ts";
import { hasNoPlatform, isKnownGone, pictureOf, settledOf, staleness } from "./pictures.ts";
import { asidesFor, scheduledTarget } from "./scheduled.ts";

/** An agent that has been away for less than this is expected back: nothing fails for want of its host, in milliseconds. */
export const AWAY_PATIENCE_MS = 30_000;

/** Where the instances of a host, and of all others that are being emptied, can go. */
export interface Arrangement {
  readonly placement: Placement;
  /** A host that may be a target again in a moment; what does not fit now is no failure yet. */
  readonly passing: Reason | undefined;
  /** Engine time until which it is waited for; undefined: without a bound of its own. */
  readonly until: number | undefined;
}

interface Roles {
  readonly roles: Map<string, Role>;
  passing: Reason | undefined;
  until: number | undefined;
}

function isLeaving(h: HostRun): boolean {
  return (
    h.cordoned ||
    (h.outcome === undefined && h.steps.at(-1)?.step === "gate" && h.steps.at(-1)?.result?.verdict === "ok")
  );
}

function rolesOf(run: Run, host: HostRun, fleet: FleetView, now: number): Roles {
  const out: Roles = { roles: new Map(), passing: undefined, until: undefined };
  const turns = new Map(run.hosts.map((h, i) => [h.name, { h, i }]));
  for (const picture of fleet.inventoriesOf(host.cluster)) {
    const name = picture.host;
    const own = turns.get(name);
    if (name === host.name) {
      out.roles.set(name, { is: "source" });
      continue;
    }
    const because = closed(run, fleet, picture, now, out);
    if (because) out.roles.set(name, { is: "closed", because });
    else if (own && isLeaving(own.h)) out.roles.set(name, { is: "source" });
    else if (own?.h.outcome === "updated") out.roles.set(name, { is: "done" });
    else if (own && own.h.outcome === undefined && run.spec.options.op !== "move")
      out.roles.set(name, { is: "later", turn: own.i });
    else out.roles.set(name, { is: "target" });
  }
  return out;
}

/** Why a host takes no instances just now. */
function closed(run: Run, fleet: FleetView, picture: HostInventory, now: number, out: Roles): Reason | undefined {
  const name = picture.host;
  const fact = fleet.host(name);
  const foreign = fact?.cordonedBy.filter((holder) => holder !== run.spec.run) ?? [];
  const because = (rule: string, text: string, fix: string): Reason => ({ rule, subject: name, text, fix });
  if (foreign.length > 0) {
    const who = foreign.map((f) => (f === "operator" ? "an operator" : `run ${f}`)).join(" and ");
    return because("cordoned", `${name} is cordoned by ${who}`, `slipway uncordon ${name}`);
  }
  const stale = staleness(name, picture, now);
  if (stale) {
    const since = fact?.connected === false ? fact.sinceT : picture.readT;
    if (now < since + AWAY_PATIENCE_MS || fact?.connected) {
      out.passing = stale;
      out.until = Math.max(out.until ?? 0, since + AWAY_PATIENCE_MS);
    }
    return stale;
  }
  if (hasNoPlatform(picture)) return because("no-platform", `${name} has no platform for instances`, "");
  const marked = picture.inventory.cordonedBy;
  if (marked !== "" && (fact?.cordonedBy.length ?? 0) === 0) {
    // It has been uncordoned, and its agent is about to say so.
    const reason = because(
      "cordoned",
      `${name} still takes no instances (${marked})`,
      `look at slipway-agent on ${name}`,
    );
    out.passing = reason;
    return reason;
  }
  return undefined;
}

/**
 * Migrations of the run that are under way hold their room at the target; so do those that have arrived since the target told what
 * it has.
 */
export function inFlightOf(run: Run, fleet: FleetView, cluster: string): InFlight[] {
  const out: InFlight[] = opsOfRun(run).flatMap((op) =>
    op.kind === "move" ? flight(op.actions[0], op.from, op.to) : [],
  );
  for (const host of run.hosts)
    for (const { uuid, outcome, from, to = "", generation, t } of host.settled) {
      if (outcome !== "moved" || t <= (pictureOf(fleet, cluster, to)?.readT ?? Number.POSITIVE_INFINITY)) continue;
      const admitted = host.actions.find(
        (a) => a.subject === uuid && a.verb === "admit" && a.spec.generation === generation,
      );
      out.push(...flight(admitted, from, to));
    }
  return out;
}

function flight(admit: ActionRecord | undefined, from: string, to: string): InFlight[] {
  const needs = admit?.spec.instance;
  return needs ? [{ instance: { ...needs, startedAtMs: 0n }, from, to }] : [];
}

/** Instances that are off where they are, and for which the ledger promises that they come back there. */
export function comingBack(run: Run, fleet: FleetView, hosts: readonly HostInventory[]): Set<string> {
  const out = new Set<string>();
  for (const { host } of hosts)
    for (const { entry } of fleet.ledgerOf(host)) if (entry.kind === "instance") out.add(entry.subject);
  for (const entry of run.ledger) if (entry.kind === "instance" && entry.closedAt === undefined) out.add(entry.subject);
  return out;
}

/** Targets that were tried for an instance since the drain of its host began. */
export function triedFor(host: HostRun, uuid: string): readonly Tried[] {
  const since = host.steps.findLast((s) => s.step === "drain")?.startedT ?? Number.POSITIVE_INFINITY;
  return settledOf(host, uuid)
    .filter((s) => s.outcome === "stayed" && s.purpose === "drain" && s.t >= since)
    .flatMap(({ to, reason }) => (to === undefined ? [] : { host: to, why: reason }));
}

/**
 * All that has to leave `host`, together with what still has to leave the other hosts that are being emptied, packed onto what
 * remains, as things are now.
 */
export function arrange(run: Run, host: HostRun, fleet: FleetView, now: number): Arrangement {
  const hosts = fleet.inventoriesOf(host.cluster);
  const { roles, passing, until } = rolesOf(run, host, fleet, now);
  const movers: Mover[] = [];
  const mayStop = new Set<string>();
  for (const picture of hosts) {
    if (roles.get(picture.host)?.is !== "source") continue;
    const own = run.hosts.find((h) => h.name === picture.host);
    for (const duty of dutiesOf(picture, fleet.pool, run.spec.options)) {
      const { uuid } = duty.instance;
      if (duty.how !== "move" || duty.problem || isBusy(duty) || (own && isKnownGone(own, picture, uuid))) continue;
      const to = scheduledTarget(run, uuid, picture.host);
      const wanted = to === undefined ? {} : { wanted: to };
      movers.push({ uuid, from: picture.host, avoid: own ? triedFor(own, uuid) : [], ...wanted });
      if (duty.mayStop) mayStop.add(uuid);
    }
  }
  const question: Question = {
    ...{ hosts, roles, movers, mayStop },
    inFlight: inFlightOf(run, fleet, host.cluster),
    makeRoom: asidesFor(run, host, fleet),
    comingBack: comingBack(run, fleet, hosts),
    pool: fleet.pool,
  };
  return { placement: placed(host.name, question), passing, until };
}

const answers = new WeakMap<
  HostInventory["inventory"],
  { key: string; hosts: readonly object[]; placement: Placement }
>();

/** Decisions come often and change little: the last answer for a host's picture holds while the question is the same. */
function placed(host: string, question: Question): Placement {
  const own = question.hosts.find((h) => h.host === host)?.inventory;
  if (own === undefined) return place(question);
  const { roles, movers, mayStop, inFlight, makeRoom, comingBack: back, pool, hosts } = question;
  const key = JSON.stringify([
    [...roles],
    movers.map((m) => [m.uuid, m.from, m.wanted, m.avoid]),
    makeRoom?.map((m) => [m.uuid, m.from, m.to, m.failed]),
    [...(mayStop ?? [])],
    inFlight?.map((f) => [f.instance.uuid, f.from, f.to]),
    [...(back ?? [])],
  ]);
  const pictures = [pool, ...hosts.map((h) => h.inventory)];
  const last = answers.get(own);
  if (
    last &&
    last.key === key &&
    last.hosts.length === pictures.length &&
    last.hosts.every((h, i) => h === pictures[i])
  )
    return last.placement;
  const placement = place(question);
  answers.set(own, { key, hosts: pictures, placement });
  return placement;
}
