import { planRolling, type RollingOptions, type RollingResult } from "../rolling/index.ts";
import { awayOf } from "./estimate.ts";
import { explained } from "./explain.ts";
import type { Scheduled, ScheduleInput } from "./input.ts";
import { rollingOptionsOf } from "./limits.ts";
import { type Pictured, snapshotOf, unknownsOf } from "./snapshot.ts";
import { turnsOf } from "./turns.ts";

/**
 * Who goes when and where instances go, for the hosts in scope, out of what is known now; or why that cannot be. Used for the plan
 * of a run and, with the hosts that are done and out, for the rest of one. Only for work that takes hosts out. Errors: `not-found`,
 * `bad-input` where options name what is not there.
 */
export function scheduleOf(input: ScheduleInput): Scheduled {
  const unknown = unknownsOf(input);
  if (unknown.length > 0) return { kind: "none", proven: false, reasons: unknown, relaxations: [] };
  const pictured = snapshotOf(input);
  const options = rollingOptionsOf(input, pictured);
  const { pictured: used, result } = stopped(pictured, options, returned(pictured, options));
  if (!result.feasible) return explained(result, used.names, input);
  const { snapshot, names } = used;
  const schedule = turnsOf(result, snapshot, names, input);
  const assumed = schedule.turns.filter((t) => awayOf({ name: t.host, cluster: t.cluster }, input).isAssumed);
  return { kind: "schedule", schedule, snapshot, uuids: names.uuids, assumed: assumed.map((t) => t.host) };
}

/** A return that finds no room is no failure of a run: those go home that can. */
function returned({ snapshot }: Pictured, options: RollingOptions): RollingResult {
  const result = planRolling(snapshot, options);
  if (result.feasible || options.return !== "exact" || !result.reasons.every((r) => r.rule === "return")) return result;
  return planRolling(snapshot, { ...options, return: "preferred" });
}

/** Instances that an operator consented to stop move as long as there is a plan with that; else the fewest found are stopped. */
function stopped(
  pictured: Pictured,
  options: RollingOptions,
  result: RollingResult,
): { pictured: Pictured; result: RollingResult } {
  if (result.feasible || pictured.mayStop.length === 0) return { pictured, result };
  const few = result.relaxations.find((r) => r.kind === "stop")?.instances ?? [];
  const isAgreed = few.length > 0 && few.every((name) => pictured.mayStop.includes(name));
  const stops = new Set(isAgreed ? few : pictured.mayStop);
  const instances = pictured.snapshot.instances.map((it) =>
    stops.has(it.name) ? { ...it, movability: "stop" as const } : it,
  );
  const next = { ...pictured, snapshot: { ...pictured.snapshot, instances } };
  const again = returned(next, { ...options, consented: [...pictured.consented, ...stops] });
  return again.feasible ? { pictured: next, result: again } : { pictured, result };
}
