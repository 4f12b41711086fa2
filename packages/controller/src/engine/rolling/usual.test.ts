import { expect, test } from "vitest";
import { DurationBook, FEW } from "../../domain/durations.ts";
import type { RunEvent } from "../../domain/events.ts";
import type { FleetView } from "../../domain/fleet.ts";
import type { HostRun, StepRecord } from "../../domain/run.ts";
import type { StepName } from "../../domain/words.ts";
import type { Desk } from "../desk.ts";
import { slowerThanUsual, slowFromT, tellSlowness } from "./usual.ts";

const MINUTE = 60_000;
const host = { name: "hv2", cluster: "c1" } as HostRun;
const inHand = (step: StepName): StepRecord => ({ host: "hv2", step, attempt: 1, startedT: 1_000, startedAt: 0 });
const fleetWith = (n: number, ms: (i: number) => number) => {
  const samples = Array.from(
    { length: n },
    (_, i) => ({ host: "hv2", cluster: "c1", kind: "Maintenance", ms: ms(i) }) as const,
  );
  return { usual: new DurationBook(samples) } as unknown as FleetView;
};

test("a step beyond its 95th percentile is called slow by name, with what is usual", () => {
  const fleet = fleetWith(14, (i) => (i === 13 ? 6 * MINUTE : 4 * MINUTE));
  expect(slowerThanUsual(inHand("Maintenance"), host, fleet, 1_000 + 12 * MINUTE)).toEqual({
    rule: "slower-than-usual",
    subject: "hv2",
    text: "hv2: Maintenance has taken 12m 00s; usual is 4m 00s, 95 of 100 end within 6m 00s (of 14 on this host)",
    fix: "see what it does: slipway why hv2",
  });
  const from = slowFromT(inHand("Maintenance"), host, fleet) ?? 0;
  expect(from).toBe(1_001 + 6 * MINUTE);
  expect(slowerThanUsual(inHand("Maintenance"), host, fleet, from - 1)).toBeUndefined();
  expect(slowerThanUsual(inHand("Maintenance"), host, fleet, from)).toBeDefined();
});

test("not out of too few samples, nor of none", () => {
  expect(
    slowerThanUsual(
      inHand("Maintenance"),
      host,
      fleetWith(FEW - 1, () => MINUTE),
      1e9,
    ),
  ).toBeUndefined();
  expect(
    slowerThanUsual(
      inHand("Maintenance"),
      host,
      fleetWith(FEW, () => MINUTE),
      1e9,
    ),
  ).toBeDefined();
  expect(
    slowerThanUsual(
      inHand("reboot"),
      host,
      fleetWith(50, () => MINUTE),
      1e9,
    ),
  ).toBeUndefined();
  expect(
    slowerThanUsual(
      inHand("gate"),
      host,
      fleetWith(50, () => MINUTE),
      1e9,
    ),
  ).toBeUndefined();
  expect(slowFromT(inHand("Maintenance"), host, {} as FleetView)).toBeUndefined();
});

test("a moment more than a moment is nothing to tell of", () => {
  const fleet = fleetWith(20, () => 50);
  expect(slowerThanUsual(inHand("Maintenance"), host, fleet, 1_000 + 10_050)).toBeUndefined();
  expect(slowerThanUsual(inHand("Maintenance"), host, fleet, 1_000 + 10_051)).toBeDefined();
});

test("it is told in the log once for each execution, and waited for all the while", () => {
  const fleet = fleetWith(14, () => 4 * MINUTE);
  const tell = (attempt: number, now: number, notes: HostRun["notes"] = []) => {
    const records: RunEvent[] = [];
    const waits: string[] = [];
    const limits: number[] = [];
    const desk = {
      ...{ host: { ...host, notes }, fleet, now },
      record: (e: RunEvent) => records.push(e),
      wait: (r: { text: string }) => waits.push(r.text),
      expired: (limit: number) => limits.push(limit),
    };
    tellSlowness(desk as unknown as Desk, { ...inHand("Maintenance"), attempt });
    const told = records.flatMap((e) => (e.type === "host-noted" ? [e.note] : []));
    return { told, waits, limits };
  };
  expect(tell(1, MINUTE)).toEqual({ told: [], waits: [], limits: [241_001 + 10_000] });
  const first = tell(1, 5 * MINUTE);
  expect(first.told.map((n) => `hv2: ${n.text}`)).toEqual(first.waits);
  expect(first.waits).toEqual([expect.stringMatching(/^hv2: Maintenance has taken 4m 59s; usual is 4m 00s/)]);
  expect(tell(1, 9 * MINUTE, first.told)).toMatchObject({ told: [], waits: [expect.stringContaining("8m 59s")] });
  expect(tell(2, 9 * MINUTE, first.told).told).toMatchObject([
    { text: expect.stringMatching(/^Maintenance \(attempt 2\) has taken/) },
  ]);
});
