import type { Instance } from "@slipway/shared";
import type { HostInventory } from "../../domain/inventory.ts";
import type { PoolConfig } from "../../domain/pool.ts";
import { failsOver } from "../../placement/failover.ts";
import { misfits } from "../../placement/obstacles.ts";
import { settle } from "../../placement/settle.ts";

/**
 * Which hosts of a cluster an instance can run on however much room there is, by the same rules that place it at its host's turn.
 * Hosts that offer the same and instances that need the same are judged once.
 */
export class Reach {
  readonly #hosts: readonly HostInventory[];
  readonly #pool: PoolConfig;
  readonly #kindOf = new Map<string, number>();
  readonly #kinds: HostInventory[] = [];
  readonly #answers = new Map<string, readonly string[] | undefined>();
  readonly #barred: ReadonlySet<string>;

  /** `barred`: hosts that take nothing at all. `instances`: every one that will be asked about. */
  constructor(
    hosts: readonly HostInventory[],
    instances: readonly Instance[],
    pool: PoolConfig,
    barred: ReadonlySet<string>,
  ) {
    this.#hosts = hosts;
    this.#pool = pool;
    this.#barred = barred;
    const required = new Set(instances.flatMap((i) => settle(i, pool).requires.map((r) => r.split("=")[0] ?? "")));
    const index = new Map<string, number>();
    for (const host of hosts) {
      const key = offerOf(host, required);
      let kind = index.get(key);
      if (kind === undefined) {
        kind = this.#kinds.length;
        index.set(key, kind);
        this.#kinds.push(host);
      }
      this.#kindOf.set(host.host, kind);
    }
  }

  /** Names of hosts, the same list for all instances that are alike; undefined: all hosts of the cluster. */
  of(instance: Instance, from: HostInventory): readonly string[] | undefined {
    const key = this.#keyOf(instance, from);
    if (!this.#answers.has(key)) this.#answers.set(key, this.#judge(instance, from));
    return this.#answers.get(key);
  }

  #judge(instance: Instance, from: HostInventory): readonly string[] | undefined {
    const { policy } = settle(instance, this.#pool);
    const fits = this.#kinds.map((to) => misfits(instance, from, to, this.#pool, policy).length === 0);
    if (this.#barred.size === 0 && fits.every(Boolean)) return undefined;
    return this.#hosts
      .filter(({ host }) => fits[this.#kindOf.get(host) ?? -1] && !this.#barred.has(host))
      .map(({ host }) => host);
  }

  /** Everything that `misfits` looks at. */
  #keyOf(i: Instance, from: HostInventory): string {
    const { policy, requires } = settle(i, this.#pool);
    const disks = i.disks.map((d) => [
      ...[d.source === "" ? 0 : 1, d.sharedAs, d.device, d.kind, d.pool],
      ...[d.readonly ? 1 : 0, d.shareable ? 1 : 0],
    ]);
    return JSON.stringify([
      ...[this.#kindOf.get(from.host), policy, requires, i.virtType, i.machineType, i.hugepageKib, i.numaNodes],
      ...[i.cpuMode, i.cpuModel, i.cpuFeatures, i.cpuDisabled, i.nics.map((n) => [n.kind, n.source]), disks],
      i.metadata["fleet.machines"],
    ]);
  }
}

/** What `misfits` looks at in a host, as a target and as a source. */
function offerOf({ inventory, labels }: HostInventory, required: ReadonlySet<string>): string {
  const c = inventory.capacity;
  return JSON.stringify([
    ...[inventory.platform, [...required].map((name) => labels[name] ?? null)],
    ...(c
      ? [
          ...[c.cpuArch, c.cpuVendor, c.cpuModel, sorted(c.cpuFeatures), sorted(c.cpuModels), sorted(c.machineTypes)],
          ...[sorted(c.virtTypes), sorted(c.bridges), sorted(c.networks)],
          c.pools.map((p) => [p.name, p.sharedAs, p.path, p.active]),
          c.hugepages.map((h) => [h.sizeKib, h.total > 0]),
          c.numa.map((n) => [n.id, n.memoryMib > 0]),
          failsOver(inventory.platform) ? c.migrationUri : c.migrationUri === "",
        ]
      : []),
  ]);
}

function sorted(words: readonly string[]): string[] {
  return [...words].sort();
}
