import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { replay } from "../engine/reduce.ts";
import { PoolKeeper } from "../pool/keeper.ts";
import { closed, ended, entries, opened, started } from "../testing/events.ts";
import { holdLock } from "./lock.ts";
import { migrations } from "./migrations.ts";
import { type ControllerStore, openStore } from "./store.ts";

let dir: string;
let file: string;
let open: ControllerStore[] = [];
const store = () => {
  const made = openStore(file);
  open.push(made);
  return made;
};
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-store-"));
  file = join(dir, "controller.db");
});
afterEach(() => {
  for (const s of open) s.close();
  open = [];
  rmSync(dir, { recursive: true, force: true });
});

const facts = {
  labels: { cluster: "c1" },
  bootId: "b1",
  agentVersion: "0.1.0",
  kernel: "6.1",
  nodeVersion: "24",
  executor: "direct",
  hooks: { dir: "/hooks", problem: "", hooks: [] },
};

test("is for its owner only, and survives a power cut", () => {
  const s = store();
  s.runs.append(entries("r1", 1, started("r1")));
  for (const name of ["", "-wal", "-shm"]) expect(statSync(file + name).mode & 0o777).toBe(0o600);
  expect(s.database.pragma("journal_mode")).toBe("wal");
  expect(s.database.pragma("synchronous")).toBe(2);
  s.close();
  open = [];
  // An existing WAL file is where another default would creep in.
  expect(store().database.pragma("synchronous")).toBe(2);
});

test("opens a store that version 1 made", () => {
  const db = new Database(file);
  db.exec(readFileSync(new URL("fixtures/version-1.sql", import.meta.url), "utf8"));
  db.close();
  const s = store();
  expect(s.database.pragma("user_version")).toBe(migrations.length);
  expect(s.runs.activeRuns()).toEqual([]);
  expect(replay(s.runs.log("r1"))).toMatchObject({ state: "ended", outcome: "failed" });
  expect(s.runs.recent(5)).toMatchObject([{ id: "r1", outcome: "failed", startedBy: "alice" }]);
  expect(s.runs.openEntries()).toEqual([{ id: "r1:hv1:cordon:1", run: "r1", host: "hv1" }]);
  expect(s.runs.engineClock()).toBe(12_000);
  expect(s.hosts.all()).toMatchObject([{ name: "hv1", facts: { labels: { cluster: "c1" } }, cordon: { who: "bob" } }]);
  expect(s.audit.latest(5)).toMatchObject([{ who: "alice", method: "startRun", result: "ok" }]);
  expect(s.tokens.get("0123456789ab")).toMatchObject({ host: "hv1", usedBy: "" });
  s.runs.append(entries("r2", 1, started("r2")));
});

test("refuses a store that a newer version made", () => {
  store().close();
  open = [];
  const db = new Database(file);
  db.pragma(`user_version = ${migrations.length + 1}`);
  db.close();
  expect(() => openStore(file)).toThrow(/written by a newer controller \(version \d+\); this one reads up to/);
});

test("says so when the file is no database", () => {
  writeFileSync(file, "this is no database, but it is long enough to be looked at ".repeat(20));
  expect(() => openStore(file)).toThrow(
    /controller.db: is damaged or no database of Slipway .*put a backup in its place/,
  );
});

test("a full disk is `out-of-space`, nothing of the transaction stays, and it goes on when there is room", () => {
  const s = store();
  s.runs.append(entries("r1", 1, started("r1")));
  s.database.pragma(`max_page_count = ${s.database.pragma("page_count")}`);
  const big = entries("r1", 2, opened, {
    type: "run-paused",
    who: "alice",
    reason: "x".repeat(200_000),
  });
  expect(() => s.runs.append(big)).toThrow(
    expect.objectContaining({ code: "out-of-space", message: `${file}: the disk is full; make room` }),
  );
  expect(s.runs.log("r1")).toHaveLength(1);
  expect(s.runs.openEntries()).toEqual([]);
  s.database.pragma("max_page_count = 1000000");
  s.runs.append(big);
  expect(s.runs.log("r1")).toHaveLength(3);
  expect(s.runs.openEntries()).toHaveLength(1);
});

