import { plainHost, plainInstance, type SimulatedHost, type SimulatedInstance } from "@slipway/agent/internals";
import {
  type DurationSample,
  defaultPool,
  noQuorum,
  optionsFrom,
  type PoolConfig,
  type QuorumConfig,
  type RunOptions,
  type Scope,
} from "@slipway/controller/internals";
import { type Stage, stages } from "@slipway/shared";
import type { HookRun } from "../executor.ts";
import type { HostScript } from "../host.ts";
import type { GroupScript } from "../systems.ts";
import type { PlanFile, PoolHost, PoolInstance } from "./plan-file.ts";

/** The pool that a plan was made of, as the simulator needs it. */
export interface Rebuilt {
  readonly hosts: readonly HostScript[];
  readonly guests: readonly { readonly host: string; readonly instance: SimulatedInstance }[];
  readonly pool: PoolConfig;
  readonly quorum: QuorumConfig;
  readonly groups: readonly GroupScript[];
  /** Hosts that take nothing, whatever the reason was. */
  readonly closed: readonly string[];
  /** What earlier runs took, so that the simulated controller expects what the plan expects. */
  readonly history: readonly DurationSample[];
  readonly scope: Scope;
  readonly options: Partial<Omit<RunOptions, "args">>;
}

/** Of a turn with a reboot at its end this much is the boot, in milliseconds, or half of it where it is short. */
const BOOT_MS = 120_000;
/** Between the agent's yes and the machine going down; the simulated host's own. */
const GOING_DOWN_MS = 1_000;
const PER_GIB_MS = 1_000;
const HUGEPAGE_KIB = 2_048;
const MOST_LABEL = "slipway-may-carry";

/**
 * Makes up a pool that looks to a planner like the plan's. Everything takes as long as the plan expects, times what `slowness` makes of
 * how many times as long it takes at its 95th percentile.
 */
export function rebuild(plan: PlanFile, slowness: (p95: number) => number = () => 1): Rebuilt {
  const { view, pool } = plan;
  const options = optionsFrom(view.options);
  const sets = allowedSets(pool.instances);
  const factors = new Map(pool.hosts.map((h) => [h.name, drainFactor(h, plan)]));
  const closed = pool.hosts.filter((h) => h.state === "unavailable").map((h) => h.name);
  return {
    hosts: pool.hosts.map((h) => {
      const durationMs = Number(h.durationMs) * slowness(ratio(Number(h.p95Ms), Number(h.durationMs)));
      return hostScript(h, durationMs, plan, options, sets);
    }),
    guests: pool.instances.map((i) => {
      const one = guest(i, plan, sets);
      return { host: i.host, instance: { ...one, slow: one.slow * slowness(factors.get(i.host) ?? 1) } };
    }),
    pool: poolFile(plan),
    quorum: quorumOf(plan),
    groups: groupsOf(plan),
    closed,
    history: [...pool.hosts.flatMap((h) => turnsOf(h, options)), ...migrationsOf(plan, factors)],
    scope: { kind: "hosts", names: scopeOf(plan, options) },
    options,
  };
}

/** What hosts can carry is told with every overcommitment worked out. */
function poolFile({ pool: { limits } }: PlanFile): PoolConfig {
  const { migration } = defaultPool;
  return {
    capacity: { cpuOvercommit: 1, memoryOvercommit: 1, spareHosts: limits?.spareHosts ?? 0 },
    migration: {
      ...migration,
      perHost: limits?.migrationsPerHost || migration.perHost,
      perTarget: limits?.migrationsPerTarget || migration.perTarget,
      perCluster: limits?.migrationsPerCluster || migration.perCluster,
    },
    instances: [],
  };
}

/**
 * In the order of the run where that was given, else in the pool's; with those that the operator leaves out. A canary stands in front of
 * an order that was given: where the others are in the pool's, so was it.
 */
function scopeOf({ view, pool }: PlanFile, { order, canary, exclude = [] }: Rebuilt["options"]): string[] {
  const chosen = new Set([...view.hosts, ...exclude]);
  const natural = pool.hosts.map((h) => h.name).filter((name) => chosen.has(name));
  const rest = (names: Iterable<string>) => [...names].filter((n) => n !== canary && !exclude.includes(n)).join();
  return order === "given" && rest(chosen) !== rest(natural) ? [...chosen] : natural;
}

