import { describe, expect, test } from "vitest";
import { runEvacuation } from "./evacuation.ts";
import { evacuationMutants } from "./evacuation-mutants.ts";

/** A mutant that needs more worlds than this to be caught shows a hole in the simulation. */
const SEEDS = 600;

describe("a simulated evacuation catches it when", () => {
  test.each(evacuationMutants)("$name", ({ variant, caught }) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const first = runEvacuation(seed, variant).violations[0];
      if (first === undefined) continue;
      expect(first).toMatch(caught);
      return;
    }
    expect.fail(`not within ${SEEDS} seeds`);
  });
});
