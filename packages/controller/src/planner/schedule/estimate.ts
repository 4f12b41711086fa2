import type { Instance } from "@slipway/shared";
import { estimateOf, guessedSpeed, migrationMs } from "../../domain/durations.ts";
import { memoryOf } from "../../placement/settle.ts";
import type { ScheduleInput } from "./input.ts";

type Host = { readonly name: string; readonly cluster: string };

/** From empty to back in service, in milliseconds. */
export function awayOf({ name, cluster }: Host, { options, durations }: ScheduleInput) {
  if (options.op === "drain") return { expectedMs: 0, p95Ms: 0, isAssumed: false };
  return estimateOf(durations, name, options.op === "reboot" ? "away-reboot" : "away", cluster);
}

/** One migration of each of these away from a host, in milliseconds. */
export function migrations({ name, cluster }: Host, { durations }: ScheduleInput): (instance: Instance) => number {
  const speed = speedOf({ name, cluster }, durations);
  return (instance) => migrationMs(speed, memoryOf(instance));
}

/** A drain takes up to so many times what is expected: that all migrations are slow at once is what a slow network looks like. */
export function drainSlowness(host: Host, { durations }: ScheduleInput): number {
  return speedOf(host, durations).p95Factor;
}

function speedOf({ name, cluster }: Host, durations: ScheduleInput["durations"]) {
  return durations?.migration(name, undefined, cluster) ?? guessedSpeed;
}
