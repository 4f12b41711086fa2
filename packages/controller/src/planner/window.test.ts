import { expect, test } from "vitest";
import type { Schedule } from "../domain/schedule.ts";
import { parseWindows } from "../domain/window.ts";
import { tooLongForWindow, windowOutlook } from "./window.ts";

const HOUR = 3_600_000;
const utc = (text: string) => Date.parse(`${text}Z`);
/** Each expected to take an hour, one after the other, and at its 95th percentile an hour and a half. */
function scheduleOf(hosts: number): Schedule {
  const turns = Array.from({ length: hosts }, (_, i) => ({ host: `hv${i + 1}`, startMs: i * HOUR, p95Ms: 1.5 * HOUR }));
  return { turns, expectedMs: hosts * HOUR, p95Ms: hosts * 1.5 * HOUR } as unknown as Schedule;
}
const outlook = (hosts: number, window: string, at: string) =>
  windowOutlook(scheduleOf(hosts), parseWindows(window), utc(at)).map((r) => r.text);

test("a plan tells when it goes and how far it comes", () => {
  const window = "Sat 22:00-04:00 Europe/Paris";
  expect(outlook(4, window, "2026-01-01T00:00")).toEqual([
    "window Sat 22:00-04:00 Europe/Paris: it opens at Sat 2026-01-03 22:00 Europe/Paris; all turns fit into that opening",
  ]);
  expect(outlook(5, window, "2026-01-01T00:00")).toEqual([
    "window Sat 22:00-04:00 Europe/Paris: it opens at Sat 2026-01-03 22:00 Europe/Paris; " +
      "4 of 5 turns fit into that opening if each takes its 95th percentile; the rest waits for the next one",
  ]);
  // Five hours in the night to summer time, and half of it is over.
  expect(outlook(4, window, "2026-03-28T23:30")[0]).toMatch(
    /it is open, and closes at Sun 2026-03-29 04:00 .*1 of 4 turns/,
  );
  expect(outlook(4, "00:00-24:00 UTC", "2026-01-01T00:00")).toEqual([]);
});

test("a turn that fits into no opening is in the way", () => {
  const found = tooLongForWindow(scheduleOf(2), parseWindows("01:00-02:15 UTC"), utc("2026-01-01T00:00"));
  expect(found.map((r) => [r.subject, r.fix])).toEqual([
    ["hv1", "give a longer window, or leave hv1 out: --exclude hv1"],
    ["hv2", "give a longer window, or leave hv2 out: --exclude hv2"],
  ]);
  expect(tooLongForWindow(scheduleOf(2), parseWindows("01:00-02:30 UTC"), utc("2026-01-01T00:00"))).toEqual([]);
});
