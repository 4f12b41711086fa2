import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Inventory } from "@slipway/shared";
import { platformWire } from "@slipway/shared/wire";
import type { Clock } from "../coordinator/ports.ts";
import { type HostInventory, INVENTORY_FRESH_MS } from "../domain/inventory.ts";
import type { InventoryRecord } from "../store/hosts.ts";
import { platformFrom } from "./convert.ts";
import type { FleetEntry } from "./registry.ts";

/** Where pictures are kept for good. */
export interface InventoryMemory {
  inventories(): InventoryRecord[];
  saveInventories(records: Iterable<InventoryRecord>): void;
}

/** What a host's platform said last. */
export interface Picture {
  readonly inventory: Inventory;
  /** Engine time at which the platform was read; minus infinity for a picture from before this controller's start. */
  readonly readT: number;
  /** The same on the wall clock, for people. */
  readonly readMs: number;
  /** It came in the session that is open now. */
  readonly current: boolean;
}

/**
 * What is on each host, as its agent told last. A picture says when it was read: heartbeats make the last one younger without
 * sending it again. Pictures outlive the controller, so that it can show them after a restart, but those are never fresh: nobody
 * knows how long no controller ran.
 */
export class InventoryBook {
  readonly #memory: InventoryMemory;
  readonly #clock: Clock;
  readonly #changed: (host: string) => void;
  readonly #pictures = new Map<string, Picture>();
  /** What of each picture matters to others, to tell a change from a mere repetition. */
  readonly #essence = new Map<string, string>();
  readonly #unsaved = new Set<string>();
  readonly #views = new Map<string, { -readonly [K in keyof HostInventory]: HostInventory[K] }>();

  /** `changed` is called when a host's picture says something else than before, or can be acted on again. */
  constructor(memory: InventoryMemory, clock: Clock, changed: (host: string) => void) {
    this.#memory = memory;
    this.#clock = clock;
    this.#changed = changed;
    for (const { host, inventory, readMs } of memory.inventories())
      this.#pictures.set(host, {
        inventory: platformFrom(fromBinary(platformWire.PlatformInventorySchema, inventory)),
        readT: Number.NEGATIVE_INFINITY,
        readMs,
        current: false,
      });
  }

  /** A new session: what was told in the one before is what was. */
  connected(host: string): void {
    const picture = this.#pictures.get(host);
    if (picture) this.#pictures.set(host, { ...picture, current: false });
  }

  /** An agent told what is on its host, as it has read it `ageMs` ago. */
  told(host: string, inventory: Inventory, ageMs: number): void {
    const [before, now] = [this.#pictures.get(host), this.#clock.engineMs()];
    const couldBeActedOn = before?.current === true && now - before.readT <= INVENTORY_FRESH_MS;
    this.#pictures.set(host, {
      inventory,
      readT: now - ageMs,
      readMs: this.#clock.wallMs() - ageMs,
      current: true,
    });
    const essence = essenceOf(inventory);
    if (this.#essence.get(host) === essence) {
      if (!couldBeActedOn) this.#changed(host);
      return;
    }
    this.#essence.set(host, essence);
    this.#unsaved.add(host);
    this.#changed(host);
  }

  /** A heartbeat: the picture with this number still holds, and was read `ageMs` ago. */
  stillHolds(host: string, seq: number, ageMs: number): void {
    const picture = this.#pictures.get(host);
    // Of another number it is about a picture that is on its way, or was told to an earlier session.
    if (!picture?.current || picture.inventory.seq !== seq) return;
    const now = this.#clock.engineMs();
    const readT = now - ageMs;
    if (readT <= picture.readT) return;
    this.#pictures.set(host, { ...picture, readT, readMs: this.#clock.wallMs() - ageMs });
    if (now - picture.readT > INVENTORY_FRESH_MS && ageMs <= INVENTORY_FRESH_MS) this.#changed(host);
  }

  picture(host: string): Picture | undefined {
    return this.#pictures.get(host);
  }

  /**
   * The picture as the core wants it; undefined when the host never told. The same object as before for as long as nothing about
   * it has changed but its age.
   */
  of({ name, facts, connected }: FleetEntry): HostInventory | undefined {
    const picture = this.#pictures.get(name);
    if (!picture) return undefined;
    const { inventory, readT } = picture;
    const now = { host: name, labels: facts.labels, connected: connected && picture.current, readT, inventory };
    const before = this.#views.get(name);
    if (before?.inventory === inventory && before.labels === now.labels && before.connected === now.connected) {
      before.readT = readT;
      return before;
    }
    this.#views.set(name, now);
    return now;
  }

  forget(host: string): void {
    this.#pictures.delete(host);
    this.#essence.delete(host);
    this.#views.delete(host);
    this.#unsaved.delete(host);
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.size > 0;
  }

  /** Makes what changed durable; only after the hosts' own rows. Throws `out-of-space`; it is kept for the next time then. */
  save(): void {
    const records: InventoryRecord[] = [];
    for (const host of this.#unsaved) {
      const picture = this.#pictures.get(host);
      if (!picture) continue;
      // Read-only here, the same shape there.
      const shape = picture.inventory as unknown as MessageInitShape<typeof platformWire.PlatformInventorySchema>;
      const inventory = toBinary(
        platformWire.PlatformInventorySchema,
        create(platformWire.PlatformInventorySchema, shape),
      );
      records.push({ host, inventory, readMs: Math.round(picture.readMs) });
    }
    if (records.length > 0) this.#memory.saveInventories(records);
    this.#unsaved.clear();
  }
}

/** The picture without what changes all the time and matters to nobody else: free memory and free disk space. */
function essenceOf(inventory: Inventory): string {
  return JSON.stringify(inventory, (key, value: unknown) =>
    key === "seq" || key === "memoryFreeMib" || key === "freeMib"
      ? undefined
      : typeof value === "bigint"
        ? Number(value)
        : value,
  );
}
