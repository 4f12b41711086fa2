import { findIn } from "@slipway/agent/internals";
import { type ActionRecord, type HostRun, type Run, type RunEvent, stepInHand } from "@slipway/controller/internals";
import { memoryOf } from "./guests.ts";
import type { World } from "./world.ts";

type ActionEvent = Extract<RunEvent, { type: "action-started" | "instance-settled" }>;
type Settled = Extract<RunEvent, { type: "instance-settled" }>;
type Started = Extract<RunEvent, { type: "action-started" }>;

/** Rules that what a run resolves to do with an instance must keep; written down apart from the engine. */
export function brokenActionRules(world: World, before: Run, after: Run, event: ActionEvent): string[] {
  if (event.type === "instance-settled") return brokenSettlement(world, before, event);
  const broken: string[] = [];
  const { verb, on, subject, spec, host: turn } = event;
  const say = (rule: string) => broken.push(`${verb} of ${spec.name} on ${on}: ${rule}`);
  const host = after.hosts.find((h) => h.name === turn);
  if (host === undefined) return [`${turn} is not in the run`];
  const inHand = stepInHand(host)?.step;
  if (inHand !== "drain" && inHand !== "restore" && inHand !== "move")
    say(`while ${turn} has ${inHand ?? "nothing"} in hand`);
  // What is under way is seen to its end; nothing of a drain begins after it.
  if ((verb === "admit" || verb === "move") && inHand !== stepOf[spec.purpose])
    say(`it begins for a ${spec.purpose} while ${turn} has ${inHand ?? "nothing"} in hand`);
  const attempts = before.hosts.flatMap((h) => h.actions).filter((a) => isSame(a, event));
  if (event.attempt !== attempts.length + 1) say(`attempt ${event.attempt} after ${attempts.length}`);
  for (const other of unsettled(world, subject)) {
    const isOwn = other.run === after.spec.run && other.host === turn;
    if (!isOwn) say(`while ${other.run} has something under way with it in the turn of ${other.host}`);
  }
  const chain = host.actions.filter((a) => a.subject === subject && !a.settled);
  switch (verb) {
    case "admit":
      // The same target may be asked once more by what has waited for long.
      if (chain.some((a) => a.verb !== "admit" || a.on !== on)) say("while something is under way with it");
      broken.push(...brokenAdmission(world, after, host, event));
      break;
    case "withdraw":
      if (!chain.some((a) => a.verb === "admit" && a.on === on)) say("it was never asked for");
      if (chain.some((a) => a.verb === "move")) say("its migration has begun");
      break;
    case "move":
      if (!chain.some((a) => a.verb === "admit" && a.on === spec.to && a.result?.verdict === "ok"))
        say(`${spec.to} has not let it in`);
      if (chain.filter((a) => a.verb === "move").length > 1) say("moved twice without a settlement");
      broken.push(...brokenTarget(world, after, host, spec, spec.to ?? ""));
      broken.push(...brokenLimits(world, spec, "begun"));
      break;
    case "stop":
    case "save":
    case "start": {
      if (chain.length > 1) say("while something is under way with it");
      const stands = after.ledger.some(
        (l) => l.kind === "instance" && l.subject === subject && l.host === on && l.closedAt === undefined,
      );
      if (!stands) say("without an open entry in the ledger");
      if (verb !== "start") break;
      const elsewhere = world.guests.whereRuns(subject).filter((h) => h !== on);
      const isNew = elsewhere.length > 0 && world.checker.guests.isUnnoticed(subject, elsewhere);
      if (elsewhere.length > 0 && !isNew) say(`it runs on ${elsewhere.join(", ")}`);
      break;
    }
    case "discard":
      if (world.guests.whereRuns(subject).includes(on)) say("it runs there");
      break;
    default:
  }
  return broken;
}

/** The step in which migrations of a purpose begin. */
const stepOf: Readonly<Record<string, string>> = {
  drain: "drain",
  "make-room": "drain",
  return: "restore",
  restore: "restore",
  move: "move",
};

function isSame(a: ActionRecord, e: Started): boolean {
  return a.on === e.on && a.verb === e.verb && a.subject === e.subject;
}

function unsettled(world: World, uuid: string): { run: string; host: string }[] {
  const out: { run: string; host: string }[] = [];
  for (const [id, run] of world.disk.runs)
    if (run.state !== "ended")
      for (const h of run.hosts)
        if (h.actions.some((a) => a.subject === uuid && !a.settled)) out.push({ run: id, host: h.name });
  return out;
}

/** Nothing goes to a host that is cordoned, but for what returns to the host whose turn it is. */
function brokenTarget(world: World, run: Run, host: HostRun, { name, purpose }: Started["spec"], to: string): string[] {
  const isReturn = purpose === "return" && to === host.name;
  const holders = world.disk.holders(to).filter((holder) => !(isReturn && holder === run.spec.run));
  if (world.disk.operatorCordons.has(to)) holders.push("an operator");
  return holders.length === 0 ? [] : [`${name} shall go to ${to}: the host is cordoned by ${holders.join(", ")}`];
}

