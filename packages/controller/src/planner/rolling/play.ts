import type { Step } from "./board.ts";
import { Gate } from "./gate.ts";
import { compile } from "./pool.ts";
import type { RollingPlan } from "./result.ts";
import { schedule } from "./schedule.ts";
import type { PoolSnapshot, RollingOptions } from "./snapshot.ts";

/** What really happens, in milliseconds, where a plan has expectations. */
export interface Actual {
  readonly awayMs: (host: string) => number;
  readonly migrateMs: (instance: string) => number;
}

/** How long a plan takes if its rules are followed while durations turn out otherwise: rolling, and with barriers. */
export function playPlan(
  snapshot: PoolSnapshot,
  options: RollingOptions,
  plan: RollingPlan,
  actual: Actual,
): { readonly rollingMs: number; readonly barriersMs: number } {
  const pool = compile(snapshot, options);
  const unitOf = new Map<string, number>();
  const migrateMs = new Float64Array(pool.units);
  for (const [u, members] of pool.members.entries())
    for (const i of members) {
      const name = snapshot.instances[i]?.name ?? "";
      unitOf.set(name, u);
      migrateMs[u] = (migrateMs[u] as number) + actual.migrateMs(name);
    }
  const index = (host: string) => pool.hostIndex.get(host) as number;
  const steps: Step[][] = Array.from({ length: plan.waves.length + 1 }, () => []);
  for (const { instance, from, to, kind, wave } of plan.moves) {
    const unit = unitOf.get(instance) as number;
    // The members of an affinity group move as one.
    const isFirst = snapshot.instances[(pool.members[unit] as readonly number[])[0] ?? 0]?.name === instance;
    if (isFirst) steps[wave]?.push({ unit, from: index(from), to: index(to), kind, dead: false });
  }
  const away = Float64Array.from(pool.hosts, (h) => actual.awayMs(h.name));
  const waves = plan.waves.map((wave) => wave.map(index));
  const input = { pool: { ...pool, migrateMs }, options, gate: new Gate(pool, options), waves, steps, away };
  return { rollingMs: schedule(input, false).makespan, barriersMs: schedule(input, true).makespan };
}
