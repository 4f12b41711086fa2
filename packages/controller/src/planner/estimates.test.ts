import { expect, test } from "vitest";
import { DurationBook, type DurationSample } from "../domain/durations.ts";
import { estimates } from "./estimates.ts";

const hv1 = { name: "hv1", cluster: "c1" };
const vm = (gib: number) => ({ memoryMib: gib * 1024 });
const five = (sample: DurationSample) => Array.from({ length: 5 }, () => sample);

test("a guess is called one", () => {
  const e = estimates(hv1, [vm(4)], undefined, { op: "hooks" });
  expect(e).toMatchObject({ expectedMs: 600_000, p95Ms: 1_200_000, isAssumed: true });
  expect(e.basis).toBe("no history; assumed 10m 00s; migrations: no history; assumed 5 s and 2 s per GiB");
  expect(e.migrateMs(vm(4))).toBe(13_000);
  expect(e.migrateP95Ms(vm(4))).toBe(26_000);
  expect(e.turnMs).toBe(613_000);
  expect(e.turnP95Ms).toBe(1_226_000);
  expect(estimates(hv1, [], undefined, { op: "hooks" }).basis).toBe("no history; assumed 10m 00s");
});

test("runs whose work is a reboot have a history of their own", () => {
  const away = { host: "hv1", cluster: "c1", kind: "away", ms: 900_000 } as const;
  const book = new DurationBook([...five(away), ...five({ ...away, kind: "away-reboot", ms: 200_000 })]);
  expect(estimates(hv1, [], book, { op: "hooks" })).toMatchObject({ expectedMs: 900_000, isAssumed: false });
  expect(estimates(hv1, [], book, { op: "reboot" })).toMatchObject({
    ...{ expectedMs: 200_000, p95Ms: 200_000, basis: "usual of 5 on this host" },
  });
  expect(estimates(hv1, [vm(1)], book, { op: "drain" })).toMatchObject({ expectedMs: 0, turnMs: 7_000 });
});

test("instances leave as many at once as the pool allows", () => {
  const moved = { host: "hv2", cluster: "c1", kind: "migration", ms: 10_000, mib: 4 * 1024, to: "hv3" } as const;
  const book = new DurationBook(five(moved));
  const drainMs = (atOnce: number, ...gib: number[]) =>
    estimates(hv1, gib.map(vm), book, { op: "hooks" }, atOnce).drainMs;
  expect(drainMs(1, 4, 4, 4)).toBe(30_000);
  expect(drainMs(2, 4, 4, 4)).toBe(20_000);
  expect(drainMs(8, 4, 4, 4)).toBe(10_000);
  expect(drainMs(2)).toBe(0);
  expect(estimates(hv1, [vm(4)], book, { op: "hooks" }).basis).toMatch(/; migrations: usual of 5 in its cluster$/);
});
