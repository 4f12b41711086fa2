import type { SimulatedInstance } from "@slipway/agent";
import type { PoolConfig, QuorumConfig, RunOptions } from "@slipway/controller";
import { type Stage, stages } from "@slipway/shared";
import { duration, type HookRun, type HostScript, type SystemScript, type Yaml } from "@slipway/simulator";
import { hypervisor, instances, poolFile } from "./instances.ts";

/** What a pool.yaml says. */
export interface Pool {
  readonly hosts: readonly HostScript[];
  readonly options: Partial<RunOptions>;
  /** Hooks are shown in the log as they start and end. */
  readonly showHooks: boolean;
  /** What lies on the hosts at the beginning. */
  readonly guests: readonly { readonly host: string; readonly instance: SimulatedInstance }[];
  readonly pool: PoolConfig;
  readonly quorum: QuorumConfig;
  /** Replicated systems that really run, and are really read. */
  readonly systems: readonly SystemScript[];
}

/** Deadlines short enough for a log to be read; a scenario may change each of them. */
const OPTIONS: Partial<RunOptions> = {
  timeoutMs: 60_000,
  pingIntervalMs: 5_000,
  maintenanceWaitMs: 60_000,
  agentWaitMs: 60_000,
  rebootWaitMs: 120_000,
  graceMs: 5_000,
};

const HOOKS: Yaml = { PreFlight: "2s", PreMaintenance: "1s", Maintenance: "20s", PostMaintenance: "2s" };

/** A hook: `20s`, `never`, or a mapping with takes, exit, signal, says, asks (lines to SLIPWAY_OUTPUT), ignores: TERM. */
function hookRun(given: unknown): HookRun {
  const entry: Yaml = typeof given === "string" ? { takes: given } : (given as Yaml);
  const takes = String(entry["takes"] ?? "2s");
  const asks = entry["asks"];
  return {
    durationMs: takes === "never" ? Infinity : duration(takes),
    exit: Number(entry["exit"] ?? 0),
    ...(entry["signal"] === undefined ? {} : { signal: String(entry["signal"]) }),
    ...(entry["says"] === undefined ? {} : { output: String(entry["says"]) }),
    ...(asks === undefined ? {} : { requests: `${[asks].flat().join("\n")}\n` }),
    ...(entry["ignores"] === "TERM" ? { ignoresTerm: true } : {}),
  };
}

function host(name: string, given: Yaml, defaults: Yaml): HostScript {
  const hooks: Partial<Record<Stage, readonly [HookRun, ...HookRun[]]>> = {};
  const problems: Partial<Record<Stage, string>> = {};
  for (const stage of stages) {
    const entry = given[stage] ?? defaults[stage];
    if (entry === undefined || entry === "none") continue;
    const problem = (entry as Yaml)["problem"];
    if (problem !== undefined) problems[stage] = String(problem);
    else hooks[stage] = [entry].flat().map(hookRun) as [HookRun, ...HookRun[]];
  }
  const known = new Set<string>([
    ...stages,
    "cluster",
    "boots",
    "hooks-dir",
    "labels",
    "memory",
    "cpus",
    "cpu",
    "instances",
  ]);
  for (const key of Object.keys(given)) if (!known.has(key)) throw new Error(`host ${name}: ${key} is not known`);
  return {
    name,
    labels: {
      ...{ cluster: String(given["cluster"] ?? "c1"), pod: "p1", zone: "z1" },
      ...(given["labels"] as Record<string, string> | undefined),
    },
    hooks,
    problems,
    ...(given["hooks-dir"] === undefined ? {} : { dirProblem: String(given["hooks-dir"]) }),
    bootMs: duration(String(given["boots"] ?? "30s")),
    ...(given["memory"] === undefined ? {} : { hypervisor: hypervisor(name, given) }),
  };
}

/** Of every host, in the order of stopping; the time of stopping and of starting is the world's. */
function services(kinds: readonly string[]): QuorumConfig["services"] {
  if (kinds.length === 0) return [];
  return [{ match: "*", services: kinds.map((kind) => ({ kind, name: "", settings: {}, timeoutMs: 30_000 })) }];
}

function probe({ name }: SystemScript, from: readonly string[]): QuorumConfig["probes"][number] {
  return { name, system: name, from, views: 2, settings: {}, aliases: {}, outside: [], timeoutMs: 5_000 };
}

export function poolOf(yaml: Yaml): Pool {
  const options: Record<string, unknown> = { ...OPTIONS };
  for (const [key, value] of Object.entries((yaml["options"] ?? {}) as Yaml)) {
    const name = key.replace(/-([a-z])/g, (_, c: string) => c.toUpperCase());
    const isDuration = typeof value === "string" && /^\d/.test(value);
    options[isDuration ? `${name}Ms` : name] = isDuration ? duration(value) : value;
  }
  const defaults = { ...HOOKS, ...((yaml["hooks"] ?? {}) as Yaml) };
  const systems = Object.entries((yaml["systems"] ?? {}) as Record<string, Omit<SystemScript, "name">>).map(
    ([name, system]) => ({ name, ...system }),
  );
  const hosts = Object.entries(yaml["hosts"] as Record<string, Yaml | null>);
  return {
    hosts: hosts.map(([n, h]) => host(n, h ?? {}, defaults)),
    options: options as Partial<RunOptions>,
    showHooks: yaml["show"] === "hooks",
    guests: instances(hosts),
    pool: poolFile((yaml["pool"] ?? {}) as Yaml),
    systems,
    quorum: {
      probes: systems.map((s) => probe(s, Object.keys(yaml["hosts"] as Yaml))),
      groups: yaml["watched"] === true ? [{ name: "etcd", members: [], needed: 1 }] : [],
      services: services([yaml["services"] ?? []].flat() as string[]),
    },
  };
}
