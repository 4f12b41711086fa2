import type { Instance } from "@slipway/shared";
import { estimateOf, guessedSpeed, migrationMs } from "../../domain/durations.ts";
import { memoryOf } from "../../placement/settle.ts";
import type { ScheduleInput } from "./input.ts";

type Host = { readonly name: string; readonly cluster: string };

/** From empty to back in service, in milliseconds. */
export function awayOf({ name, cluster }: Host, { options, durations }: ScheduleInput) {
  if (options.op === "drain") return { expectedMs: 0, p95Ms: 0 };
  return estimateOf(durations, name, options.op === "reboot" ? "away-reboot" : "away", cluster);
}

/** One migration of each of these away from a host, in milliseconds. */
export function migrations({ name, cluster }: Host, { durations }: ScheduleInput): (instance: Instance) => number {
  const speed = durations?.migration(name, undefined, cluster) ?? guessedSpeed;
  return (instance) => migrationMs(speed, memoryOf(instance));
}
