import type { Inventory } from "@slipway/shared";

/** What is on a host, as its agent told last. */
export interface HostInventory {
  readonly host: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The agent is connected; without it the rest is what was, not what is. */
  readonly connected: boolean;
  /** Engine time at which the platform was read for this picture; it may be long ago, `inventoryIsFresh` judges it. */
  readonly readT: number;
  readonly inventory: Inventory;
}

/** A picture older than this is not acted on, in milliseconds. Agents read their platform anew at least every 30 s. */
export const INVENTORY_FRESH_MS = 60_000;