test("keeps projections in step with the events", () => {
  const s = store();
  s.runs.append(entries("r1", 1, started("r1"), { type: "run-state", to: "rolling", reason: "" }, opened));
  expect(s.runs.recent(5)).toMatchObject([{ id: "r1", state: "rolling", outcome: "" }]);
  expect(s.runs.ledger(false)).toMatchObject([{ run: "r1", host: "hv1", change: "cordon", closedAt: 0 }]);
  s.runs.append(entries("r1", 4, closed, ended));
  expect(s.runs.recent(5)).toMatchObject([{ id: "r1", state: "ended", outcome: "succeeded" }]);
  expect(s.runs.ledger(false)).toEqual([]);
  expect(s.runs.ledger(true)).toMatchObject([{ note: "undone" }]);
  expect(s.runs.lastEventT()).toBe(5_000);
  expect(s.runs.logAfter("r1", 4).map((r) => r.seq)).toEqual([5]);
});

test("leaves out what hooks printed when asked to", () => {
  const s = store();
  const result = {
    verdict: "ok" as const,
    signal: "",
    reason: "",
    startedAtMs: 0,
    endedAtMs: 0,
    durationMs: 0,
    output: "much",
    requests: { rebootRequired: false, rerunAfterReboot: false, skip: "", message: "" },
    bootIdBefore: "",
    bootIdAfter: "",
  };
  const step = { host: "hv1", step: "PreFlight" as const, attempt: 1 };
  s.runs.append(
    entries("r1", 1, started("r1"), { type: "step-started", ...step }, { type: "step-ended", ...step, result }),
  );
  expect(replay(s.runs.log("r1")).hosts[0]?.steps[0]?.result?.output).toBe("much");
  expect(replay(s.runs.logWithoutOutput("r1")).hosts[0]?.steps[0]?.result).not.toHaveProperty("output");
});

test("remembers hosts and their cordon; new facts leave the cordon alone", () => {
  const s = store();
  s.hosts.save([{ name: "hv1", facts, lastSeenMs: 1_000 }]);
  s.hosts.setCordon("hv1", { who: "alice", reason: "disk", atMs: 2_000 });
  s.hosts.save([{ name: "hv1", facts: { ...facts, bootId: "b2" }, lastSeenMs: 3_000 }]);
  const hv1 = { name: "hv1", facts: { ...facts, bootId: "b2" }, lastSeenMs: 3_000 };
  expect(s.hosts.all()).toEqual([{ ...hv1, cordon: { who: "alice", reason: "disk", atMs: 2_000 } }]);
  s.hosts.setCordon("hv1", undefined);
  expect(s.hosts.all()).toEqual([hv1]);
});

test("a token made by another process is seen, and works once", () => {
  const [s, other] = [store(), store()];
  other.tokens.add({ id: "t1", secretHash: "h", host: "", createdBy: "alice", expiresAtMs: 9_000 });
  expect(s.tokens.get("t1")).toMatchObject({ usedAtMs: 0 });
  expect(s.tokens.use("t1", "hv1", 5_000)).toBe(true);
  expect(other.tokens.use("t1", "hv2", 6_000)).toBe(false);
  expect(other.tokens.get("t1")).toMatchObject({ usedAtMs: 5_000, usedBy: "hv1" });
  expect(s.tokens.enrolled("hv1")).toBe(true);
  expect(s.tokens.enrolled("hv2")).toBe(false);
});

test("one controller a directory", () => {
  const lock = holdLock(join(dir, "controller.lock"));
  expect(() => holdLock(join(dir, "controller.lock"))).toThrow(
    /controller.lock: another slipway-controller runs on this directory; stop that one, or give this one another --dir/,
  );
  lock.release();
  holdLock(join(dir, "controller.lock")).release();
});

test("a pool file that this version cannot read keeps the controller from guessing", () => {
  const s = store();
  s.pools.append({ atMs: 1, who: "alice", file: "pool.yaml", sha256: "", text: "capacity: { ofTomorrow: 1 }" });
  expect(() => new PoolKeeper(s.pools)).toThrow(
    /the pool file in the store cannot be read: pool\.yaml:1: key "capacity\.ofTomorrow" is unknown.*run the version/,
  );
});

test("the ledger keeps what kind of change an entry is about", () => {
  const s = store();
  const stop = { type: "ledger-opened", id: "r1:hv1:x:1", host: "hv1", change: "stop db-1", undo: "start" } as const;
  s.runs.append(entries("r1", 1, started("r1")));
  s.runs.append(entries("r1", 2, opened, { ...stop, kind: "instance", subject: "x", name: "db-1" }));
  expect(s.runs.ledger(false).map((e) => [e.kind, e.subject, e.name])).toEqual([
    ["cordon", "", ""],
    ["instance", "x", "db-1"],
  ]);
});
