import { chmodSync, copyFileSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keyText, SlipwayError, type StepKey } from "@slipway/shared";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Journal } from "../steps/ports.ts";
import type { StepResult, StepRow } from "../steps/types.ts";
import { noRequests } from "../steps/verdict.ts";
import { instance } from "../testing/jobs.ts";
import { MemoryJournal } from "./memory.ts";
import { migrations } from "./migrations.ts";
import { openSqliteJournal } from "./sqlite.ts";

let dir: string;
const opened: { close(): void }[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-journal-"));
});
afterEach(() => {
  for (const journal of opened.splice(0)) journal.close();
  rmSync(dir, { recursive: true, force: true });
});
function sqlite(file = join(dir, "journal.db")) {
  const journal = openSqliteJournal(file);
  opened.push(journal);
  return journal;
}

function key(attempt: number, step = "noop"): StepKey {
  return { run: "r1", host: "hv1", step, attempt };
}
function row(attempt: number): StepRow {
  return { key: key(attempt), spec: { kind: "noop" }, state: "accepted", bootId: "b1", acceptedAtMs: 5 };
}
function result(reason = "", output = ""): StepResult {
  return {
    verdict: "ok",
    signal: "",
    reason,
    startedAtMs: 1,
    endedAtMs: 2,
    durationMs: 1.5,
    output,
    outputBytes: 3,
    requests: noRequests,
    bootIdBefore: "b1",
    bootIdAfter: "b1",
    hookFile: "",
    hookSha256: "",
  };
}
function ids(journal: Journal): [number, string, string][] {
  return journal.outbox(0, 100).map((entry) => [entry.id, entry.kind, keyText(entry.row.key)]);
}

