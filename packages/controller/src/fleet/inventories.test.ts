import { create } from "@bufbuild/protobuf";
import { platformWire } from "@slipway/shared/wire";
import { beforeEach, describe, expect, test } from "vitest";
import { INVENTORY_FRESH_MS } from "../domain/inventory.ts";
import { defaultPool } from "../domain/pool.ts";
import { noQuorum } from "../domain/quorum.ts";
import type { InventoryRecord } from "../store/hosts.ts";
import { platformFrom } from "./convert.ts";
import { InventoryBook } from "./inventories.ts";
import { Registry } from "./registry.ts";
import { FleetRoster } from "./roster.ts";

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const facts = {
  labels: { cluster: "c1" },
  ...{ bootId: "", agentVersion: "", kernel: "", nodeVersion: "", executor: "" },
  hooks: { dir: "", problem: "", hooks: [] },
};

let now: number;
let changes: string[];
let kept: InventoryRecord[];
let full: boolean;
let registry: Registry;
let book: InventoryBook;
let roster: FleetRoster;

function open(): void {
  const clock = { engineMs: () => now, wallMs: () => 1_000_000 + now };
  registry = new Registry({ all: () => [], save: () => {}, setCordon: () => {} }, clock);
  const memory = {
    inventories: () => kept,
    saveInventories: (records: Iterable<InventoryRecord>) => {
      if (full) throw new Error("full");
      kept = [...records];
    },
  };
  book = new InventoryBook(memory, clock, (host) => changes.push(host));
  roster = new FleetRoster(registry, book, () => ({ pool: defaultPool, quorum: noQuorum }));
  registry.connected("hv1", facts);
  book.connected("hv1");
}

beforeEach(() => {
  [now, changes, kept, full] = [1_000, [], [], false];
  open();
});

function tell(init: { seq: number; ageMs?: number; memoryFreeMib?: number; names?: string[] }): void {
  const instances = (init.names ?? []).map((name, i) => ({ uuid: uuid(i), name, state: "running", startedAtMs: 7n }));
  const capacity = { memoryFreeMib: init.memoryFreeMib ?? 0 };
  const told = create(platformWire.PlatformInventorySchema, {
    seq: init.seq,
    platform: "libvirt",
    ageMs: init.ageMs ?? 0,
    instances,
    capacity,
  });
  book.told("hv1", platformFrom(told), told.ageMs);
}
const picture = () => roster.inventories("c1")[0];

describe("a picture", () => {
  test("is news when it says something else, not when memory is free or it is told again", () => {
    tell({ seq: 1, names: ["a"] });
    tell({ seq: 2, names: ["a"], memoryFreeMib: 512 });
    expect(changes).toEqual(["hv1"]);
    tell({ seq: 3, names: ["a", "b"] });
    expect(changes).toEqual(["hv1", "hv1"]);
  });

  test("grows younger by heartbeats about it, never older, and not by those about another one", () => {
    tell({ seq: 1 });
    now = 11_000;
    book.stillHolds("hv1", 1, 2_000);
    expect(picture()?.readT).toBe(9_000);
    book.stillHolds("hv1", 1, 8_000);
    book.stillHolds("hv1", 2, 0);
    expect(picture()?.readT).toBe(9_000);
    expect(book.picture("hv1")?.readMs).toBe(1_009_000);
  });

  test("is as old as what it was made of, however new the mark in it is", () => {
    now = 11_000;
    tell({ seq: 1, ageMs: 4_000, names: ["a"] });
    expect([picture()?.readT, book.picture("hv1")?.readMs]).toEqual([7_000, 1_007_000]);
    tell({ seq: 2, ageMs: 4_500, names: ["a"] });
    expect(changes).toEqual(["hv1"]);
  });

  test("that can be acted on again is news", () => {
    tell({ seq: 1 });
    now += INVENTORY_FRESH_MS + 1;
    book.stillHolds("hv1", 1, 0);
    expect(changes).toEqual(["hv1", "hv1"]);
    book.stillHolds("hv1", 1, 0);
    expect(changes).toHaveLength(2);
  });

  test("is the same object until something about it changes", () => {
    tell({ seq: 1 });
    const [list, before] = [roster.inventories("c1"), picture()];
    now += 500;
    book.stillHolds("hv1", 1, 0);
    expect([roster.inventories("c1") === list, picture() === before, before?.readT]).toEqual([true, true, 1_500]);
    registry.disconnected("hv1");
    expect([picture() === before, picture()?.connected]).toEqual([false, false]);
  });

  test("of an earlier session does not count until the agent has told anew, nor do heartbeats make it count", () => {
    tell({ seq: 1 });
    book.connected("hv1");
    book.stillHolds("hv1", 1, 0);
    expect(picture()?.connected).toBe(false);
    tell({ seq: 1 });
    expect(picture()?.connected).toBe(true);
  });

  test("is kept, with numbers that JSON has none for, and is of no age anybody could rely on when it is read back", () => {
    tell({ seq: 1, names: ["a"] });
    full = true;
    expect(() => book.save()).toThrow("full");
    full = false;
    expect(book.hasUnsaved).toBe(true);
    book.save();
    expect(book.hasUnsaved).toBe(false);
    open();
    expect(picture()).toMatchObject({
      connected: false,
      readT: Number.NEGATIVE_INFINITY,
      inventory: { platform: "libvirt", instances: [{ name: "a", startedAtMs: 7n }] },
    });
    expect(book.picture("hv1")?.readMs).toBe(1_001_000);
  });

  test("is plain data, which a log can keep", () => {
    tell({ seq: 1, names: ["a"] });
    expect(JSON.stringify(picture(), (_k, v) => (typeof v === "bigint" ? 0 : v))).not.toContain("$typeName");
  });

  test("goes with its host", () => {
    tell({ seq: 1 });
    book.forget("hv1");
    expect([picture(), book.hasUnsaved]).toEqual([undefined, false]);
  });
});

describe("a picture that nobody can rely on", () => {
  const problem = (init: object) => platformFrom(create(platformWire.PlatformInventorySchema, init)).problem;
  test.each([
    [{}, "its agent does not say which platform it has"],
    [{ platform: "libvirt", instances: [{ uuid: "x", name: "a" }] }, 'instance "a": "x" is no uuid'],
    [{ platform: "libvirt", instances: [{ uuid: uuid(1) }] }, `instance ${uuid(1)}: it has no name`],
    [
      { platform: "libvirt", instances: Array.from({ length: 2_001 }, (_, i) => ({ uuid: uuid(i), name: "a" })) },
      "2001 instances; at most 2000 of a host are taken in",
    ],
    [{ platform: "libvirt", problem: "libvirtd is away", instances: [{}] }, "libvirtd is away"],
  ])("says so: %o", (init, expected) => {
    expect(problem(init)).toBe(expected);
  });
});
