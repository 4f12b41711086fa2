import { type DurationKind, type Durations, durationKinds } from "../domain/durations.ts";
import type { FleetEntry } from "../fleet/registry.ts";
import { clusterOf } from "../planner/plan.ts";
import type { FleetHost } from "./views.ts";

const big = (ms: number) => BigInt(Math.round(ms));

/** What is known of how long a host's steps take, for its own view. */
export function durationsView(durations: Durations, { name, facts }: FleetEntry): Partial<FleetHost> {
  const cluster = clusterOf(facts.labels);
  const usual = (Object.keys(durationKinds) as DurationKind[]).flatMap((kind) => {
    const known = kind === "migration" ? undefined : durations.usual(name, kind, cluster);
    return known ? [{ ...known, kind, p50Ms: big(known.p50Ms), p95Ms: big(known.p95Ms) }] : [];
  });
  const speed = durations.migration(name, undefined, cluster);
  const migrations = speed && { ...speed, fixedMs: big(speed.fixedMs), perGibMs: big(speed.perGibMs) };
  return { durations: usual, ...(migrations ? { migrations } : {}) };
}
