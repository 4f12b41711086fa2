import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { durationText, naturalCompare, nearest } from "./text.ts";

describe("naturalCompare", () => {
  test("counts as people do", () => {
    const names = ["hv10", "hv2", "hv1", "a", "hv", "hv02", "hv1b2", "hv1b10", "2", "10"];
    expect([...names].sort(naturalCompare)).toEqual([
      "2",
      "10",
      "a",
      "hv",
      "hv1",
      "hv1b2",
      "hv1b10",
      "hv02",
      "hv2",
      "hv10",
    ]);
  });
  test("is a total order", () => {
    const name = fc.string({ unit: fc.constantFrom("a", "b", "0", "1", "9", "-") });
    fc.assert(
      fc.property(name, name, name, (a, b, c) => {
        expect(Math.sign(naturalCompare(a, b)) + Math.sign(naturalCompare(b, a))).toBe(0);
        expect(naturalCompare(a, b) === 0).toBe(a === b);
        if (naturalCompare(a, b) <= 0 && naturalCompare(b, c) <= 0) expect(naturalCompare(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });
});

describe("nearest", () => {
  test("finds the slip of a finger, and nothing far away", () => {
    expect(nearest("hv11", ["hv1", "compute7"])).toBe("hv1");
    expect(nearest("HV1", ["hv1", "hv2"])).toBe("hv1");
    expect(nearest("hv0", ["hv10", "hv2", "hv1"])).toBe("hv1");
    expect(nearest("rack-17", ["hv1", "hv2"])).toBeUndefined();
  });
});

test("durationText", () => {
  expect([0, 350, 12_000, 59_499, 59_600, 64_000, 3_720_000].map(durationText)).toEqual([
    "0 ms",
    "350 ms",
    "12 s",
    "59 s",
    "1m 00s",
    "1m 04s",
    "1h 2m",
  ]);
});
