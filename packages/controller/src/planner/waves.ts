import { SlipwayError } from "@slipway/shared";
import type { PlannedHost } from "../domain/events.ts";
import type { RunOptions } from "../domain/words.ts";
import { byCluster, clusterOf, type KnownHost } from "./scope.ts";

/** Hosts in their order, cluster after cluster, as many in a wave as may be out at once. */
export function fixedWaves(
  fleet: readonly KnownHost[],
  hosts: readonly KnownHost[],
  options: RunOptions,
): PlannedHost[] {
  const out: PlannedHost[] = [];
  let wave = 0;
  for (const [cluster, members] of byCluster(hosts)) {
    const most = maxOutOf(fleet, cluster, options);
    for (const [i, host] of members.entries()) {
      if (i % most === 0) wave++;
      out.push({ name: host.name, cluster, wave });
    }
  }
  return out;
}

function maxOutOf(fleet: readonly KnownHost[], cluster: string, { maxOut, maxOutPercent }: RunOptions): number {
  if (maxOutPercent === 0) return maxOut;
  return shareOf(maxOutPercent, fleet.filter((h) => clusterOf(h.labels) === cluster).length);
}

function shareOf(percent: number, total: number): number {
  return Math.max(1, Math.floor((percent * total) / 100));
}

/** What is drained stays out, so the hosts beyond a limit would be waited for without an end. Errors: `bad-input`. */
export function refuseEndlessDrain(
  fleet: readonly KnownHost[],
  hosts: readonly KnownHost[],
  options: RunOptions,
): void {
  const refuse = (count: number, what: string, most: number, flag: string) => {
    throw new SlipwayError(
      "bad-input",
      `drain: ${count} hosts of ${what} would stay out together, and at most ${most} may`,
      { fix: `drain fewer at once, or allow it: ${flag}${count}` },
    );
  };
  for (const [cluster, { length }] of byCluster(hosts)) {
    const most = maxOutOf(fleet, cluster, options);
    if (length > most) refuse(length, `cluster ${cluster}`, most, "--max-out ");
  }
  for (const { label, maxHosts, percent } of options.domainLimits)
    for (const [value, { length }] of Map.groupBy(hosts, (h) => h.labels[label] ?? "")) {
      const all = fleet.filter((h) => h.labels[label] === value).length;
      const most = maxHosts ?? shareOf(percent ?? 100, all);
      if (value !== "" && length > most) refuse(length, `${label} ${value}`, most, `--max-out-per ${label}=`);
    }
}
