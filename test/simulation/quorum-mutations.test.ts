import { describe, expect, test } from "vitest";
import { runQuorum } from "./quorum.ts";
import { quorumMutants } from "./quorum-mutants.ts";

/** A mutant that needs more worlds than this to be caught shows a hole in the simulation. */
const SEEDS = 300;

describe("a simulated pool with quorums to keep catches it when", () => {
  test.each(quorumMutants)("$name", ({ variant, caught }) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const first = runQuorum(seed, variant).violations[0];
      if (first === undefined) continue;
      expect(first).toMatch(caught);
      return;
    }
    expect.fail(`not within ${SEEDS} seeds`);
  });
});