/** Where an instance may be asked to be taken in. */
function brokenAdmission(world: World, run: Run, host: HostRun, { on, subject, spec }: Started): string[] {
  const broken: string[] = [];
  const say = (rule: string) => broken.push(`${spec.name} shall go to ${on}: ${rule}`);
  if (on === spec.from) say("it is there");
  broken.push(...brokenTarget(world, run, host, spec, on));
  if (spec.purpose === "drain") {
    const since = host.steps.findLast((s) => s.step === "drain")?.startedT ?? 0;
    const again = host.settled.some((s) => s.uuid === subject && s.outcome === "stayed" && s.to === on && s.t >= since);
    if (again) say("it could not be moved there before");
  }
  const picture = world.controller.pictureOf(on);
  const coming = movesOf(world).filter((m) => m.to === on && m.uuid !== subject);
  if (picture !== undefined) {
    const here = picture.instances.filter((i) => i.state !== "shutoff" && i.uuid !== subject);
    const there = new Set(here.map((i) => i.uuid));
    const arriving = coming.filter((m) => !there.has(m.uuid));
    const taken = [...here, ...arriving.map((m) => m.instance)].reduce((mib, i) => mib + (i ? memoryOf(i) : 0), 0);
    const needed = spec.instance ? memoryOf(spec.instance) : 0;
    const most = picture.capacity?.memoryMib ?? 0;
    if (taken + needed > most) say(`${taken} of ${most} MiB are taken or promised, and it needs ${needed}`);
    const apart = apartOf(world, subject);
    const rival = [...here.map((i) => i.uuid), ...arriving.map((m) => m.uuid)].find(
      (uuid) => apart !== undefined && apartOf(world, uuid) === apart,
    );
    if (rival) say(`${rival} of the group ${apart} is there or on its way`);
  }
  broken.push(...brokenLimits(world, spec, "asked for ahead"));
  return broken;
}

/** Limits count migrations that have begun; of those that wait for a lane there may be as many more. */
function brokenLimits(world: World, spec: Started["spec"], kind: "begun" | "asked for ahead"): string[] {
  const { perHost, perTarget, perCluster } = world.pool.migration;
  const these = movesOf(world).filter((m) => m.hasBegun === (kind === "begun"));
  const broken: string[] = [];
  const from = these.filter((m) => m.from === spec.from).length;
  const to = these.filter((m) => m.to === spec.to).length;
  if (from > perHost) broken.push(`${from} migrations leave ${spec.from} at once (${kind})`);
  if (to > perTarget) broken.push(`${to} migrations arrive at once on ${spec.to} (${kind})`);
  if (these.length > perCluster) broken.push(`${these.length} migrations at once (${kind})`);
  return broken;
}

/** What was let in and never moved has been withdrawn, or its target could not be told. */
function brokenSettlement(world: World, before: Run, { host, uuid, name, outcome, to = "" }: Settled): string[] {
  const actions = before.hosts.find((h) => h.name === host)?.actions ?? [];
  const chain = actions.filter((a) => a.subject === uuid && !a.settled);
  const wasLetIn = chain.findLast((a) => a.verb === "admit")?.result?.verdict === "ok";
  if (outcome !== "stayed" || !wasLetIn || chain.some((a) => a.verb === "move")) return [];
  const withdraw = chain.find((a) => a.verb === "withdraw");
  if (withdraw?.result === undefined && withdraw?.abandoned === undefined)
    return [`${name} stays on ${host}, and ${to} still waits for it`];
  const isHeld = withdraw.result?.verdict === "ok" && world.guests.hypervisor(to).promised().includes(uuid);
  return isHeld ? [`${name} was withdrawn, and ${to} still holds its room`] : [];
}

/** Migrations that have been resolved upon and are not settled. */
function movesOf(world: World) {
  const moves: {
    uuid: string;
    from: string;
    to: string;
    instance: NonNullable<ActionRecord["spec"]["instance"]> | undefined;
    hasBegun: boolean;
  }[] = [];
  for (const run of world.disk.runs.values()) {
    if (run.state === "ended") continue;
    for (const h of run.hosts) {
      const open = h.actions.filter((a) => !a.settled);
      for (const [uuid, [a, ...rest]] of Map.groupBy(open, (one) => one.subject))
        if (a?.verb === "admit") {
          const hasBegun = rest.some((one) => one.verb === "move");
          moves.push({ uuid, from: a.spec.from ?? "", to: a.spec.to ?? "", instance: a.spec.instance, hasBegun });
        }
    }
  }
  return moves;
}

/** The group in which an instance is kept apart from the others, as it truly is. */
function apartOf(world: World, uuid: string): string | undefined {
  const [host] = world.guests.whereDefined(uuid);
  return host === undefined ? undefined : findIn(world.guests, host, uuid)?.metadata["apart"];
}
