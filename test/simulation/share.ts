import { expect } from "vitest";
import { runEvacuation } from "./evacuation.ts";
import { runQuorum } from "./quorum.ts";
import { failureText, runSeed } from "./seeded.ts";

/** `SLIPWAY_SEEDS=from-to` narrows or repeats; the default is what every commit is tested with. */
export function seedRange(count = 10_000): { from: number; to: number } {
  const [from = 1, to = from] = (process.env["SLIPWAY_SEEDS"] ?? `1-${count}`).split("-").map(Number);
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || to < from)
    throw new Error("SLIPWAY_SEEDS: give a range such as 1-10000");
  return { from, to };
}

/** Runs every seed of the range that falls to this file, and fails with the trace of the first that breaks an invariant. */
export function runShare(part: number, parts: number): void {
  share(runSeed, "seeds-*.test.ts", part, parts);
}

/** The same for pools with instances. */
export function evacuateShare(part: number, parts: number): void {
  share(runEvacuation, "evacuation-*.test.ts", part, parts);
}

/** Pools with replicated systems and services: these worlds are busier, and there are fewer of them. */
export function quorumShare(part: number, parts: number): void {
  share(runQuorum, "quorum-*.test.ts", part, parts, 1_000);
}

function share(run: typeof runSeed, files: string, part: number, parts: number, count?: number): void {
  const { from, to } = seedRange(count);
  const tally: Record<string, number> = {};
  let runs = 0;
  for (let seed = from; seed <= to; seed++) {
    if (seed % parts !== part) continue;
    const result = run(seed);
    if (result.violations.length > 0) expect.fail(failureText(run, seed, files));
    runs += result.outcomes.length;
    for (const outcome of result.outcomes) tally[outcome] = (tally[outcome] ?? 0) + 1;
  }
  // A world in which every run ends in the same way tests nothing.
  if (runs > 500)
    for (const outcome of ["succeeded", "failed", "aborted"]) expect(tally[outcome] ?? 0).toBeGreaterThan(0);
}