describe.each<[string, () => Journal]>([
  ["SQLite", () => sqlite()],
  ["memory", () => new MemoryJournal()],
])("the journal contract: %s", (_name, make) => {
  it("stores a row once and announces it once", () => {
    const journal = make();
    const full: StepRow = {
      key: key(1, "Maintenance"),
      spec: { kind: "hook", stage: "Maintenance", args: ["a b", "ü\n"], timeoutMs: 1, graceMs: 2 },
      state: "accepted",
      bootId: "b1",
      acceptedAtMs: 5,
      hook: { file: "/h/Maintenance", sha256: "ab" },
    };
    expect(journal.get(full.key)).toBeUndefined();
    expect(journal.accept(full)).toEqual({ row: full, isNew: true });
    expect(journal.accept({ ...full, bootId: "other" })).toEqual({ row: full, isNew: false });
    expect(journal.get(full.key)).toEqual(full);
    expect(journal.open()).toEqual([full]);
    expect(ids(journal)).toEqual([[1, "accepted", "r1/hv1/Maintenance/1"]]);
  });

  it("stores a row that has ended already, and announces its end only", () => {
    const journal = make();
    const ended: StepRow = { ...row(1), state: "ended", result: result("done") };
    expect(journal.accept(ended)).toEqual({ row: ended, isNew: true });
    expect(journal.accept(row(1))).toEqual({ row: ended, isNew: false });
    expect(journal.get(key(1))).toEqual(ended);
    expect(journal.open()).toEqual([]);
    expect(ids(journal)).toEqual([[1, "ended", "r1/hv1/noop/1"]]);
    expect(journal.ack([1])).toEqual([key(1)]);
  });

  it("ends a row once; the first result wins", () => {
    const journal = make();
    journal.end(key(1), result("unknown key"));
    journal.accept(row(1));
    journal.end(key(1), result("first"));
    journal.end(key(1), result("second"));
    expect(journal.get(key(1))).toEqual({ ...row(1), state: "ended", result: result("first") });
    expect(journal.open()).toEqual([]);
    expect(ids(journal).map(([, kind]) => kind)).toEqual(["accepted", "ended"]);
  });

  it("counts requests to reboot, of open rows only", () => {
    const journal = make();
    expect(journal.countReboot(key(1))).toBe(0);
    journal.accept(row(1));
    expect([journal.countReboot(key(1)), journal.countReboot(key(1))]).toEqual([1, 2]);
    journal.end(key(1), result());
    expect(journal.countReboot(key(1))).toBe(0);
  });

  it("remembers the first wish to cancel, of open rows only", () => {
    const journal = make();
    journal.requestCancel(key(1), "nobody");
    journal.accept(row(1));
    journal.requestCancel(key(1), "ann");
    journal.requestCancel(key(1), "bob");
    expect(journal.get(key(1))?.cancelReason).toBe("ann");
    journal.accept(row(2));
    journal.end(key(2), result());
    journal.requestCancel(key(2), "late");
    expect(journal.get(key(2))?.cancelReason).toBeUndefined();
  });

  it("drops outbox entries only when acknowledged, and never uses an id twice", () => {
    const journal = make();
    for (const n of [1, 2]) {
      journal.accept(row(n));
      journal.end(key(n), result());
    }
    expect(journal.outbox(1, 2).map((entry) => entry.id)).toEqual([2, 3]);
    expect(journal.ack([1, 99])).toEqual([]);
    expect(journal.ack([2, 4, 4])).toEqual([key(1), key(2)]);
    expect(ids(journal).map(([id]) => id)).toEqual([3]);
    journal.ack([3]);
    journal.accept(row(3));
    expect(ids(journal).map(([id]) => id)).toEqual([5]);
  });

  it("does all of a batch or nothing", () => {
    const journal = make();
    journal.accept(row(1));
    const attempt = () =>
      journal.batch(() => {
        journal.accept(row(2));
        journal.end(key(1), result());
        journal.requestCancel(key(2), "x");
        journal.ack([1]);
        throw new SlipwayError("internal", "stop");
      });
    expect(attempt).toThrow("stop");
    expect(journal.get(key(2))).toBeUndefined();
    expect(journal.get(key(1))).toEqual(row(1));
    expect(ids(journal)).toEqual([[1, "accepted", "r1/hv1/noop/1"]]);
    const value = journal.batch(() => {
      journal.accept(row(2));
      journal.end(key(2), result());
      return 7;
    });
    expect(value).toBe(7);
    expect(journal.get(key(2))?.state).toBe("ended");
    expect(() => journal.batch(() => journal.batch(() => {}))).toThrow("do not nest");
  });

  it("keeps the cordon mark, one at a time", () => {
    const journal = make();
    expect(journal.cordon()).toBeUndefined();
    journal.setCordon({ holder: "r1", reason: "a" });
    journal.setCordon({ holder: "r1,operator", reason: "b" });
    expect(journal.cordon()).toEqual({ holder: "r1,operator", reason: "b" });
    journal.setCordon(undefined);
    expect(journal.cordon()).toBeUndefined();
  });

  it("only ever raises a generation", () => {
    const journal = make();
    expect(journal.generation("u1")).toBe(0);
    for (const generation of [3, 2, 3]) journal.raiseGeneration("u1", generation);
    expect([journal.generation("u1"), journal.generation("u2")]).toEqual([3, 0]);
    journal.raiseGeneration("u1", 4);
    expect(journal.generation("u1")).toBe(4);
  });

  it("takes mark and generations back with the batch that they were in", () => {
    const journal = make();
    journal.setCordon({ holder: "r1", reason: "" });
    journal.raiseGeneration("u1", 1);
    const attempt = () =>
      journal.batch(() => {
        journal.setCordon(undefined);
        journal.raiseGeneration("u1", 2);
        journal.raiseGeneration("u2", 2);
        throw new Error("stop");
      });
    expect(attempt).toThrow("stop");
    expect(journal.cordon()).toEqual({ holder: "r1", reason: "" });
    expect([journal.generation("u1"), journal.generation("u2")]).toEqual([1, 0]);
  });

  it("keeps the 64-bit numbers of instances", () => {
    const journal = make();
    const uuid = "11111111-1111-4111-8111-111111111111";
    const admit: StepRow = {
      ...row(1),
      key: key(1, `admit:${uuid}`),
      spec: {
        kind: "instance",
        verb: "admit",
        uuid,
        name: "vm",
        generation: 1,
        timeoutMs: 1,
        from: "hv2",
        instance: instance(uuid, { startedAtMs: 2n ** 60n, metadata: { bytes: "7", startedAtMs: "x" } }),
      },
    };
    const look = {
      problem: "",
      present: true,
      state: "running",
      job: "",
      generation: 1,
      bytes: 2n ** 61n,
      downtimeMs: 3,
    };
    const ended: StepResult = { ...result(), instance: look };
    journal.accept(admit);
    journal.end(admit.key, ended);
    expect(journal.get(admit.key)).toEqual({ ...admit, state: "ended", result: ended });
  });

  it("prunes the oldest rows that are ended and acknowledged, and no others", () => {
    const journal = make();
    for (let n = 1; n <= 6; n++) journal.accept(row(n));
    for (const n of [1, 2, 3, 4]) journal.end(key(n), result());
    // Entries 1 to 6 are the acceptances, 7 to 10 the ends; the end of 2 stays unacknowledged.
    journal.ack([1, 2, 3, 4, 5, 6, 7, 9, 10]);
    expect(journal.prune(1)).toBe(2);
    expect([1, 2, 3, 4, 5, 6].filter((n) => journal.get(key(n)) !== undefined)).toEqual([2, 4, 5, 6]);
    expect(journal.prune(1)).toBe(0);
  });
});

