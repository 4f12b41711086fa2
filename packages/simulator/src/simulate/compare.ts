import type { Run, Schedule, ScheduledMove, ScheduledTurn } from "@slipway/controller/internals";
import { naturalCompare } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";

/** A plan's schedule in the words of the engine. What it was made for, by host, is not in a plan. */
export function scheduleOf(view: operatorWire.ScheduleView): Schedule {
  const { turns, moves, maxOut, domains, maxClusters, floorMoves, consentsNeeded } = view;
  return {
    turns: turns.map(
      (t): ScheduledTurn => ({
        ...{ host: t.host, cluster: t.cluster, wave: t.wave, after: t.after, waitsFor: t.waitsFor },
        ...{ startMs: Number(t.startMs), expectedMs: Number(t.expectedMs), p95Ms: Number(t.p95Ms) },
      }),
    ),
    moves: moves.map(
      (m): ScheduledMove => ({
        ...{ uuid: m.uuid, name: m.name, from: m.from, to: m.to, wave: m.wave },
        kind: m.kind as ScheduledMove["kind"],
      }),
    ),
    ...{ maxOut, maxClusters, floorMoves, consentsNeeded },
    domains: domains.map(({ label, value, maxHosts }) => ({ label, value, maxHosts })),
    ...{ floorMs: Number(view.floorMs), expectedMs: Number(view.expectedMs), p95Ms: Number(view.p95Ms) },
  };
}

/** In what `own`, made by the simulated controller, is otherwise than the plan; empty: in nothing that is carried out. */
export function differences(plan: Schedule, own: Schedule | undefined): string[] {
  if (own === undefined) return ["it finds no schedule"];
  const found: string[] = [];
  const order = (of: Schedule) => of.turns.map((t) => t.host).join(", ");
  if (order(plan) !== order(own)) found.push(`its order is ${order(own)}, the plan's ${order(plan)}`);
  else
    for (const [i, turn] of plan.turns.entries()) {
      const other = own.turns[i];
      if (other?.wave !== turn.wave)
        found.push(`${turn.host} is in its wave ${other?.wave}, and in wave ${turn.wave} of the plan`);
      else if (other.after.join() !== turn.after.join())
        found.push(`${turn.host} goes after ${named(other.after)}, in the plan after ${named(turn.after)}`);
    }
  const [ofPlan, ofOwn] = [plan, own].map(
    (s) => new Map(s.moves.map((m) => [`${m.uuid} ${m.from} ${m.to} ${m.kind}`, m])),
  );
  for (const [key, m] of ofOwn ?? []) if (!ofPlan?.has(key)) found.push(`it has the move ${moveText(m)}`);
  for (const [key, m] of ofPlan ?? []) if (!ofOwn?.has(key)) found.push(`the plan has the move ${moveText(m)}`);
  const [asked, asks] = [new Set(plan.consentsNeeded), new Set(own.consentsNeeded)];
  for (const name of asks) if (!asked.has(name)) found.push(`it would ask for consent to stop ${name}`);
  for (const name of asked) if (!asks.has(name)) found.push(`the plan asks for consent to stop ${name}`);
  return found;
}

const named = (hosts: readonly string[]) => (hosts.length === 0 ? "none" : hosts.join(", "));
export const moveText = ({ name, from, to }: Pick<ScheduledMove, "name" | "from" | "to">) => `${name} ${from} -> ${to}`;

export interface Move {
  readonly uuid: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** What a run did, in the order in which it did it. */
export function movesOf(run: Run): Move[] {
  return run.hosts
    .flatMap((h) => h.settled)
    .filter((s) => s.outcome === "moved")
    .sort((a, b) => a.t - b.t)
    .map(({ uuid, name, from, to = "" }) => ({ uuid, name, from, to }));
}

/**
 * Planned starts that are nearer to each other than this say nothing of an order: the smallest delay turns it round. Milliseconds, or a
 * share of the whole plan.
 */
const NEAR_MS = 30_000;
const NEAR_SHARE = 0.02;

/** Hosts of a cluster that went after others which were to go later; clusters that go side by side do not wait for each other. */
function disorder(plan: Schedule, beganAt: ReadonlyMap<string, number>): string[] {
  const near = Math.max(NEAR_MS, NEAR_SHARE * plan.expectedMs);
  const gone = plan.turns.filter((t) => beganAt.has(t.host));
  const at = (t: ScheduledTurn) => beganAt.get(t.host) ?? 0;
  return gone.flatMap((turn) => {
    const overtakes = (o: ScheduledTurn) =>
      o.cluster === turn.cluster && turn.startMs + near < o.startMs && at(o) < at(turn);
    const first = gone.filter(overtakes).map((o) => o.host);
    return first.length === 0 ? [] : [`${turn.host} went after ${first.join(", ")}, planned was before`];
  });
}

/** In what a run went otherwise than the plan: order, waves and moves; empty: in nothing. */
export function deviations(plan: Schedule, run: Run): string[] {
  const found: string[] = [];
  const beganAt = new Map(
    run.hosts.filter((h) => h.steps.some((s) => s.step === "cordon")).map((h) => [h.name, h.beganAt ?? 0]),
  );
  found.push(...disorder(plan, beganAt));
  const never = plan.turns
    .map((t) => t.host)
    .filter((h) => !beganAt.has(h))
    .sort(naturalCompare);
  if (never.length > 0) found.push(`${never.join(", ")} did not go out`);
  for (const { host, wave } of plan.turns) {
    const was = run.hosts.find((h) => h.name === host)?.wave;
    if (was !== wave) found.push(`${host} was of wave ${was}, planned was ${wave}`);
  }
  // Of hosts that did not go out it is clear that nothing left them.
  const open = plan.moves.filter((m) => m.kind !== "level" && !never.includes(m.from));
  const extra: Move[] = [];
  for (const move of movesOf(run)) {
    const at = open.findIndex((m) => m.uuid === move.uuid && m.from === move.from && m.to === move.to);
    if (at < 0) extra.push(move);
    else open.splice(at, 1);
  }
  for (const move of extra) {
    const at = open.findIndex((m) => m.uuid === move.uuid && m.from === move.from);
    const [other] = at < 0 ? [] : open.splice(at, 1);
    found.push(other ? `${moveText(move)}, planned was ${other.to}` : `${moveText(move)} was not planned`);
  }
  for (const move of open) found.push(`${moveText(move)} was planned and not made`);
  return found;
}
