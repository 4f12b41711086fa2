import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { momentText, parseWindows } from "./window.ts";

const utc = (text: string) => Date.parse(`${text}Z`);
const iso = (ms: number | undefined) => (ms === undefined ? "never" : new Date(ms).toISOString().slice(0, 16));

/** "open until ..." or "closed until ...", in UTC. */
function state(window: string, at: string): string {
  const s = parseWindows(window).at(utc(at));
  return s.isOpen ? `open until ${iso(s.closesMs)}` : `closed until ${iso(s.opensMs)}, then until ${iso(s.closesMs)}`;
}

describe("reading", () => {
  test.each([
    ["Sat 22:00-04:00 Europe/Paris", "Sat 22:00-04:00 Europe/Paris"],
    ["sat 22:00 - 04:00 europe/paris", "Sat 22:00-04:00 Europe/Paris"],
    ["Mon-Fri 1:00-05:00 UTC", "Mon,Tue,Wed,Thu,Fri 01:00-05:00 UTC"],
    ["Fri-Mon 01:00-05:00 UTC", "Mon,Fri,Sat,Sun 01:00-05:00 UTC"],
    ["Wednesday, Mon 01:00-24:00 +05:30", "Mon,Wed 01:00-24:00 +05:30"],
    ["01:00-05:00 Asia/Kolkata", "01:00-05:00 Asia/Kolkata"],
    ["Mon 01:00-05:00; Sat 22:00-04:00 UTC;", "Mon 01:00-05:00 UTC; Sat 22:00-04:00 UTC"],
    ["Mon 01:00-05:00 Asia/Tokyo; Sat 22:00-04:00 UTC", "Mon 01:00-05:00 Asia/Tokyo; Sat 22:00-04:00 UTC"],
  ])("%s", (text, canonical) => {
    const windows = parseWindows(text);
    expect(windows.text).toBe(canonical);
    expect(parseWindows(windows.text).text).toBe(canonical);
  });

  test.each([
    ["", "nothing is given"],
    ["Sat", '"Sat": it has no times'],
    ["Sat 22:00-04:00", '"Sat 22:00-04:00": it states no time zone; add one such as Europe/Paris or UTC'],
    ["Mon 01:00-02:00 UTC; Tue 01:00-02:00", '"Tue 01:00-02:00": it states no time zone'],
    ["Sab 22:00-04:00 UTC", '"Sab" is no day; write Mon, Tue'],
    ["Mon-Wed-Fri 22:00-04:00 UTC", '"Mon-Wed-Fri" is no range of days'],
    ["Sat 22:00-25:00 UTC", '"25:00" is no time of day; write 00:00 to 24:00'],
    ["Sat 22:60-23:00 UTC", '"22:60" is no time of day'],
    ["Sat 22-23 UTC", '"22" is no time of day'],
    ["Sat 22:00 UTC", '"22:00" is no range of times'],
    ["Sat 22:00-22:00 UTC", '"22:00-22:00" has no length; for whole days write 00:00-24:00'],
    ["Sat 24:00-01:00 UTC", '"24:00" cannot be a begin'],
    ["Sat 22:00-04:00 Europe/Pariss", '"Europe/Pariss" is no time zone; did you mean Europe/Paris?'],
    ["Sat 22:00-04:00 EST", '"EST" is no time zone; write a place'],
    ["Sat 22:00-04:00 UTC please", '"please" is too much'],
  ])("refuses %j and names the part", (text, message) => {
    expect(() => parseWindows(text)).toThrow(message);
  });

  test("takes a default zone only when one is stated, and an own zone before it", () => {
    expect(parseWindows("Sat 22:00-04:00", "Asia/Tokyo").text).toBe("Sat 22:00-04:00 Asia/Tokyo");
    expect(parseWindows("Sat 22:00-04:00 UTC", "Asia/Tokyo").text).toBe("Sat 22:00-04:00 UTC");
    expect(() => parseWindows("Sat 22:00-04:00", "Asia/Tokio")).toThrow(
      'window: the default zone: "Asia/Tokio" is no time zone; did you mean Asia/Tokyo?',
    );
  });
});

