import { expect, test } from "vitest";
import { lineText, runSeed } from "./seeded.ts";

function trace(seed: number): string {
  const lines: string[] = [];
  runSeed(seed, {}, (line) => lines.push(lineText(line)));
  return lines.join("\n");
}

test("a seed gives the same trace, byte for byte, however often it is run", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const first = trace(seed);
    expect(first.length).toBeGreaterThan(100);
    expect(trace(seed)).toBe(first);
  }
});

test("another seed gives another trace", () => {
  expect(new Set([1, 2, 3, 4, 5, 6, 7, 8].map(trace)).size).toBe(8);
});

test("watching a world does not change it", () => {
  for (let seed = 1; seed <= 20; seed++) expect(runSeed(seed)).toEqual(runSeed(seed, {}, () => {}));
});
