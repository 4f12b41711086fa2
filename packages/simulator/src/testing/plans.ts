import { create, toJson } from "@bufbuild/protobuf";
import { plainHost, plainInstance, type SimulatedInstance } from "@slipway/agent/internals";
import {
  type DurationSample,
  defaultPool,
  noQuorum,
  type PoolConfig,
  planView,
  type QuorumConfig,
  type RunOptions,
  type Scope,
} from "@slipway/controller/internals";
import { operatorWire } from "@slipway/shared/wire";
import type { HookRun } from "../executor.ts";
import type { HostScript } from "../host.ts";
import { ScriptedChance } from "../script/chance.ts";
import { uuidOf } from "../script/instances.ts";
import { World } from "../world.ts";

/** A pool of a test: per host its GiB and instances (name -> GiB, or all that is said of it). */
export interface TestPool {
  readonly hosts: Readonly<Record<string, TestHost>>;
  readonly options?: Partial<RunOptions>;
  readonly scope?: Scope;
  readonly pool?: PoolConfig;
  readonly quorum?: QuorumConfig;
}
export interface TestHost {
  readonly gib: number;
  readonly cpus?: number;
  /** Of `gib`, what is set aside for huge pages of 2 MiB. */
  readonly pagesGib?: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** What earlier runs took, from empty to back in service: usually, and at the 95th percentile. */
  readonly takes?: readonly [usualMs: number, p95Ms: number];
  readonly instances?: Readonly<Record<string, number | Partial<SimulatedInstance>>>;
  /** Stages that it has hooks for; default: all four. */
  readonly hooks?: HostScript["hooks"];
}

const hook: readonly [HookRun] = [{ durationMs: 1_000, exit: 0 }];
const allHooks = { PreFlight: hook, PreMaintenance: hook, Maintenance: hook, PostMaintenance: hook };

/** What `slipway --json plan` prints for such a pool. */
export function planFileOf(given: TestPool): string {
  const hosts = Object.entries(given.hosts);
  const scripts = hosts.map(([name, { gib, cpus = 64, pagesGib = 0, labels, hooks = allHooks }]): HostScript => {
    const plain = plainHost(name);
    const hugepages = pagesGib > 0 ? [{ sizeKib: 2_048, total: pagesGib * 512, free: pagesGib * 512 }] : [];
    const capacity = { ...plain.capacity, memoryMib: gib * 1_024, cpus, hugepages };
    const hypervisor = { ...plain, capacity };
    return { name, labels: { cluster: "c1", zone: "z1", ...labels }, hooks, bootMs: 30_000, hypervisor };
  });
  const timing = { agentTickMs: 1_000, controllerTickMs: 1_000, throughBytes: false, heartbeatMs: 15_000 };
  const world = new World(scripts, new ScriptedChance(), timing);
  world.pool = given.pool ?? defaultPool;
  world.quorum = given.quorum ?? noQuorum;
  world.disk.history = hosts.flatMap(([name, { takes, labels }]) => (takes ? samples(name, takes, labels) : []));
  for (const [host, { instances = {} }] of hosts)
    for (const [name, how] of Object.entries(instances)) {
      const more = typeof how === "number" ? { memoryMib: how * 1_024 } : how;
      world.place(host, { ...plainInstance(uuidOf(name), name), ...more });
    }
  world.start();
  world.run(10_000, () => world.now >= 8_000);
  const { scope = { kind: "zones", names: ["z1"] } } = given;
  const order = scope.kind === "hosts" ? "given" : "free";
  const plan = world.controller.plan(scope, { return: "none", order, ...given.options });
  if (plan === undefined) throw new Error("no controller");
  const pictures = world.controller.pictures();
  const roster = {
    inventories: (cluster: string) => pictures.filter((p) => p.labels["cluster"] === cluster),
    pool: () => world.pool,
  };
  return JSON.stringify(
    toJson(operatorWire.PlanViewSchema, create(operatorWire.PlanViewSchema, planView(plan, roster, true))),
  );
}

function samples(host: string, [usual, p95]: readonly [number, number], labels: TestHost["labels"]): DurationSample[] {
  const cluster = labels?.["cluster"] ?? "c1";
  return Array.from({ length: 20 }, (_, i) => ({ host, cluster, kind: "away", ms: i < 18 ? usual : p95 }));
}
