import type { Instance } from "@slipway/shared";
import type { HostInventory } from "../../domain/inventory.ts";

interface Known {
  readonly uuid: string;
  /** Its own name, which others may share. */
  readonly name: string;
}

/** Names for the planner, under which every instance is one: its own where nothing else is called so. */
export class Names {
  readonly #count = new Map<string, number>();
  readonly #known = new Map<string, Known>();
  readonly #ofUuid = new Map<string, string>();

  constructor(pictures: readonly HostInventory[]) {
    for (const { host, inventory } of pictures) {
      this.#count.set(host, 2);
      for (const { name } of inventory.instances) this.#count.set(name, (this.#count.get(name) ?? 0) + 1);
    }
  }

  of({ uuid, name }: Pick<Instance, "uuid" | "name">, host: string): string {
    const own = this.#count.get(name) === 1 ? name : `${name} (${uuid} on ${host})`;
    this.#known.set(own, { uuid, name });
    if (!this.#ofUuid.has(uuid)) this.#ofUuid.set(uuid, own);
    return own;
  }

  /** uuids by the planner's names. */
  get uuids(): ReadonlyMap<string, string> {
    return new Map([...this.#known].map(([name, { uuid }]) => [name, uuid]));
  }

  /** What the planner calls by this name; undefined for a host. */
  known(name: string): Known | undefined {
    return this.#known.get(name);
  }

  /** The planner's name of an instance that is called so, by name or uuid. */
  find(nameOrUuid: string): string | undefined {
    if (this.#known.has(nameOrUuid)) return nameOrUuid;
    return this.#ofUuid.get(nameOrUuid) ?? [...this.#known].find(([, k]) => k.name === nameOrUuid)?.[0];
  }
}
