import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemoryStore } from "../coordinator/memory-store.ts";
import type { Store } from "../coordinator/ports.ts";
import { closed, ended, entries, opened, started } from "../testing/events.ts";
import { openStore } from "./store.ts";

let dir: string;
const closers: (() => void)[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-store-"));
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
  rmSync(dir, { recursive: true, force: true });
});

const implementations: Record<string, () => Store> = {
  memory: () => new MemoryStore(),
  sqlite: () => {
    const store = openStore(join(dir, "controller.db"));
    closers.push(() => store.close());
    return store.runs;
  },
};

describe.each(Object.entries(implementations))("a store: %s", (_name, make) => {
  test("gives back what was appended, in order, and nothing of other runs", () => {
    const store = make();
    const first = entries("r1", 1, started("r1"), { type: "run-state", to: "rolling", reason: "1 host is ready" });
    store.append([...first.slice(0, 1), ...entries("r2", 1, started("r2")), ...first.slice(1)]);
    expect(store.log("r1")).toEqual(first.map((e) => e.recorded));
    expect(store.log("r3")).toEqual([]);
  });

  test("refuses an event that does not follow the last one", () => {
    const store = make();
    store.append(entries("r1", 1, started("r1")));
    expect(() => store.append(entries("r1", 1, ended))).toThrow();
    expect(() => store.append(entries("r1", 3, ended))).toThrow();
    expect(() => store.append(entries("r2", 2, started("r2")))).toThrow();
    expect(store.log("r1")).toHaveLength(1);
    store.append(entries("r1", 2, ended));
    expect(store.log("r1")).toHaveLength(2);
  });

  test("knows which runs are not over, oldest first, across a reopening", () => {
    const store = make();
    for (const run of ["r1", "r2", "r3"]) store.append(entries(run, 1, started(run)));
    expect(store.activeRuns()).toEqual(["r1", "r2", "r3"]);
    store.append(entries("r1", 2, ended));
    store.append(entries("r2", 2, ended));
    expect(store.activeRuns()).toEqual(["r3"]);
    store.append(entries("r2", 3, { type: "run-reopened", who: "alice" }));
    expect(store.activeRuns()).toEqual(["r2", "r3"]);
    store.append(entries("r2", 4, ended));
    expect(store.activeRuns()).toEqual(["r3"]);
  });

  test("knows which ledger entries stand, also of runs that are over", () => {
    const store = make();
    store.append(entries("r1", 1, started("r1"), opened, ended));
    expect(store.openEntries()).toEqual([{ id: "r1:hv1:cordon:1", run: "r1", host: "hv1" }]);
    store.append(entries("r1", 4, closed));
    expect(store.openEntries()).toEqual([]);
  });

  test("remembers which run a request made", () => {
    const store = make();
    store.append(entries("r1", 1, started("r1")));
    expect(store.runOfRequest("request-of-r1")).toBe("r1");
    expect(store.runOfRequest("another")).toBeUndefined();
  });

  test("remembers how long things took, with the events that taught it and never without them", () => {
    const store = make();
    const sample = { host: "hv1", cluster: "c1", kind: "Maintenance", ms: 60_000 } as const;
    const moved = { ...sample, kind: "migration", ms: 9_000, mib: 4_096, to: "hv2" } as const;
    const [first, second] = entries("r1", 1, started("r1"), ended);
    if (!first || !second) throw new Error("no entries");
    expect(store.durations()).toEqual([]);
    store.append([
      { ...first, sample },
      { ...second, sample: moved },
    ]);
    expect(store.durations()).toEqual([sample, moved]);
    expect(() => store.append([{ ...second, sample }])).toThrow();
    const [third, gap] = [entries("r1", 3, ended)[0], entries("r1", 5, ended)[0]];
    if (!third || !gap) throw new Error("no entries");
    expect(() => store.append([{ ...third, sample }, gap])).toThrow();
    expect(store.durations()).toEqual([sample, moved]);
  });

  test("keeps the engine clock", () => {
    const store = make();
    expect(store.engineClock()).toBe(0);
    store.saveEngineClock(5_000);
    store.saveEngineClock(7_500);
    expect(store.engineClock()).toBe(7_500);
  });
});
