import type { MessageInitShape } from "@bufbuild/protobuf";
import type { operatorWire } from "@slipway/shared/wire";
import type { Roster } from "../coordinator/ports.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { Basis, Plan } from "../planner/plan.ts";
import { plannedInstances } from "./inventory-views.ts";
import { optionsView, reasonView } from "./views.ts";

const big = (ms: number) => BigInt(Math.round(ms));

export type PlanView = MessageInitShape<typeof operatorWire.PlanViewSchema>;

/** `roster`: what the pictures say of the instances that the plan names. */
export function planView(plan: Plan, roster: Pick<Roster, "inventories" | "pool">, withPool = false): PlanView {
  const turns = new Map(plan.evacuation.hosts.map((h) => [h.host, h]));
  const pictures = new Map([...new Set(plan.hosts.map((h) => h.cluster))].map((c) => [c, roster.inventories(c)]));
  const planned = (name: string, cluster: string) => ({
    ...{ host: name, cluster, steps: [...(plan.steps[name] ?? [])] },
    instances: plannedInstances(turns.get(name), pictures.get(cluster) ?? [], roster.pool()),
  });
  const clusters = new Map(plan.hosts.map((h) => [h.name, h.cluster]));
  // What is left out is in no wave.
  for (const { name, labels } of plan.basis?.snapshot.hosts ?? []) clusters.set(name, labels["cluster"] ?? "");
  const makeRoom = Map.groupBy(plan.evacuation.makeRoom, (m) => m.wave);
  const waves = Map.groupBy(plan.hosts, (h) => h.wave);
  return {
    waves: [...waves]
      .sort(([a], [b]) => a - b)
      .map(([number, hosts]) => ({
        number,
        cluster: [...new Set(hosts.map((h) => h.cluster))].join(", "),
        hosts: hosts.map((h) => planned(h.name, h.cluster)),
        makeRoom: (makeRoom.get(number) ?? []).map((m) => ({ ...m, kind: "make-room" })),
      })),
    skipped: plan.skipped.map((reason) => ({
      ...planned(reason.subject, clusters.get(reason.subject) ?? ""),
      reason: reasonView(reason),
    })),
    blockers: plan.blockers.map(reasonView),
    warnings: plan.warnings.map(reasonView),
    options: optionsView(plan.options),
    hosts: plan.hosts.map((h) => h.name),
    moves: plan.evacuation.moves,
    floor: plan.evacuation.floor,
    relaxations: plan.relaxations.map(reasonView),
    ...(plan.schedule ? { schedule: scheduleView(plan.schedule, plan.basis?.assumed) } : {}),
    ...(withPool && plan.basis ? { pool: poolView(plan.basis, roster.pool()) } : {}),
  };
}

/** `assumed`: hosts whose durations are guesses. */
export function scheduleView(schedule: Schedule, assumed: readonly string[] = []) {
  const { turns, moves, maxOut, domains, maxClusters, floorMoves, consentsNeeded } = schedule;
  return {
    turns: turns.map((t) => ({
      ...{ host: t.host, cluster: t.cluster, wave: t.wave, after: [...t.after], waitsFor: t.waitsFor },
      ...{ startMs: big(t.startMs), expectedMs: big(t.expectedMs), p95Ms: big(t.p95Ms) },
    })),
    moves: moves.map((m) => ({ ...m })),
    ...{ maxOut: { ...maxOut }, domains: domains.map((d) => ({ ...d })), maxClusters, floorMoves },
    ...{ floorMs: big(schedule.floorMs), expectedMs: big(schedule.expectedMs), p95Ms: big(schedule.p95Ms) },
    ...{ consentsNeeded: [...consentsNeeded], turnsMeasured: turns.length - assumed.length },
    ...(schedule.balance ? { balance: balanceView(schedule.balance) } : {}),
  };
}

function balanceView({ mean, least, most }: NonNullable<Schedule["balance"]>) {
  const percent = (share: number) => Math.round(share * 100);
  return { meanPercent: percent(mean), leastPercent: percent(least), mostPercent: percent(most) };
}

/** The pool that a schedule was made of. */
function poolView(
  { snapshot, uuids }: Basis,
  { migration, capacity }: PoolConfig,
): MessageInitShape<typeof operatorWire.PoolViewSchema> {
  return {
    hosts: snapshot.hosts.map((h) => ({
      ...{ name: h.name, labels: { ...h.labels }, state: h.state, vcpus: h.vcpus },
      ...{ memoryMib: h.memoryMiB, hugepagesMib: h.hugepagesMiB ?? 0 },
      ...{ durationMs: big(h.durationMs), p95Ms: big(h.p95Ms ?? h.durationMs) },
    })),
    instances: snapshot.instances.map((i) => ({
      ...{ uuid: uuids.get(i.name) ?? "", name: i.name, host: i.host, vcpus: i.vcpus, movability: i.movability },
      ...{ memoryMib: i.memoryMiB, hugepagesMib: i.hugepagesMiB ?? 0, migrateMs: big(i.migrateMs) },
      ...{ allowed: [...(i.allowed ?? [])], antiAffinity: [...(i.antiAffinity ?? [])] },
      ...{ affinity: i.affinity ?? "", home: i.home ?? "" },
    })),
    groups: (snapshot.quorumGroups ?? []).map((g) => ({ ...g, members: [...g.members] })),
    limits: {
      migrationsPerHost: migration.perHost,
      migrationsPerTarget: migration.perTarget,
      migrationsPerCluster: migration.perCluster,
      spareHosts: capacity.spareHosts,
    },
  };
}
