import type { HostBasis } from "../../domain/schedule.ts";
import type { PoolSnapshot } from "../rolling/index.ts";

/** What a schedule out of this snapshot takes for granted, by host. */
export function basisOf({ hosts, instances }: PoolSnapshot): Record<string, HostBasis> {
  const used = new Map<string, number>();
  for (const { host, memoryMiB } of instances) used.set(host, (used.get(host) ?? 0) + memoryMiB);
  return Object.fromEntries(
    hosts.map(({ name, state, memoryMiB }) => [
      name,
      [state === "unavailable" ? 0 : memoryMiB, used.get(name) ?? 0] as const,
    ]),
  );
}
