import { expect, test } from "vitest";
import { runEvacuation } from "./evacuation.ts";
import { runQuorum } from "./quorum.ts";
import { lineText, runSeed } from "./seeded.ts";

const worlds = [
  ["", runSeed],
  [" of a pool with instances", runEvacuation],
  [" of a pool with quorums to keep", runQuorum],
] as const;

function trace(seed: number, run = runSeed): string {
  const lines: string[] = [];
  run(seed, {}, (line) => lines.push(lineText(line)));
  return lines.join("\n");
}

test.each(worlds)("a seed%s gives the same trace, byte for byte, however often it is run", (_, run) => {
  for (let seed = 1; seed <= 60; seed++) {
    const first = trace(seed, run);
    expect(first.length).toBeGreaterThan(100);
    expect(trace(seed, run)).toBe(first);
  }
});

test.each(worlds)("another seed%s gives another trace", (_, run) => {
  expect(new Set([1, 2, 3, 4, 5, 6, 7, 8].map((seed) => trace(seed, run))).size).toBe(8);
});

test.each(worlds)("watching a world%s does not change it", (_, run) => {
  for (let seed = 1; seed <= 20; seed++) expect(run(seed)).toEqual(run(seed, {}, () => {}));
});
