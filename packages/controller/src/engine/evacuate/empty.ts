import type { RunSpec } from "../../domain/events.ts";
import type { Run } from "../../domain/run.ts";
import type { Reason } from "../../domain/words.ts";
import { checkMoves, type Evacuation, rehearseRun } from "../../planner/evacuation.ts";
import type { Desk } from "../desk.ts";
import { noPlaces } from "../services/failover.ts";
import { comingTo } from "./coming.ts";
import { dutiesOf, isBusy } from "./duties.ts";
import { hasNoPlatform, pictureOf, staleness } from "./pictures.ts";
import { arrange, comingBack } from "./targets.ts";

/** Code of a host that was not taken out because it cannot be emptied. */
export const CANNOT_EMPTY = "cannot-empty";

export type TurnRehearsal =
  | { readonly kind: "feasible" }
  | { readonly kind: "unknown"; readonly reason: Reason }
  | { readonly kind: "blocked"; readonly code: string; readonly text: string };

/** How long a host that has passed its checks may take to tell what runs there, in milliseconds. */
export const PICTURE_PATIENCE_MS = 30_000;

/**
 * Can the host be emptied when its turn comes, after all hosts that go before it? Asked of the whole run before anything is
 * changed.
 */
export function rehearseScope(desk: Desk): TurnRehearsal {
  const { run, host, now } = desk;
  const blockers = rehearsalOf(desk).blockers.filter((b) => b.host === host.name);
  const unknown = blockers.find((b) => b.isUnknown)?.reason;
  if (!unknown) return blockers.length === 0 ? { kind: "feasible" } : blocked(blockers.map((b) => b.reason));
  const since = host.steps.at(-1)?.endedT ?? run.startedT;
  if (now < since + PICTURE_PATIENCE_MS) {
    desk.expired(Math.min(now + 1_000, since + PICTURE_PATIENCE_MS));
    return { kind: "unknown", reason: unknown };
  }
  return {
    kind: "blocked",
    code: "inventory-unknown",
    text: unknown.fix ? `${unknown.text}; ${unknown.fix}` : unknown.text,
  };
}

/** It will be left in service, as far as is known: it ended already, or has no hook that would take it out. */
function staysIn({ hosts, spec }: Run, name: string): boolean {
  const host = hosts.find((h) => h.name === name);
  const inspect = host?.steps.findLast((s) => s.step === "inspect");
  return host?.outcome !== undefined || (spec.options.op === "hooks" && inspect?.result?.hooks?.maintenance === false);
}

const rehearsals = new WeakMap<RunSpec, { readonly key: readonly unknown[]; readonly found: Evacuation }>();

/** One rehearsal does for all hosts of a run, as long as nothing has changed that it goes by. */
function rehearsalOf({ run, fleet, now }: Desk): Evacuation {
  const clusters = [...new Set(run.spec.hosts.map((h) => h.cluster))];
  const pictures = clusters.flatMap((c) => fleet.inventoriesOf(c));
  const foreign = (host: string) => fleet.host(host)?.cordonedBy.filter((h) => h !== run.spec.run) ?? [];
  const key = [
    fleet.pool,
    run.hosts.map((h) => (staysIn(run, h.name) ? 1 : 0)).join(""),
    ...pictures.map((p) => p.inventory),
    ...pictures.map((p) => staleness(p.host, p, now)?.rule ?? ""),
    ...pictures.map((p) => foreign(p.host).join()),
  ];
  const last = rehearsals.get(run.spec);
  if (last?.key.length === key.length && last.key.every((k, i) => k === key[i])) return last.found;
  const around = {
    ...{ inventories: (c: string) => fleet.inventoriesOf(c), pool: fleet.pool, nowT: now },
    ...(run.spec.schedule ? { scheduled: run.spec.schedule.moves } : {}),
  };
  const closed = (host: string): Reason | undefined => {
    const who = foreign(host).map((f) => (f === "operator" ? "an operator" : `run ${f}`));
    if (who.length === 0) return undefined;
    const text = `${host} is cordoned by ${who.join(" and ")}`;
    return { rule: "cordoned", subject: host, text, fix: `slipway uncordon ${host}` };
  };
  const { options } = run.spec;
  const hosts = run.spec.hosts.filter((h) => !staysIn(run, h.name));
  const found =
    options.op === "move"
      ? checkMoves(hosts, options.moves, around, closed)
      : rehearseRun(hosts, options, { ...around, comingBack: comingBack(run, fleet, pictures) }, closed);
  rehearsals.set(run.spec, { key, found });
  return found;
}

/** Can the host be emptied, as things are now? Asked before the first thing that its turn changes. */
export function rehearseTurn(desk: Desk): TurnRehearsal {
  const { run, host, fleet, now } = desk;
  const picture = pictureOf(fleet, host.cluster, host.name);
  if (picture && hasNoPlatform(picture)) return { kind: "feasible" };
  const stale = staleness(host.name, picture, now);
  if (stale || picture === undefined) return { kind: "unknown", reason: stale as Reason };
  const duties = dutiesOf(picture, fleet.pool, run.spec.options).filter((d) => !isBusy(d));
  const problems = duties.flatMap((d) => d.problem ?? []);
  if (problems.length > 0) return blocked(problems);
  const lost = noPlaces(desk);
  if (lost.length === 0 && !duties.some((d) => d.how === "move")) return { kind: "feasible" };
  const { placement, passing, until } = arrange(run, host, fleet, now);
  const blockers = placement.blockers.filter((b) => b.host === host.name || b.host === "").map((b) => b.reason);
  if (blockers.length + lost.length === 0) return { kind: "feasible" };
  if (passing && (until === undefined || !desk.expired(until))) return { kind: "unknown", reason: passing };
  return blocked([...blockers, ...lost]);
}

function blocked(reasons: readonly Reason[]): TurnRehearsal {
  return {
    kind: "blocked",
    code: CANNOT_EMPTY,
    text: reasons.map((r) => (r.fix ? `${r.text}; ${r.fix}` : r.text)).join("; "),
  };
}

/**
 * Does something run on the host that should have left it? Asked right before what takes the host down: an instance may have
 * been started there since it was drained. Records what it waits for.
 */
export function stillFull(desk: Desk): boolean | "unknown" {
  const { run, host, fleet, now } = desk;
  const picture = pictureOf(fleet, host.cluster, host.name);
  if (picture && hasNoPlatform(picture)) return false;
  const stale = staleness(host.name, picture, now);
  if (stale || picture === undefined) {
    desk.wait(stale as Reason);
    desk.unknown(stale as Reason);
    return "unknown";
  }
  const coming = comingTo(run, host.name, picture);
  if (coming) {
    desk.wait(coming);
    desk.expired(now + 1_000);
    return "unknown";
  }
  return dutiesOf(picture, fleet.pool, run.spec.options).some((d) => d.how !== "stay" || d.problem !== undefined);
}
