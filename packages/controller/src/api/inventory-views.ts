import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HostCapacity, Instance } from "@slipway/shared";
import type { operatorWire, platformWire } from "@slipway/shared/wire";
import type { HostInventory } from "../domain/inventory.ts";
import type { InstanceRule, PoolConfig } from "../domain/pool.ts";
import { pictureProblem } from "../placement/picture.ts";
import type { HostTurn } from "../placement/rehearse.ts";
import { siteOf } from "../placement/room.ts";
import { memoryOf, settle } from "../placement/settle.ts";

export type InstanceView = MessageInitShape<typeof operatorWire.InstanceViewSchema>;
export type HostPlatform = MessageInitShape<typeof operatorWire.HostPlatformSchema>;

/** Read-only in the core, the same shape on the wire. */
type WireCapacity = platformWire.HostCapacity;
type WireInstance = platformWire.Instance;
const capacityView = (capacity: HostCapacity) => ({ ...capacity }) as unknown as WireCapacity;
const factsView = (instance: Instance) => ({ ...instance }) as unknown as WireInstance;

/** What a host offers, and how much of it is taken. */
export function platformView(host: HostInventory, pool: PoolConfig, nowT: number, readMs: number): HostPlatform {
  const { inventory } = host;
  const none = new Set<string>();
  const limit = siteOf({ ...host, inventory: { ...inventory, instances: [] } }, pool, none).free;
  const left = siteOf(host, pool, none).free;
  const sum = (kind: string) => ({
    limit: Math.max(0, limit.get(kind) ?? 0),
    used: (limit.get(kind) ?? 0) - (left.get(kind) ?? 0),
  });
  const [memory, cpu] = [sum("memory"), sum("cpu")];
  return {
    platform: inventory.platform,
    problem: inventory.problem,
    readAtMs: BigInt(Math.round(readMs)),
    fresh: pictureProblem(host, nowT) === undefined,
    ...(inventory.capacity ? { capacity: capacityView(inventory.capacity) } : {}),
    memoryUsedMib: memory.used,
    memoryLimitMib: memory.limit,
    vcpusUsed: cpu.used,
    vcpusLimit: cpu.limit,
    instances: inventory.instances.length,
    instancesRunning: inventory.instances.filter((i) => i.state === "running").length,
    cordonedBy: inventory.cordonedBy,
  };
}

/** One instance as its host knows it, with what the operator laid down about it. */
export function instanceView(
  host: HostInventory,
  instance: Instance,
  rest: {
    readonly pool: PoolConfig;
    readonly cluster: string;
    readonly nowT: number;
    readonly readMs: number;
    readonly run: string;
    readonly alsoOn: readonly string[];
  },
): InstanceView {
  return {
    host: host.host,
    cluster: rest.cluster,
    facts: factsView(instance),
    policy: settle(instance, rest.pool).policy,
    settings: settingsOf(instance, rest.pool),
    readAtMs: BigInt(Math.round(rest.readMs)),
    fresh: pictureProblem(host, rest.nowT) === undefined,
    run: rest.run,
    alsoOn: [...rest.alsoOn],
  };
}

/** What becomes of the instances of one host in its turn, by what is done with them. */
export function plannedInstances(
  turn: HostTurn | undefined,
  hosts: readonly HostInventory[],
  pool: PoolConfig,
): MessageInitShape<typeof operatorWire.PlannedInstanceSchema>[] {
  if (!turn) return [];
  const known = new Map<string, Instance>(hosts.flatMap((h) => h.inventory.instances.map((i) => [i.uuid, i])));
  const planned = (uuid: string, name: string, action: string, host = "") => {
    const instance = known.get(uuid);
    const memoryMib = instance ? memoryOf(instance) : 0;
    const words = instance ? settingsOf(instance, pool).find((s) => s.name === "policy") : undefined;
    const by = action === "migrate" || action === "return" ? "" : words?.value === action ? words.from : "consent";
    return { uuid, name, action, host, by, memoryMib };
  };
  const policyOf = (uuid: string) => {
    const instance = known.get(uuid);
    return instance && settle(instance, pool).policy === "migrate-with-storage" ? "migrate-with-storage" : "migrate";
  };
  return [
    ...turn.moves.map((m) => planned(m.uuid, m.name, policyOf(m.uuid), m.to)),
    ...turn.stops.map((s) => planned(s.uuid, s.name, s.how)),
    ...turn.leaves.map((l) => planned(l.uuid, l.name, l.how, l.to)),
    ...turn.returns.map((m) => planned(m.uuid, m.name, "return", m.from)),
  ];
}

const words = ["policy", "weight", "tier", "group", "apart", "home", "requires"] as const;

/** What holds for an instance, word by word, and who says so; what nobody says is left out, but for the policy. */
function settingsOf(instance: Instance, pool: PoolConfig): { name: string; value: string; from: string }[] {
  const settled = settle(instance, pool);
  const rule = pool.instances.find((r) => matches(r, instance.name));
  return words.flatMap((name) => {
    const value = name === "requires" ? settled.requires.join(", ") : String(settled[name]);
    const isOwn = (instance.metadata[name] ?? "").trim() !== "";
    const from = isOwn ? "metadata" : rule?.[name] === undefined ? "default" : `pool file, match ${rule.match}`;
    return from === "default" && name !== "policy" ? [] : [{ name, value, from }];
  });
}

/** The pattern's own reading, of one rule: everything but `*` is literal. */
function matches({ match }: InstanceRule, name: string): boolean {
  const parts = match.split("*");
  if (parts.length === 1) return match === name;
  const [first = "", last = ""] = [parts[0], parts.at(-1)];
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - last.length;
}