const ratio = (part: number, whole: number) => (whole > 0 ? Math.max(1, part / whole) : 1);

function hostScript(
  host: PoolHost,
  durationMs: number,
  { view }: PlanFile,
  options: Rebuilt["options"],
  sets: ReadonlyMap<string, string>,
): HostScript {
  const { name } = host;
  const steps = [...view.waves.flatMap((w) => w.hosts), ...view.skipped].find((h) => h.host === name)?.steps ?? [];
  const { workMs, bootMs } = work(Math.round(durationMs), options);
  const hooks: Partial<Record<Stage, readonly [HookRun, ...HookRun[]]>> = {};
  for (const stage of stages)
    if (steps.includes(stage)) hooks[stage] = [{ durationMs: stage === "Maintenance" ? workMs : 0, exit: 0 }];
  const labels = { ...host.labels };
  for (const [names, label] of sets) if (names.split(",").includes(name)) labels[label] = "yes";
  const isCarrier = host.memoryMib > 0 || host.hugepagesMib > 0 || host.state === "unavailable";
  return { name, labels, hooks, bootMs, ...(isCarrier ? { hypervisor: hypervisor(host) } : {}) };
}

/** How the time of a turn is divided, from empty to back in service. */
function work(durationMs: number, { op = "hooks", reboot }: Rebuilt["options"]): { workMs: number; bootMs: number } {
  if (op === "reboot") return { workMs: 0, bootMs: Math.max(0, durationMs - GOING_DOWN_MS) };
  if (reboot !== "always") return { workMs: durationMs, bootMs: BOOT_MS };
  const bootMs = Math.min(BOOT_MS, Math.floor(durationMs / 2));
  return { workMs: durationMs - bootMs, bootMs: Math.max(0, bootMs - GOING_DOWN_MS) };
}

function hypervisor({ name, memoryMib, vcpus, hugepagesMib }: PoolHost): SimulatedHost {
  const plain = plainHost(name);
  const pages = Math.floor((hugepagesMib * 1_024) / HUGEPAGE_KIB);
  const hugepages = pages > 0 ? [{ sizeKib: HUGEPAGE_KIB, total: pages, free: pages }] : [];
  // What is set aside for huge pages is no memory for others.
  const capacity = { ...plain.capacity, memoryMib: memoryMib + hugepagesMib, cpus: vcpus, hugepages };
  return { capacity, timing: { ...plain.timing, perGibMs: PER_GIB_MS } };
}

/** Hosts that an instance may run on, as names separated by commas -> the label that stands for them. */
function allowedSets(instances: readonly PoolInstance[]): Map<string, string> {
  const keys = new Set(instances.filter((i) => i.allowed.length > 0).map((i) => i.allowed.join(",")));
  return new Map([...keys].map((key, i) => [key, `${MOST_LABEL}-${i + 1}`]));
}

function guest(given: PoolInstance, { view, schedule }: PlanFile, sets: ReadonlyMap<string, string>) {
  const { uuid, name, vcpus, memoryMib, hugepagesMib, migrateMs } = given;
  const size = Math.max(1, memoryMib || hugepagesMib);
  const required = sets.get(given.allowed.join(","));
  const metadata: Record<string, string> = {
    ...(given.antiAffinity[0] ? { apart: given.antiAffinity[0] } : {}),
    ...(given.affinity ? { group: given.affinity } : {}),
    ...(given.home ? { home: given.home } : {}),
    ...(required ? { requires: required } : {}),
  };
  // It holds something of its host, and an operator has not been asked yet whether it may be stopped.
  const toAsk = given.movability === "pinned" || schedule.consentsNeeded.includes(name);
  const isTied = toAsk && view.hosts.includes(given.host);
  if (given.movability === "stop" && !isTied) metadata["policy"] = policyOf(given, view);
  return {
    ...plainInstance(uuid, name),
    ...{ vcpus, memoryMib: size, hugepageKib: memoryMib === 0 && hugepagesMib > 0 ? HUGEPAGE_KIB : 0, metadata },
    devices: isTied ? [tie] : [],
    persistent: given.movability !== "pinned" || !isTied,
    slow: Number(migrateMs) / ((size / 1_024) * PER_GIB_MS) || 1,
  };
}

