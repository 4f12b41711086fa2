import { describe, expect, test } from "vitest";
import { mutants } from "./mutants.ts";
import { runSeed } from "./seeded.ts";

/** A mutant that needs more worlds than this to be caught shows a hole in the simulation. */
const SEEDS = 1_000;

describe("a simulation catches it when", () => {
  test.each(mutants)("$name", ({ variant, caught }) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violations } = runSeed(seed, variant);
      const first = violations[0];
      if (first === undefined) continue;
      expect(first).toMatch(caught);
      return;
    }
    expect.fail(`not within ${SEEDS} seeds`);
  });
});
