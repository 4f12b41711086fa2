import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KEPT_PER_HOST } from "../domain/durations.ts";
import { entries, started } from "../testing/events.ts";
import { type ControllerStore, openStore } from "./store.ts";

let dir: string;
let store: ControllerStore;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-store-"));
  store = openStore(join(dir, "controller.db"));
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true, force: true });
});

const run = (id: string, host: string, ms: number) =>
  entries(id, 1, started(id)).map((e) => ({
    ...e,
    sample: { host, cluster: "c1", kind: "Maintenance", ms } as const,
  }));

test("keeps the newest of each host and kind, in the order in which they came", () => {
  for (let i = 1; i <= KEPT_PER_HOST + 7; i++) store.runs.append(run(`r${i}`, "hv1", i));
  store.runs.append(run("other", "hv2", 5));
  const kept = store.runs.durations();
  expect(kept.filter((s) => s.host === "hv1").map((s) => s.ms)).toEqual(
    Array.from({ length: KEPT_PER_HOST }, (_, i) => i + 8),
  );
  expect(kept.at(-1)).toEqual({ host: "hv2", cluster: "c1", kind: "Maintenance", ms: 5 });
});

test("a transaction that finds no room leaves no sample behind", () => {
  store.runs.append(run("r1", "hv1", 1));
  store.database.pragma(`max_page_count = ${store.database.pragma("page_count")}`);
  const big = { type: "run-paused", who: "alice", reason: "x".repeat(200_000) } as const;
  const [entry] = run("r2", "hv1", 2);
  if (!entry) throw new Error("no entry");
  expect(() => store.runs.append([entry, ...entries("r2", 2, big)])).toThrow(
    expect.objectContaining({ code: "out-of-space" }),
  );
  expect(store.runs.durations()).toHaveLength(1);
});
