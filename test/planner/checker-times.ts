import type { PlannedMove, PlannedTurn, RollingPlan } from "../../packages/controller/src/planner/rolling/index.ts";
import { limitsBroken, Rooms, type Rules } from "./checker.ts";

interface Event {
  readonly at: number;
  /** Ends come before starts of the same moment. */
  readonly order: number;
  readonly happen: () => void;
}

/** The rolling schedule, played by its times: everything that overlaps does so here too. */
export function checkTimes(rules: Rules, plan: RollingPlan): string[] {
  const bad: string[] = [];
  const events: Event[] = [];
  const rooms = new Rooms(rules);
  const present = new Map<string, Set<string>>(rules.snapshot.hosts.map((h) => [h.name, new Set<string>()]));
  for (const it of rules.snapshot.instances) present.get(it.host)?.add(it.name);
  const at = new Map(rules.snapshot.instances.map((it) => [it.name, it.host]));
  const moving = new Set<string>();
  const cordoned = new Set<string>();
  const away = new Set<string>();
  const sending = new Map<string, number>();
  const receiving = new Map<string, number>();
  const perSource = rules.options.migrationsPerSource ?? 1;
  const perTarget = rules.options.migrationsPerTarget ?? 1;
  const count = (map: Map<string, number>, key: string, by: number) => {
    const n = (map.get(key) ?? 0) + by;
    map.set(key, n);
    return n;
  };

  const starts = (move: PlannedMove, slot: boolean) => () => {
    const label = `${move.instance} ${move.from} => ${move.to} at ${move.startMs}`;
    const it = rules.instance.get(move.instance);
    if (!it) return;
    if (moving.has(it.name)) bad.push(`${label}: it is moving already`);
    if (at.get(it.name) !== move.from) bad.push(`${label}: it is on ${at.get(it.name)}`);
    if (cordoned.has(move.to)) bad.push(`${label}: the target has its turn`);
    moving.add(it.name);
    const there = present.get(move.to);
    for (const name of there ?? []) {
      const other = rules.instance.get(name);
      const isMate = it.affinity !== undefined && other?.affinity === it.affinity && other?.host === it.host;
      if (name !== it.name && !isMate && (it.antiAffinity ?? []).some((g) => other?.antiAffinity?.includes(g)))
        bad.push(`${label}: ${name} is there`);
    }
    there?.add(it.name);
    rooms.change(it.name, move.to, -1);
    const lack = rooms.lack(move.to, it.name);
    if (lack !== "") bad.push(`${label}: ${lack}`);
    if (slot && count(sending, move.from, 1) > perSource) bad.push(`${label}: too many migrations from ${move.from}`);
    if (slot && count(receiving, move.to, 1) > perTarget) bad.push(`${label}: too many migrations to ${move.to}`);
  };
  const ends = (move: PlannedMove, slot: boolean) => () => {
    moving.delete(move.instance);
    at.set(move.instance, move.to);
    present.get(move.from)?.delete(move.instance);
    rooms.change(move.instance, move.from, 1);
    if (slot) {
      count(sending, move.from, -1);
      count(receiving, move.to, -1);
    }
  };
  const begins = (turn: PlannedTurn) => () => {
    cordoned.add(turn.host);
    for (const text of limitsBroken(rules, [...cordoned])) bad.push(`${turn.host} at ${turn.startMs}: ${text}`);
    for (const name of present.get(turn.host) ?? [])
      if (moving.has(name) && at.get(name) !== turn.host)
        bad.push(`${turn.host}: its turn begins while ${name} arrives`);
  };
  const goes = (turn: PlannedTurn) => () => {
    away.add(turn.host);
    for (const name of present.get(turn.host) ?? [])
      if (!rules.stays.has(name)) bad.push(`${turn.host} goes out with ${name}`);
  };
  const returns = (turn: PlannedTurn) => () => {
    cordoned.delete(turn.host);
    away.delete(turn.host);
  };

  let last = 0;
  const together = new Set<string>();
  for (const move of plan.moves) {
    if (!(move.startMs >= 0 && move.endMs >= move.startMs))
      bad.push(`${move.instance}: times ${move.startMs}, ${move.endMs}`);
    // The members of an affinity group take one slot together.
    const affinity = rules.instance.get(move.instance)?.affinity;
    const key = `${affinity}\0${move.from}\0${move.to}\0${move.startMs}`;
    const slot = affinity === undefined || !together.has(key);
    together.add(key);
    events.push({ at: move.startMs, order: 4, happen: starts(move, slot) });
    events.push({ at: move.endMs, order: move.endMs > move.startMs ? 0 : 5, happen: ends(move, slot) });
    last = Math.max(last, move.endMs);
  }
  for (const turn of plan.turns) {
    const host = rules.host.get(turn.host);
    const isOut = host?.state === "out";
    if (turn.backMs < turn.outMs + (host?.durationMs ?? 0) - 1e-6) bad.push(`${turn.host}: back too early`);
    if (turn.outMs < turn.startMs) bad.push(`${turn.host}: out before its turn`);
    events.push({ at: turn.startMs, order: isOut ? 2 : 3, happen: begins(turn) });
    events.push({ at: turn.outMs, order: 6, happen: goes(turn) });
    events.push({ at: turn.backMs, order: turn.backMs > turn.outMs ? 1 : 7, happen: returns(turn) });
    last = Math.max(last, turn.backMs);
  }
  events.sort((a, b) => a.at - b.at || a.order - b.order);
  for (const event of events) event.happen();
  if (away.size > 0) bad.push(`${[...away].join(",")} never come back`);
  if (Math.abs(last - plan.makespanMs) > 1e-6) bad.push(`makespan ${plan.makespanMs}, but it ends at ${last}`);
  if (plan.makespanMs > plan.barrierMakespanMs + 1e-6)
    bad.push("the rolling schedule is longer than the one with barriers");
  const canary = rules.options.canary;
  const first = plan.turns.find((turn) => turn.host === canary?.host);
  if (canary && first && !rules.snapshot.hosts.some((h) => h.name === canary.host && h.state === "done"))
    for (const turn of plan.turns)
      if (
        turn.host !== canary.host &&
        turn.startMs < first.backMs + canary.bakeMs - 1e-6 &&
        rules.inScope.includes(turn.host)
      )
        bad.push(`${turn.host} does not wait for the canary`);
  return bad;
}
