import type { Inventory } from "@slipway/shared";
import { beforeEach, expect, test } from "vitest";
import { INVENTORY_FRESH_MS } from "../domain/inventory.ts";
import { InventoryBook } from "./inventories.ts";

const inventory: Inventory = { seq: 1, platform: "simulated", problem: "", instances: [], cordonedBy: "" };
let nowT: number;
let changed: string[];
let book: InventoryBook;
beforeEach(() => {
  nowT = 1_000;
  changed = [];
  const memory = { inventories: () => [], saveInventories: () => {} };
  book = new InventoryBook(memory, { engineMs: () => nowT, wallMs: () => nowT }, (host) => changed.push(host));
  book.connected("hv1");
  book.told("hv1", inventory);
  changed = [];
});

test("the same picture told again in its session is no change", () => {
  book.told("hv1", { ...inventory, seq: 2 });
  expect(changed).toEqual([]);
});

test("the same picture is news in a new session: it can be acted on again", () => {
  book.connected("hv1");
  book.told("hv1", inventory);
  expect(changed).toEqual(["hv1"]);
});

test("the same picture is news when the last one had become too old to act on", () => {
  nowT += INVENTORY_FRESH_MS + 1;
  book.told("hv1", { ...inventory, seq: 2 });
  expect(changed).toEqual(["hv1"]);
});
