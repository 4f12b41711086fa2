import { durationText } from "@slipway/shared";
import type { FleetView } from "../../domain/fleet.ts";
import type { HostRun, Run } from "../../domain/run.ts";
import type { Schedule, ScheduledTurn } from "../../domain/schedule.ts";
import { momentText } from "../../domain/window.ts";
import type { Reason } from "../../domain/words.ts";
import { budgetDenial, type OutHost, placesTaken } from "../budget.ts";
import { listed } from "../result.ts";
import { canaryOf, consentsMissing, isOver, pendingApproval } from "./approval.ts";
import { hasBegun } from "./fold.ts";
import { windowWait, windowWakeT } from "./window.ts";

/** Why the turn of a host does not begin yet. */
export interface Waiting {
  readonly reason: Reason;
  /** More than the course of the run itself is waited for: the run holds. */
  readonly holds: boolean;
  /** Engine time at which it may be otherwise without anything having happened. */
  readonly wakeT?: number;
}

/** Rules for which a run holds without keeping hosts back whose turns have begun. */
const turnRules: ReadonlySet<string> = new Set(["max-out", "max-clusters", "bake", "approval", "window"]);

/** Is it only about hosts whose turns are still to come? */
export function isAboutTurns({ rule }: Reason): boolean {
  return turnRules.has(rule);
}

/**
 * May the turn of a host begin? In a run without a schedule only its window is asked here; else no barrier but what the rules say:
 * those before it in its cluster have begun; those it builds on are back; no budget is exceeded with all turns that are going on; the
 * canary has been back for long enough; an operator's word and the window allow it. Undefined when it may, and for a host that is to
 * go on behind its way out.
 */
export function mayBegin(run: Run, host: HostRun, fleet: FleetView, now: number): Waiting | undefined {
  const { schedule } = run;
  // Its checks take nothing out, and neither does what follows on a way back.
  if (!host.checked || host.cordoned || host.resumeAt === "PostMaintenance") return undefined;
  if (schedule === undefined) return windowed(run, host, fleet, now);
  const waiting =
    comesLater(run, schedule, host) ?? canaryFirst(run, host, fleet, now) ?? budgeted(run, schedule, host, fleet);
  const consent = consentFor(run, schedule, host);
  // An operator may as well be asked before it is this host's turn; the run goes on meanwhile.
  if (waiting) return consent && !waiting.holds ? { ...consent, holds: false } : waiting;
  return consent ?? approvedBy(run, host) ?? windowed(run, host, fleet, now);
}

/**
 * Is it a host whose turn goes by the schedule, and for which it counts whether the world is as that assumes: because it begins, because
 * an operator is asked about it, or because room may have come that it need not wait for. What is to return in full may still be away.
 */
export function isNext({ schedule, spec }: Run, waiting: Waiting | undefined): boolean {
  if (schedule === undefined) return false;
  if (waiting === undefined) return true;
  const { rule } = waiting.reason;
  return rule === "after" ? spec.options.return !== "exact" : rule === "approval" && waiting.holds;
}

interface Order {
  readonly turns: ReadonlyMap<string, ScheduledTurn>;
  /** Wave by wave, whenever they are expected to begin: the order in which the planner gave places away. */
  readonly places: ReadonlyMap<string, number>;
  readonly lastWave: number;
}
const orders = new WeakMap<Schedule, Order>();

function orderOf(schedule: Schedule): Order {
  const known = orders.get(schedule);
  if (known) return known;
  const byWave = [...schedule.turns].sort((a, b) => a.wave - b.wave);
  const turns = new Map(schedule.turns.map((t) => [t.host, t]));
  const order = { turns, places: new Map(byWave.map((t, i) => [t.host, i])), lastWave: byWave.at(-1)?.wave ?? 0 };
  orders.set(schedule, order);
  return order;
}

const fronts = new WeakMap<Run["hosts"], ReadonlyMap<string, readonly HostRun[]>>();

/**
 * In each cluster the hosts to come that may begin as far as the order goes, in order. Where the order is free that is one for each place: a
 * host may overtake another one that waits for something else, but never takes its place, so that overtaking makes nothing later.
 */
function frontOf({ hosts, spec, schedule }: Run, { places, lastWave }: Order): ReadonlyMap<string, readonly HostRun[]> {
  const known = fronts.get(hosts);
  if (known) return known;
  const isFree = spec.options.order === "free" && spec.options.approve !== "each-wave";
  // One that is tried again may have had its turn in an earlier schedule.
  const placeOf = (h: HostRun) => places.get(h.name) ?? (h.wave <= lastWave ? -1 : Number.POSITIVE_INFINITY);
  const toCome = Map.groupBy(
    hosts.filter((h) => !hasBegun(h)),
    (h) => h.cluster,
  );
  const found = new Map<string, readonly HostRun[]>();
  for (const [cluster, of] of toCome)
    found.set(
      cluster,
      of.sort((a, b) => placeOf(a) - placeOf(b)).slice(0, isFree ? (schedule?.maxOut[cluster] ?? 1) : 1),
    );
  fronts.set(hosts, found);
  return found;
}

/** Those that go before it in its cluster and have not begun; undefined where too many do. */
function ahead(run: Run, schedule: Schedule, host: HostRun): readonly HostRun[] | undefined {
  // A retry behind the way out has begun as far as the order goes.
  if (hasBegun(host) || host.name === run.spec.options.canary) return [];
  const front = frontOf(run, orderOf(schedule)).get(host.cluster) ?? [];
  const at = front.indexOf(host);
  return at < 0 ? undefined : front.slice(0, at);
}