const tie = { kind: "pci", name: "of the host" } as SimulatedInstance["devices"][number];

function policyOf({ uuid }: PoolInstance, view: PlanFile["view"]): string {
  const planned = view.waves
    .flatMap((w) => w.hosts)
    .flatMap((h) => h.instances)
    .find((i) => i.uuid === uuid);
  return planned?.action === "leave" || planned?.action === "managed-save" ? planned.action : "shutdown-restart";
}

function quorumOf({ pool }: PlanFile): QuorumConfig {
  const isHost = new Set(pool.hosts.map((h) => h.name));
  const groups = pool.groups.map(({ name, members, minUp }) => ({
    ...{ name, needed: minUp },
    members: members.map((m) => ({ kind: isHost.has(m) ? ("host" as const) : ("instance" as const), name: m })),
  }));
  return { ...noQuorum, groups };
}

/** The same as what truly holds; of members of two kinds only the instances are watched, the rest counts as up. */
function groupsOf({ pool }: PlanFile): GroupScript[] {
  const isHost = new Set(pool.hosts.map((h) => h.name));
  return pool.groups.flatMap(({ name, members, minUp }): GroupScript[] => {
    const hosts = members.filter((m) => isHost.has(m));
    if (hosts.length === members.length) return [{ name, kind: "host", members, needed: minUp }];
    const instances = members.filter((m) => !isHost.has(m));
    return [{ name, kind: "instance", members: instances, needed: minUp - hosts.length }];
  });
}

/** As many samples as are needed for the last but one to be the 95th percentile. */
const SAMPLES = 20;
const SLOW = 2;

function series(usualMs: number, p95Ms: number): number[] {
  return Array.from({ length: SAMPLES }, (_, i) => (i < SAMPLES - SLOW ? usualMs : Math.max(usualMs, p95Ms)));
}

function turnsOf({ name, labels, durationMs, p95Ms }: PoolHost, options: Rebuilt["options"]): DurationSample[] {
  const { op = "hooks" } = options;
  if (op !== "hooks" && op !== "reboot") return [];
  const of = { host: name, cluster: labels["cluster"] ?? "" };
  const away = { ...of, kind: op === "reboot" ? "away-reboot" : "away" } as const;
  const samples: DurationSample[] = series(Number(durationMs), Number(p95Ms)).map((ms) => ({ ...away, ms }));
  if (op === "reboot" || options.reboot === "always") return samples;
  // What the work itself usually takes, so that the log can call it slow.
  return [...samples, ...samples.map((s): DurationSample => ({ ...s, kind: "Maintenance" }))];
}

/** How many times as long as expected the drain of a host may take. */
function drainFactor({ name, durationMs, p95Ms }: PoolHost, { schedule }: PlanFile): number {
  const turn = schedule.turns.find((t) => t.host === name);
  return turn ? ratio(Number(turn.p95Ms - p95Ms), Number(turn.expectedMs - durationMs)) : 1;
}

/** Migrations of all sizes that a host has, on the line on which the plan's are; and as slow as the plan thinks that they may be. */
function migrationsOf({ pool }: PlanFile, factors: ReadonlyMap<string, number>): DurationSample[] {
  const on = Map.groupBy(pool.instances, (i) => i.host);
  return pool.hosts.flatMap(({ name, labels }): DurationSample[] => {
    const instances = on.get(name) ?? [];
    const of = { host: name, cluster: labels["cluster"] ?? "", kind: "migration" } as const;
    return series(1, factors.get(name) ?? 1).flatMap((slowness, i): DurationSample[] => {
      const one = instances[i % Math.max(1, instances.length)];
      if (one === undefined) return [];
      return [{ ...of, ms: Number(one.migrateMs) * slowness, mib: one.memoryMib || one.hugepagesMib }];
    });
  });
}
