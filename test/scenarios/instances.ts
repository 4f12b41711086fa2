import { plainHost, type SimulatedHost, type SimulatedInstance } from "@slipway/agent";
import { defaultPool, type PoolConfig } from "@slipway/controller";
import { instanceOf, type Yaml } from "@slipway/simulator";

/** `memory: 16` (GiB), `cpus`, `cpu` (names of models that it can run; the first one is its own). */
export function hypervisor(name: string, given: Yaml): SimulatedHost {
  const plain = plainHost(name);
  const models = given["cpu"] === undefined ? plain.capacity.cpuModels : ([given["cpu"]].flat() as string[]);
  const capacity = {
    ...plain.capacity,
    memoryMib: Number(given["memory"]) * 1_024,
    cpus: Number(given["cpus"] ?? 16),
    cpuModels: models,
    cpuModel: models[0] ?? "",
  };
  return { capacity, timing: { ...plain.timing, stopMs: 5_000, startMs: 3_000 } };
}

/**
 * `instances: { vm1: 2 }` (GiB), or a mapping with memory, state, policy, apart, group, home, tier, disk: local, device, cpu,
 * fails, stuck (verbs), slow (times as long), autostart, transient.
 */
export function instances(
  hosts: readonly (readonly [string, Yaml | null])[],
): { host: string; instance: SimulatedInstance }[] {
  const out: { host: string; instance: SimulatedInstance }[] = [];
  for (const [host, given] of hosts)
    for (const [name, how] of Object.entries((given?.["instances"] ?? {}) as Record<string, unknown>))
      out.push({ host, instance: instanceOf(name, typeof how === "object" ? (how as Yaml) : { memory: how }) });
  return out;
}

/** `pool: { per-host: 1, stuck: 20s, attempts: 3, spare-hosts: 0 }`: what the pool file says besides its defaults. */
export function poolFile(given: Yaml): PoolConfig {
  const seconds = (value: unknown) => Number(String(value).replace(/s$/, "")) * 1_000;
  const { capacity, migration } = defaultPool;
  return {
    ...defaultPool,
    capacity: { ...capacity, spareHosts: Number(given["spare-hosts"] ?? capacity.spareHosts) },
    migration: {
      ...migration,
      perHost: Number(given["per-host"] ?? migration.perHost),
      perTarget: Number(given["per-target"] ?? migration.perTarget),
      attempts: Number(given["attempts"] ?? migration.attempts),
      stuckMs: given["stuck"] === undefined ? migration.stuckMs : seconds(given["stuck"]),
      timeoutMs: given["timeout"] === undefined ? migration.timeoutMs : seconds(given["timeout"]),
    },
  };
}
