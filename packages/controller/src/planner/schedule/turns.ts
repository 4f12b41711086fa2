import { naturalCompare } from "@slipway/shared";
import type { Schedule, ScheduledMove, ScheduledTurn } from "../../domain/schedule.ts";
import type { PlannedTurn, PoolSnapshot, RollingPlan } from "../rolling/index.ts";
import { basisOf } from "./basis.ts";
import { drainSlowness } from "./estimate.ts";
import type { ScheduleInput } from "./input.ts";
import { budgetsOf } from "./limits.ts";
import type { Names } from "./names.ts";

/** A plan in the words of a run. */
export function turnsOf(plan: RollingPlan, snapshot: PoolSnapshot, names: Names, input: ScheduleInput): Schedule {
  const { options } = input;
  const waves = waveNumbers(plan);
  const hosts = new Map(snapshot.hosts.map((h) => [h.name, h]));
  const isTurn = new Map(plan.turns.filter((t) => hosts.get(t.host)?.state === "in-scope").map((t) => [t.host, t]));
  const after = new Map([...isTurn.keys()].map((host) => [host, new Set<string>()]));
  for (const { from, to, kind, wave } of plan.moves) {
    // It goes onto a host that is back by then, or it is still to go on from a host whose turn comes.
    const target = isTurn.get(to);
    const source = isTurn.get(from);
    if (target && source && kind === "drain" && target.wave < wave) after.get(from)?.add(to);
    if (target && source && kind === "drain" && target.wave > wave) after.get(to)?.add(from);
  }
  const toAsk = new Set(plan.consentsNeeded);
  const consents = (of: readonly string[]) => of.filter((i) => toAsk.has(i)).map((i) => names.known(i)?.name ?? i);
  const turns = [...isTurn.values()].map((turn): ScheduledTurn => {
    const host = hosts.get(turn.host);
    const inHand = turn.backMs - turn.startMs;
    const drainMs = Math.max(0, inHand - (host?.durationMs ?? 0));
    const cluster = host?.labels["cluster"] ?? "";
    const slowDrainMs = drainMs * drainSlowness({ name: turn.host, cluster }, input);
    return {
      host: turn.host,
      cluster,
      wave: waves[turn.wave] ?? 1,
      after: [...(after.get(turn.host) ?? [])].sort(naturalCompare),
      waitsFor: worded(turn),
      startMs: Math.round(turn.startMs),
      expectedMs: Math.round(inHand),
      p95Ms: Math.round(slowDrainMs + (host?.p95Ms ?? host?.durationMs ?? 0)),
      consentsNeeded: consents(turn.stops),
    };
  });
  // Nobody is overtaken where the operator gave the order, or is asked wave by wave.
  if (options.order === "free" && options.approve !== "each-wave")
    turns.sort((a, b) => a.startMs - b.startMs || a.wave - b.wave);
  const moves = plan.moves.map((m): ScheduledMove => {
    const { uuid = "", name = m.instance } = names.known(m.instance) ?? {};
    return { uuid, name, from: m.from, to: m.to, kind: m.kind, wave: waves[m.wave] ?? waves.at(-1) ?? 1 };
  });
  return {
    turns,
    moves,
    ...budgetsOf(snapshot, options),
    floorMoves: plan.bounds.moves,
    floorMs: Math.round(plan.bounds.makespanMs),
    expectedMs: Math.round(plan.makespanMs),
    p95Ms: Math.round(plan.p95Ms),
    consentsNeeded: consents(plan.consentsNeeded),
    balance: plan.balance,
    basis: basisOf(snapshot),
  };
}

/** By index of the planner's, from 1; waves in which no host goes out only prepare the next one, and count as part of it. */
function waveNumbers({ waves }: RollingPlan): number[] {
  let number = 1;
  const numbers: number[] = [];
  for (const wave of waves) {
    numbers.push(number);
    if (wave.length > 0) number++;
  }
  numbers.push(number);
  return numbers;
}

function worded({ waitsFor }: PlannedTurn): string {
  return waitsFor
    .replace(/\bat most 1 hosts\b/, "at most 1 host")
    .replace(/^cluster: at most (\d+) may have hosts out$/, (_, n) =>
      n === "1" ? "one cluster goes at a time" : `at most ${n} clusters may have hosts out`,
    );
}
