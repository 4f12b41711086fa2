import { describe, expect, test } from "vitest";
import { barrierMs, drawn, executedMs, planned } from "./rolling-time.ts";

const SEEDS = Array.from({ length: 200 }, (_, i) => i + 1);

describe("with random, unequal durations, executed in simulation", () => {
  test("the rolling schedule is never longer than the same plan with barriers between its waves", () => {
    const longer: string[] = [];
    let gained = 0;
    for (const seed of SEEDS) {
      const pool = drawn(seed, 5, 7);
      const plan = planned(pool, 3);
      const [rolling, barriers] = [executedMs(pool, plan), barrierMs(pool, plan)];
      if (rolling > barriers) longer.push(`seed ${seed}: rolling ${rolling} ms, with barriers ${barriers} ms`);
      if (rolling < barriers * 0.98) gained++;
    }
    expect(longer).toEqual([]);
    // Barriers that cost nothing would show nothing.
    expect(gained).toBeGreaterThan(SEEDS.length / 4);
  });

  test("with three hosts out it is at least twice as short as with one host at a time", () => {
    const slow: string[] = [];
    // These take the longest to execute: every fifth. Of fewer hosts the longest turn alone may take half of the time of all.
    for (const seed of SEEDS.filter((s) => s % 5 === 0)) {
      const pool = drawn(seed, 10, 12);
      const [rolling, oneByOne] = [executedMs(pool, planned(pool, 3)), executedMs(pool, planned(pool, 1))];
      if (2 * rolling > oneByOne) slow.push(`seed ${seed}: rolling ${rolling} ms, one at a time ${oneByOne} ms`);
    }
    expect(slow).toEqual([]);
  });
});
