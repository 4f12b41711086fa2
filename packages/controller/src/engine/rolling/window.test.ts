import { describe, expect, test } from "vitest";
import { DurationBook } from "../../domain/durations.ts";
import type { FleetView } from "../../domain/fleet.ts";
import type { HostRun, Run, StepRecord } from "../../domain/run.ts";
import { defaultOptions, type RunOptions, type StepName } from "../../domain/words.ts";
import { windowWait, windowWakeT } from "./window.ts";

const WINDOW = "Sat 22:00-04:00 Europe/Paris";
const utc = (text: string) => Date.parse(`${text}Z`);

function hostWith(over: Partial<HostRun> = {}, ...steps: StepName[]): HostRun {
  const done = steps.map(
    (step): StepRecord => ({ host: "hv2", step, attempt: 1, startedT: 0, startedAt: 0, endedT: 0 }),
  );
  return { name: "hv2", cluster: "c1", cordoned: false, from: 0, steps: done, ...over } as unknown as HostRun;
}
function runWith(options: Partial<RunOptions> = {}, more: Partial<Run> = {}, p95Ms?: number): Run {
  const schedule = p95Ms === undefined ? {} : { schedule: { turns: [{ host: "hv2", p95Ms }] } };
  const spec = { run: "r1", options: { ...defaultOptions, window: WINDOW, ...options } };
  return { spec, ...schedule, hosts: [], ...more } as unknown as Run;
}
const fleetAt = (at: string | undefined, usual = new DurationBook()): FleetView =>
  ({ ...(at === undefined ? {} : { wallT: utc(at) }), usual }) as unknown as FleetView;
const HOUR = 3_600_000;
const wait = (at: string, p95Ms = HOUR, host = hostWith(), run = runWith({}, {}, p95Ms)) =>
  windowWait(run, host, fleetAt(at));

describe("a host may go out", () => {
  test("while the window is open and its turn fits before it closes, to the millisecond", () => {
    expect(wait("2026-01-03T21:00")).toBeUndefined();
    expect(wait("2026-01-04T02:00")).toBeUndefined();
    expect(wait("2026-01-04T02:00:00.001")?.text).toBe(
      "hv2 does not go out any more: its turn may take 1h 0m (as planned; not all of that has been measured yet), and the window closes at " +
        "Sun 2026-01-04 04:00 Europe/Paris; it opens again at Sat 2026-01-10 22:00 Europe/Paris",
    );
  });

  test("not before it opens", () => {
    expect(wait("2026-01-03T20:59:59.999")).toEqual({
      rule: "window",
      subject: "hv2",
      text: "hv2 waits for the window Sat 22:00-04:00 Europe/Paris: it opens at Sat 2026-01-03 22:00 Europe/Paris",
      fix: "it goes on by itself then",
    });
  });

  test("in the night in which clocks are set, by the hours that there are", () => {
    // 2026-03-28: 22:00 to 04:00 is five hours; 2026-10-24: seven.
    expect(wait("2026-03-28T21:00", 5 * HOUR)).toBeUndefined();
    expect(wait("2026-03-28T21:00", 5 * HOUR + 1)?.text).toContain("closes at Sun 2026-03-29 04:00 Europe/Paris");
    expect(wait("2026-10-24T20:00", 7 * HOUR)).toBeUndefined();
  });

  test("never, and told so, when no opening is long enough", () => {
    expect(wait("2026-01-03T21:00", 7 * HOUR)).toMatchObject({
      text: expect.stringContaining("is never open for longer than 6h 0m"),
      fix: expect.stringContaining("--window"),
    });
  });

  test("without a schedule by what drains and turns usually take, or a stated guess", () => {
    const at = (usual: DurationBook) => windowWait(runWith(), hostWith(), fleetAt("2026-01-04T02:30", usual));
    expect(at(new DurationBook())?.text).toContain(
      "its turn may take 40m 00s (drain: no history; assumed 10m 00s; away: no history; assumed 10m 00s)",
    );
    const sample = (kind: "drain" | "away") => ({ host: "hv2", cluster: "c1", kind, ms: 10 * 60_000 });
    const samples = [0, 1, 2, 3, 4].flatMap(() => [sample("drain"), sample("away")]);
    expect(at(new DurationBook(samples))).toBeUndefined();
  });

  test("by what has been measured where that is longer than the schedule had thought", () => {
    const sample = (kind: "drain" | "away") => ({ host: "hv2", cluster: "c1", kind, ms: 30 * 60_000 });
    const usual = new DurationBook([0, 1, 2, 3, 4].flatMap(() => [sample("drain"), sample("away")]));
    const at = (p95Ms: number) => windowWait(runWith({}, {}, p95Ms), hostWith(), fleetAt("2026-01-04T02:30", usual));
    expect(at(1)?.text).toContain("may take 1h 0m (drain: usual of 5 on this host; away: usual of 5 on this host)");
    expect(at(2 * HOUR)?.text).toContain("may take 2h 0m (as planned; measured by now: 1h 0m)");
  });
});

describe("no window stops", () => {
  const closed = "2026-01-05T12:00";
  test.each<[string, HostRun, Run]>([
    ["a run without one", hostWith(), runWith({ window: "" })],
    ["a host that is out", hostWith({ cordoned: true }, "cordon", "drain"), runWith()],
    ["one that is back and has its PostMaintenance before it", hostWith({}, "cordon", "drain", "uncordon"), runWith()],
    ["a retry behind its turn", hostWith({ resumeAt: "PostMaintenance" }), runWith()],
    ["a host that an operator settles", hostWith({ directed: { action: "skip", who: "a", reason: "" } }), runWith()],
    ["an abort", hostWith(), runWith({}, { abort: { who: "a", now: false, reason: "" } })],
    ["a restore", hostWith(), runWith({ op: "restore" })],
  ])("%s", (_what, host, run) => {
    expect(windowWait(run, host, fleetAt(closed))).toBeUndefined();
  });

  test("but a host that has been prepared and is not out yet waits", () => {
    expect(windowWait(runWith(), hostWith({}, "inspect", "PreMaintenance", "gate"), fleetAt(closed))).toBeDefined();
    const earlier = hostWith({ from: 2 }, "cordon", "uncordon", "inspect");
    expect(windowWait(runWith(), earlier, fleetAt(closed))).toBeDefined();
  });
});

test("what is not known is a no", () => {
  expect(windowWait(runWith(), hostWith(), fleetAt(undefined))?.text).toContain("the time of day is not known");
  expect(windowWait(runWith({ window: "some day" }), hostWith(), fleetAt("2026-01-03T22:00"))?.text).toContain(
    "it cannot be read",
  );
});

test("it is looked at again when it changes, and every minute, for a wall clock may be set", () => {
  const wake = (at: string | undefined) => windowWakeT(runWith(), fleetAt(at), 5_000) - 5_000;
  expect(wake("2026-01-03T20:59:58")).toBe(2_000);
  expect(wake("2026-01-03T12:00")).toBe(60_000);
  expect(wake("2026-01-04T02:59:59.500")).toBe(500);
  expect(wake(undefined)).toBe(60_000);
  expect(windowWakeT(runWith({ window: "00:00-24:00 UTC" }), fleetAt("2026-01-03T12:00"), 0)).toBe(60_000);
});
