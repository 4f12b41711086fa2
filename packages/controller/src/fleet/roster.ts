import type { Roster } from "../coordinator/ports.ts";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { QuorumConfig } from "../domain/quorum.ts";
import type { InventoryBook } from "./inventories.ts";
import type { Registry } from "./registry.ts";

/** What the coordinator may know of the fleet: who is there, what runs where, and what the operator laid down. */
export class FleetRoster implements Roster {
  readonly #registry: Registry;
  readonly #book: InventoryBook;
  readonly #file: () => { readonly pool: PoolConfig; readonly quorum: QuorumConfig };
  readonly #byCluster = new Map<string, readonly HostInventory[]>();

  constructor(
    registry: Registry,
    book: InventoryBook,
    file: () => { readonly pool: PoolConfig; readonly quorum: QuorumConfig },
  ) {
    this.#registry = registry;
    this.#book = book;
    this.#file = file;
  }

  host(name: string): ReturnType<Roster["host"]> {
    return this.#registry.host(name);
  }

  cluster(name: string): string | undefined {
    return this.#registry.cluster(name);
  }

  members(cluster: string): readonly string[] {
    return this.#registry.members(cluster);
  }

  inventories(cluster: string): readonly HostInventory[] {
    const now = this.members(cluster)
      .map((name) => this.#registry.entry(name))
      .filter((e) => e !== undefined)
      .map((e) => this.#book.of(e))
      .filter((i) => i !== undefined);
    const before = this.#byCluster.get(cluster);
    if (before?.length === now.length && before.every((b, i) => b === now[i])) return before;
    this.#byCluster.set(cluster, now);
    return now;
  }

  pool(): PoolConfig {
    return this.#file().pool;
  }

  quorum(): QuorumConfig {
    return this.#file().quorum;
  }
}