function comesLater(run: Run, schedule: Schedule, host: HostRun): Waiting | undefined {
  const order = orderOf(schedule);
  if (ahead(run, schedule, host) === undefined) {
    const first = frontOf(run, order).get(host.cluster)?.[0]?.name ?? "another host";
    return wait("not-its-turn", host.name, `${host.name}: the turn of ${first} comes first`);
  }
  const { after = [] } = order.turns.get(host.name) ?? {};
  const away = after.filter((name) => !isBack(run.hosts.find((h) => h.name === name)));
  if (away.length === 0) return undefined;
  return wait(
    "after",
    host.name,
    `${host.name} goes when ${listed(away)} ${verb(away)} back${why(schedule, host, away)}`,
  );
}

/** What a host needs others for, in words: its instances go onto them, or theirs onto it. */
function why({ moves }: Schedule, { name }: HostRun, away: readonly string[]): string {
  const drains = moves.filter((m) => m.kind === "drain");
  const leaving = drains.filter((m) => m.from === name && away.includes(m.to)).map((m) => m.name);
  if (leaving.length > 0) return `: ${listed(leaving)} ${verb(leaving)} to go there`;
  const coming = drains.filter((m) => m.to === name && away.includes(m.from)).map((m) => m.name);
  return coming.length > 0 ? `: ${listed(coming)} ${verb(coming)} to come from there` : "";
}

const verb = ({ length }: readonly string[]) => (length === 1 ? "is" : "are");

/** Its turn is over, however it ended, or it has been through and is in service again. */
function isBack(host: HostRun | undefined): boolean {
  if (host === undefined || host.outcome !== undefined) return true;
  if (host.cordoned) return false;
  return host.steps.slice(host.from).some((s) => s.step === "uncordon" && s.result?.verdict === "ok");
}

function canaryFirst(run: Run, host: HostRun, { wallT }: FleetView, now: number): Waiting | undefined {
  const canary = canaryOf(run);
  if (canary === undefined || canary === host) return undefined;
  const { bakeMs } = run.spec.options;
  if (canary.outcome === undefined)
    return wait("canary", canary.name, `${host.name} waits for the canary ${canary.name}, which goes first and alone`);
  const until = (canary.endedT ?? now) + bakeMs;
  if (canary.outcome !== "updated" || until <= now) return undefined;
  const reason: Reason = {
    rule: "bake",
    subject: canary.name,
    text: `the canary ${canary.name} is watched for ${durationText(bakeMs)} before another host goes${wallT === undefined ? "" : `, until ${momentText(wallT + until - now, "UTC")}`}`,
    fix: `it goes on by itself then; if ${canary.name} is not well: slipway run pause ${run.spec.run}`,
  };
  return { reason, holds: true, wakeT: until };
}

function toGo({ name, cluster }: HostRun): OutHost {
  return { name, cluster, why: "to go before it", isTurn: true, isOwn: true };
}

function budgeted(run: Run, schedule: Schedule, host: HostRun, fleet: FleetView): Waiting | undefined {
  const before = ahead(run, schedule, host) ?? [];
  const out = [...placesTaken(run, host, fleet), ...before.map(toGo)];
  const reason = budgetDenial(run, host, out, fleet);
  if (reason === undefined) return undefined;
  // What the run's own turns take comes free as they end; anything else is for an operator.
  const without = budgetDenial(
    run,
    host,
    out.filter((o) => !o.isTurn),
    fleet,
  );
  return { reason: without ?? reason, holds: without !== undefined };
}

function approvedBy(run: Run, host: HostRun): Waiting | undefined {
  const { approve } = run.spec.options;
  const { wave, name } = host;
  const canary = canaryOf(run);
  // It goes before all waves, also one that has nothing to do and so is of the last.
  if (canary === host) return undefined;
  if (approve === "each-wave" && wave > run.approvedWave && !isOver(run, wave))
    return wait("wave", name, `${name} is of wave ${wave}, which an operator approves when all before it are over`);
  const isAsked =
    (approve === "each-wave" && wave > run.approvedWave) ||
    (approve === "after-canary" && canary !== undefined && run.approvedWave <= canary.wave);
  const pending = pendingApproval(run);
  return isAsked && pending ? wordFor(run, host, pending.why) : undefined;
}

/** Instances of the host would have to be stopped, and nobody has agreed to that. */
function consentFor(run: Run, schedule: Schedule, host: HostRun): Waiting | undefined {
  const missing = consentsMissing(run, orderOf(schedule).turns.get(host.name));
  if (missing.length === 0) return undefined;
  return wordFor(run, host, `${listed(missing)} ${verb(missing)} to be stopped for the turn of ${host.name}`);
}

function wordFor({ spec: { run: id } }: Run, { name }: HostRun, why: string): Waiting {
  const text = `${why}: an operator's word is needed before ${name} goes`;
  const fix = `slipway run approve ${id}, or end the run: slipway run abort ${id}`;
  return { reason: { rule: "approval", subject: `run ${id}`, text, fix }, holds: true };
}

function windowed(run: Run, host: HostRun, fleet: FleetView, now: number): Waiting | undefined {
  const reason = windowWait(run, host, fleet);
  return reason && { reason, holds: true, wakeT: windowWakeT(run, fleet, now) };
}

function wait(rule: string, subject: string, text: string): Waiting {
  return { reason: { rule, subject, text, fix: "" }, holds: false };
}