describe("the SQLite journal", () => {
  const file = () => join(dir, "journal.db");

  it("is found again as it was left", () => {
    const first = sqlite();
    first.accept(row(1));
    first.end(key(1), result("done"));
    first.setCordon({ holder: "operator", reason: "disk" });
    first.raiseGeneration("u1", 2);
    first.close();
    opened.pop();
    const second = sqlite();
    expect(second.get(key(1))?.result).toEqual(result("done"));
    expect(ids(second)).toHaveLength(2);
    expect(second.cordon()).toEqual({ holder: "operator", reason: "disk" });
    expect(second.generation("u1")).toBe(2);
  });

  it("is readable by its user only", () => {
    sqlite().accept(row(1));
    for (const name of readdirSync(dir)) expect([name, statSync(join(dir, name)).mode & 0o777]).toEqual([name, 0o600]);
  });

  it("is held by one process at a time", () => {
    sqlite();
    expect(() => sqlite()).toThrow(
      `${file()}: in use by another agent process; stop that one, or give this one another slipway.state.dir`,
    );
  });

  it("commits with a full sync", () => {
    sqlite().close();
    opened.pop();
    const journal = sqlite();
    // The setting belongs to the connection, so it is looked at from inside.
    expect(journal.settings()).toEqual({ journalMode: "wal", synchronous: 2 });
  });

  it("does not wait for the disk where a power cut may undo, and does again afterwards", () => {
    const journal = sqlite();
    journal.accept(row(1));
    const synchronous = () => journal.settings().synchronous;
    expect(journal.batch(synchronous)).toBe(2);
    expect(journal.batch(() => [synchronous(), journal.ack([1])], true)).toEqual([1, []]);
    expect(synchronous()).toBe(2);
    expect(() =>
      journal.batch(() => {
        throw new Error("no");
      }, true),
    ).toThrow("no");
    expect(synchronous()).toBe(2);
    journal.close();
    opened.pop();
    expect(ids(sqlite())).toEqual([]);
  });

  it("opens what version 1 wrote", () => {
    copyFileSync(new URL("../../fixtures/journal-1.db", import.meta.url), file());
    chmodSync(file(), 0o600);
    const journal = sqlite();
    expect(journal.open().map((one) => keyText(one.key))).toEqual(["r1/hv1/Maintenance/1"]);
    expect(journal.get({ run: "r1", host: "hv1", step: "PreFlight", attempt: 1 })?.result?.verdict).toBe("ok");
    expect(ids(journal).map(([id, kind]) => [id, kind])).toEqual([
      [2, "ended"],
      [3, "accepted"],
    ]);
    expect(journal.cordon()).toBeUndefined();
    journal.raiseGeneration("u1", 1);
    expect(journal.generation("u1")).toBe(1);
  });

  it("refuses what a newer version wrote", () => {
    const db = new Database(file());
    db.pragma(`user_version = ${migrations.length + 1}`);
    db.close();
    expect(() => sqlite()).toThrow(
      /written by a newer agent \(version \d+\); this agent reads up to version \d+; upgrade it/,
    );
  });

  it("says so when the file is none of its own", () => {
    writeFileSync(file(), "x".repeat(5000));
    expect(() => sqlite()).toThrow(`${file()}: file is not a database`);
  });

  it("throws out-of-space when it is full, changes nothing, and goes on when there is room", () => {
    const journal = sqlite();
    journal.accept(row(1));
    journal.limitPages(1);
    const big = result("", "x".repeat(100_000));
    expect(() => journal.end(key(1), big)).toThrow(expect.objectContaining({ code: "out-of-space" }));
    expect(() => journal.batch(() => journal.end(key(1), big))).toThrow(`${file()}: the disk is full; make room`);
    expect(journal.get(key(1))).toEqual(row(1));
    expect(ids(journal)).toHaveLength(1);
    journal.limitPages(1_000_000);
    journal.end(key(1), big);
    expect(journal.get(key(1))?.result).toEqual(big);
  });
});
