import { naturalCompare } from "@slipway/shared";
import type { DomainBudget } from "../../domain/schedule.ts";
import type { RunOptions } from "../../domain/words.ts";
import type { DomainLimit, PoolSnapshot, RollingOptions } from "../rolling/index.ts";
import { limitOf } from "../rolling/snapshot.ts";
import type { ScheduleInput } from "./input.ts";
import type { Pictured } from "./snapshot.ts";

/** What a run may do, with every share worked out. */
export interface Budgets {
  readonly maxOut: Readonly<Record<string, number>>;
  readonly domains: readonly DomainBudget[];
  readonly maxClusters: number;
}

const share = (percent: number) => `${percent}%` as const;

export function budgetsOf({ hosts }: PoolSnapshot, options: RunOptions): Budgets {
  const clusters = Map.groupBy(hosts, (h) => h.labels["cluster"] ?? "");
  const limit = options.maxOutPercent > 0 ? share(options.maxOutPercent) : options.maxOut;
  const domains = options.domainLimits.flatMap(({ label, maxHosts, percent }) => {
    const values = Map.groupBy(hosts, (h) => h.labels[label] ?? "");
    return [...values]
      .filter(([value]) => value !== "")
      .sort(([a], [b]) => naturalCompare(a, b))
      .map(([value, { length }]) => ({ label, value, maxHosts: limitOf(maxHosts ?? share(percent ?? 100), length) }));
  });
  return {
    maxOut: Object.fromEntries([...clusters].map(([name, { length }]) => [name, limitOf(limit, length)])),
    domains,
    // What is drained stays out, whichever cluster it is of.
    maxClusters: options.op === "drain" ? Math.max(options.maxClusters, clusters.size) : options.maxClusters,
  };
}

/** The same for the planner. */
export function rollingOptionsOf(input: ScheduleInput, { snapshot, consented }: Pictured): RollingOptions {
  const { options, pool } = input;
  const { maxClusters } = budgetsOf(snapshot, options);
  const perCluster: DomainLimit = {
    label: "cluster",
    maxHosts: options.maxOutPercent > 0 ? share(options.maxOutPercent) : options.maxOut,
    maxDomains: maxClusters,
  };
  const further = options.domainLimits.map(
    ({ label, maxHosts, percent }): DomainLimit => ({ label, maxHosts: maxHosts ?? share(percent ?? 100) }),
  );
  const canary = snapshot.hosts.find((h) => h.name === options.canary);
  const isAhead = canary?.state === "in-scope" || canary?.state === "out";
  const { spareHosts } = pool.capacity;
  return {
    mode: "waves",
    domainLimits: [perCluster, ...further],
    ...(isAhead ? { canary: { host: options.canary, bakeMs: options.bakeMs } } : {}),
    ...(options.order === "given" ? { order: orderOf(input, maxClusters) } : {}),
    ...(options.op === "drain" || options.return === "none" ? {} : { return: "exact" }),
    migrationsPerSource: pool.migration.perHost,
    migrationsPerTarget: pool.migration.perTarget,
    // The snapshot's processors are virtual ones.
    cpuOvercommit: 1,
    consented,
    ...(spareHosts > 0 ? { mayGoOut: spared(snapshot, spareHosts) } : {}),
  };
}

/** As given; clusters that may go side by side take turns, so that none waits for another one's hosts. */
function orderOf({ hosts }: ScheduleInput, maxClusters: number): string[] {
  const inScope = hosts.filter((h) => h.state === "in-scope");
  const clusters = [...Map.groupBy(inScope, (h) => h.cluster).values()];
  if (maxClusters === 1) return clusters.flat().map((h) => h.name);
  const out: string[] = [];
  for (let i = 0; out.length < inScope.length; i++) for (const c of clusters) if (c[i]) out.push(c[i]?.name ?? "");
  return out;
}

/**
 * Could the hosts that stay in take in the loss of so many more, going by memory alone? Less than the rule that is applied at each
 * host's turn, so that no wave is planned that could not go; never true again with more hosts out.
 */
function spared({ hosts, instances }: PoolSnapshot, spareHosts: number): NonNullable<RollingOptions["mayGoOut"]> {
  const clusterOf = new Map(hosts.map((h) => [h.name, h.labels["cluster"] ?? ""]));
  const needs = new Map<string, number>();
  for (const { host, memoryMiB } of instances) {
    const cluster = clusterOf.get(host) ?? "";
    needs.set(cluster, (needs.get(cluster) ?? 0) + memoryMiB);
  }
  const usable = Map.groupBy(
    hosts.filter((h) => h.state !== "unavailable").sort((a, b) => b.memoryMiB - a.memoryMiB),
    (h) => h.labels["cluster"] ?? "",
  );
  const total = new Map([...usable].map(([name, of]) => [name, of.reduce((sum, h) => sum + h.memoryMiB, 0)]));
  const memory = new Map(hosts.map((h) => [h.name, h.memoryMiB]));
  return (going, out) => {
    const away = new Set([...going, ...out]);
    return going.every((host) => {
      const cluster = clusterOf.get(host) ?? "";
      let left = total.get(cluster) ?? 0;
      for (const name of away) if (clusterOf.get(name) === cluster) left -= memory.get(name) ?? 0;
      let lost = 0;
      for (const h of usable.get(cluster) ?? []) {
        if (lost === spareHosts) break;
        if (away.has(h.name)) continue;
        left -= h.memoryMiB;
        lost++;
      }
      return left >= (needs.get(cluster) ?? 0);
    });
  };
}
