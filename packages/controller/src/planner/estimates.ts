import { durationText } from "@slipway/shared";
import {
  type Durations,
  type Estimate,
  estimateOf,
  guessedSpeed,
  migrationMs,
  samplesText,
} from "../domain/durations.ts";
import type { RunOptions } from "../domain/words.ts";

/** What the turn of a host is expected to take. */
export interface TurnEstimate extends Estimate {
  /** One live migration of this instance away from the host, expected and at the 95th percentile; milliseconds. */
  migrateMs(instance: { readonly memoryMib: number }): number;
  migrateP95Ms(instance: { readonly memoryMib: number }): number;
  /** Draining these instances, so many at once, the longest first; then the whole turn. */
  readonly drainMs: number;
  readonly turnMs: number;
  readonly turnP95Ms: number;
  /** Nothing of it rests on what has been measured. */
  readonly isAssumed: boolean;
}

/**
 * `expectedMs` and `p95Ms`: the host from empty to back in service, by what it, its cluster or the fleet took before, else a stated guess.
 * `instances`: those that are to be migrated away from it. `migrationsAtOnce`: as the pool file allows per host.
 */
export function estimates(
  host: { readonly name: string; readonly cluster: string },
  instances: readonly { readonly memoryMib: number }[],
  durations: Durations | undefined,
  options: Pick<RunOptions, "op">,
  migrationsAtOnce = 1,
): TurnEstimate {
  const { name, cluster } = host;
  const away =
    options.op === "drain"
      ? { expectedMs: 0, p95Ms: 0, basis: "it stays out", isAssumed: false }
      : estimateOf(durations, name, options.op === "reboot" ? "away-reboot" : "away", cluster);
  const known = durations?.migration(name, undefined, cluster);
  const speed = known ?? guessedSpeed;
  const migrateMs = (i: { readonly memoryMib: number }) => migrationMs(speed, i.memoryMib);
  const drainMs = lanes(instances.map(migrateMs), migrationsAtOnce);
  const moves = known
    ? `migrations: usual of ${samplesText(known)}`
    : `migrations: no history; assumed ${durationText(guessedSpeed.fixedMs)} and ${durationText(guessedSpeed.perGibMs)} per GiB`;
  return {
    ...{ expectedMs: away.expectedMs, p95Ms: away.p95Ms, isAssumed: away.isAssumed && known === undefined },
    basis: instances.length > 0 ? `${away.basis}; ${moves}` : away.basis,
    migrateMs,
    migrateP95Ms: (i) => Math.round(migrateMs(i) * speed.p95Factor),
    drainMs,
    turnMs: drainMs + away.expectedMs,
    // That all of them are slow at once is what a slow network looks like.
    turnP95Ms: Math.round(drainMs * speed.p95Factor) + away.p95Ms,
  };
}

/** When all are done of which so many go at once, the longest first. */
function lanes(durations: readonly number[], atOnce: number): number {
  const free = Array.from({ length: Math.max(1, Math.min(atOnce, durations.length)) }, () => 0);
  for (const ms of [...durations].sort((a, b) => b - a)) {
    const first = free.indexOf(Math.min(...free));
    free[first] = (free[first] ?? 0) + ms;
  }
  return Math.max(...free);
}
