import { describe, expect, test } from "vitest";
import { fixture } from "./testing.ts";
import { jobWord, parseJob, parseState, parseUuids, parseVersion } from "./words.ts";

describe("states", () => {
  const state = (state: number, reason: number) =>
    parseState(`Domain: 'state.state=1'\n  state.state=${state}\n  state.reason=${reason}\n`);
  test("are libvirt's numbers", () => {
    expect(state(1, 2)).toEqual({ state: "running", reason: "migrated" });
    expect(state(3, 5)).toEqual({ state: "paused", reason: "I/O error" });
    expect(state(4, 1)).toEqual({ state: "running", reason: "shutting down" });
    expect(state(5, 4)).toEqual({ state: "shutoff", reason: "migrated" });
    expect(state(7, 0)).toMatchObject({ state: "suspended" });
  });
  test("that nobody knows are unknown", () => {
    for (const text of ["", "état: en cours", "state.state=", "  state.state=99\n", "  state.state=-1\n"])
      expect(parseState(text)).toEqual({ state: "unknown", reason: "" });
    expect(state(5, 99)).toEqual({ state: "shutoff", reason: "" });
  });
});

describe("jobs", () => {
  test("of a migration tell what they have sent", () => {
    const job = parseJob(fixture("job-migrating-out.txt"));
    expect(job).toMatchObject({ type: "running", operation: "migrating-out" });
    expect(job.processed).toBeGreaterThan(0);
    expect(jobWord(job)).toBe("migrating-out");
  });
  test("that are over tell the pause", () => {
    const job = parseJob(fixture("job-completed.txt"));
    expect(job).toMatchObject({ type: "ended", operation: "migrating-in" });
    expect(job.downtimeMs).toBeGreaterThan(0);
    expect(jobWord(job)).toBe("");
  });
  test("are none where it says none, and unknown where it says nothing", () => {
    expect(jobWord(parseJob("Job type: 0\n\n"))).toBe("");
    for (const text of ["", "Auftragstyp: 0", "Job type: 77", "Job type:"])
      expect(jobWord(parseJob(text))).toBe("unknown");
  });
});

test("lists of UUIDs are nothing else", () => {
  expect(parseUuids("\naaaaaaaa-0000-4000-8000-000000000001\n\n")).toEqual(["aaaaaaaa-0000-4000-8000-000000000001"]);
  expect(parseUuids("")).toEqual([]);
  expect(parseUuids("aaaaaaaa-0000-4000-8000-00000000000")).toBeUndefined();
  expect(parseUuids("error: no connection")).toBeUndefined();
});

test("versions", () => {
  expect(parseVersion(fixture("version.txt"))).toBe("libvirt 9.0.0, QEMU 7.2.22");
  expect(parseVersion("Bibliothek: libvirt 9.0.0")).toBe("");
});