describe("opening and closing", () => {
  test.each([
    // Winter in Paris is one hour ahead of UTC. 2026-01-03 is a Saturday.
    ["Sat 22:00-04:00 Europe/Paris", "2026-01-03T20:59", "closed until 2026-01-03T21:00, then until 2026-01-04T03:00"],
    ["Sat 22:00-04:00 Europe/Paris", "2026-01-03T21:00", "open until 2026-01-04T03:00"],
    ["Sat 22:00-04:00 Europe/Paris", "2026-01-04T02:59", "open until 2026-01-04T03:00"],
    ["Sat 22:00-04:00 Europe/Paris", "2026-01-04T03:00", "closed until 2026-01-10T21:00, then until 2026-01-11T03:00"],
    [
      "Mon-Fri 01:00-05:00 Asia/Kolkata",
      "2026-01-02T00:00",
      "closed until 2026-01-04T19:30, then until 2026-01-04T23:30",
    ],
    // The nearest of several; windows that touch are one.
    [
      "Mon 01:00-05:00; Sun 01:00-02:00 UTC",
      "2026-01-03T00:00",
      "closed until 2026-01-04T01:00, then until 2026-01-04T02:00",
    ],
    ["Fri 22:00-24:00; Sat,Sun 00:00-24:00; Mon 00:00-04:00 UTC", "2026-01-03T12:00", "open until 2026-01-05T04:00"],
    ["00:00-24:00 Europe/Paris", "2026-01-03T12:00", "open until never"],
    ["00:00-12:00; 12:00-00:00 UTC", "2026-01-03T12:00", "open until never"],
  ])("%s at %s", (window, at, expected) => {
    expect(state(window, at)).toBe(expected);
  });

  test.each([
    // Paris, 2026-03-29: 02:00 CET is 03:00 CEST, at 01:00Z. 22:00-04:00 lasts five hours.
    ["Sat 22:00-04:00 Europe/Paris", "2026-03-28T22:00", "open until 2026-03-29T02:00"],
    ["Sun 01:30-02:30 Europe/Paris", "2026-03-29T00:00", "closed until 2026-03-29T00:30, then until 2026-03-29T01:00"],
    ["Sun 02:30-05:00 Europe/Paris", "2026-03-29T00:00", "closed until 2026-03-29T01:00, then until 2026-03-29T03:00"],
    ["Sun 02:15-02:45 Europe/Paris", "2026-03-28T12:00", "closed until 2026-04-05T00:15, then until 2026-04-05T00:45"],
    // 2026-10-25: 03:00 CEST is 02:00 CET, at 01:00Z. 22:00-04:00 lasts seven hours; of 02:30, the first counts.
    ["Sat 22:00-04:00 Europe/Paris", "2026-10-24T20:00", "open until 2026-10-25T03:00"],
    ["Sun 01:00-02:30 Europe/Paris", "2026-10-24T23:00", "open until 2026-10-25T00:30"],
    ["Sun 02:30-05:00 Europe/Paris", "2026-10-25T00:00", "closed until 2026-10-25T00:30, then until 2026-10-25T04:00"],
    ["Sun 02:15-02:45 Europe/Paris", "2026-10-25T01:20", "closed until 2026-11-01T01:15, then until 2026-11-01T01:45"],
    // New York, 2026-03-08 at 07:00Z, and 2026-11-01 at 06:00Z.
    ["Sun 01:00-04:00 America/New_York", "2026-03-08T06:00", "open until 2026-03-08T08:00"],
    [
      "Sun 02:30-04:00 America/New_York",
      "2026-03-08T06:00",
      "closed until 2026-03-08T07:00, then until 2026-03-08T08:00",
    ],
    ["Sun 01:00-04:00 America/New_York", "2026-11-01T05:00", "open until 2026-11-01T09:00"],
    // Lord Howe moves by half an hour: 2026-10-04 02:00 is 02:30 (15:30Z the day before), 2026-04-05 02:00 is 01:30 (15:00Z).
    [
      "Sun 02:15-03:00 Australia/Lord_Howe",
      "2026-10-03T15:00",
      "closed until 2026-10-03T15:30, then until 2026-10-03T16:00",
    ],
    [
      "Sun 01:45-03:00 Australia/Lord_Howe",
      "2026-04-04T14:00",
      "closed until 2026-04-04T14:45, then until 2026-04-04T16:30",
    ],
    // No summer time in Kolkata.
    ["Sun 02:30-04:00 Asia/Kolkata", "2026-03-28T20:00", "closed until 2026-03-28T21:00, then until 2026-03-28T22:30"],
  ])("where clocks are set: %s at %s", (window, at, expected) => {
    expect(state(window, at)).toBe(expected);
  });

  test("the longest opening, by which a turn that never fits is known", () => {
    const at = utc("2026-01-01T00:00");
    expect(parseWindows("Mon 01:00-05:00; Sat 22:00-04:00 UTC").longestMs(at)).toBe(6 * 3_600_000);
    expect(parseWindows("00:00-24:00 UTC").longestMs(at)).toBe(Number.POSITIVE_INFINITY);
  });

  test("moments are told in the zone of the window", () => {
    expect(momentText(utc("2026-03-29T02:00"), "Europe/Paris")).toBe("Sun 2026-03-29 04:00 Europe/Paris");
  });
});

describe("at any moment", () => {
  const zone = fc.constantFrom("Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC");
  const minute = fc.integer({ min: 0, max: 1439 });
  const clock = (m: number) => `${String(Math.floor(m / 60)).padStart(2, "0")}:${String(m % 60).padStart(2, "0")}`;
  const range = fc
    .record({ day: fc.constantFrom("", "Mon ", "Sat,Sun ", "Fri-Mon "), from: minute, to: minute, zone })
    .filter((r) => r.from !== r.to)
    .map((r) => `${r.day}${clock(r.from)}-${clock(r.to)} ${r.zone}`);
  const moment = fc.integer({ min: utc("2025-12-01T00:00"), max: utc("2027-02-01T00:00") });

  test("the state lasts until the moment that it names, and is the other one then", () => {
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 3 }), moment, fc.nat(1_000), (ranges, at, share) => {
        const text = ranges.join("; ");
        const windows = parseWindows(text);
        const s = windows.at(at);
        const until = s.isOpen ? s.closesMs : s.opensMs;
        if (until === undefined) return;
        expect(until).toBeGreaterThan(at);
        const between = at + Math.floor(((until - 1 - at) * share) / 1_000);
        // Asked afresh, so that nothing that was laid out before can answer.
        expect(parseWindows(text).at(between)).toMatchObject({ isOpen: s.isOpen });
        expect(parseWindows(text).at(until).isOpen).toBe(!s.isOpen);
        expect(windows.at(between)).toEqual(parseWindows(text).at(between));
      }),
      { numRuns: 300 },
    );
  });
});
