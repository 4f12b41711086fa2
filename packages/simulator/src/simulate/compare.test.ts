import type { Run, Schedule } from "@slipway/controller/internals";
import { describe, expect, test } from "vitest";
import { deviations, differences } from "./compare.ts";

const turn = (host: string, startMs: number, wave = 1) => ({
  ...{ host, cluster: "c1", wave, after: [], waitsFor: "", startMs, expectedMs: 600_000, p95Ms: 900_000 },
});
const move = (name: string, from: string, to: string) => ({
  ...{ uuid: `u-${name}`, name, from, to, kind: "drain" as const, wave: 1 },
});
const plan: Schedule = {
  turns: [turn("hv1", 0), turn("hv2", 10_000), turn("hv3", 600_000, 2)],
  moves: [move("vm1", "hv1", "hv3"), move("vm2", "hv2", "hv3"), move("vm3", "hv3", "hv1")],
  ...{ maxOut: { c1: 2 }, domains: [], maxClusters: 1, floorMoves: 3, floorMs: 0, consentsNeeded: [] },
  ...{ expectedMs: 1_200_000, p95Ms: 1_800_000 },
};

/** A run in which hosts began at these times, and moved these: instance, from, to. */
function ran(began: Record<string, number>, ...moves: [string, string, string][]): Run {
  const hosts = plan.turns.map(({ host, cluster, wave }) => ({
    ...{ name: host, cluster, wave, beganAt: began[host] },
    steps: began[host] === undefined ? [] : [{ step: "cordon" }],
    settled: moves
      .filter(([, from]) => from === host)
      .map(([name, from, to], t) => ({ uuid: `u-${name}`, name, from, to, outcome: "moved", t })),
  }));
  return { hosts } as unknown as Run;
}
const all: [string, string, string][] = [
  ["vm1", "hv1", "hv3"],
  ["vm2", "hv2", "hv3"],
  ["vm3", "hv3", "hv1"],
];

describe("a run that went otherwise than planned", () => {
  test("is not one that did all of it, in an order that the smallest delay may turn round", () => {
    expect(deviations(plan, ran({ hv1: 20, hv2: 10, hv3: 500_000 }, ...all))).toEqual([]);
  });
  test("has hosts that went too late, or not at all", () => {
    expect(deviations(plan, ran({ hv1: 700_000, hv2: 0, hv3: 5 }, ...all))).toEqual([
      "hv1 went after hv3, planned was before",
    ]);
    expect(deviations(plan, ran({ hv1: 0 }, ["vm1", "hv1", "hv3"]))).toEqual(["hv2, hv3 did not go out"]);
  });
  test("has other targets, moves that were not planned, and moves that were not made", () => {
    const moves: [string, string, string][] = [
      ["vm1", "hv1", "hv2"],
      ["new1", "hv2", "hv3"],
      ["vm3", "hv3", "hv1"],
    ];
    expect(deviations(plan, ran({ hv1: 0, hv2: 1, hv3: 600_000 }, ...moves))).toEqual([
      "vm1 hv1 -> hv2, planned was hv3",
      "new1 hv2 -> hv3 was not planned",
      "vm2 hv2 -> hv3 was planned and not made",
    ]);
  });
});

test("what another planner makes of a plan is told: order, waves, moves, consents, or that there is none", () => {
  const [one, two, three] = plan.turns as [never, never, never];
  const other: Schedule = {
    ...plan,
    moves: [move("vm1", "hv1", "hv2"), ...plan.moves.slice(1)],
    consentsNeeded: ["vm9"],
  };
  expect(differences(plan, plan)).toEqual([]);
  expect(differences(plan, undefined)).toEqual(["it finds no schedule"]);
  expect(differences(plan, other)).toEqual([
    "it has the move vm1 hv1 -> hv2",
    "the plan has the move vm1 hv1 -> hv3",
    "it would ask for consent to stop vm9",
  ]);
  expect(differences(other, plan)).toContain("the plan asks for consent to stop vm9");
  expect(differences(plan, { ...plan, turns: [two, one, three] })).toEqual([
    "its order is hv2, hv1, hv3, the plan's hv1, hv2, hv3",
  ]);
  expect(differences(plan, { ...plan, turns: [one, two, { ...(three as object), wave: 3 } as never] })).toEqual([
    "hv3 is in its wave 3, and in wave 2 of the plan",
  ]);
  expect(differences(plan, { ...plan, turns: [one, two, { ...(three as object), after: ["hv1"] } as never] })).toEqual([
    "hv3 goes after hv1, in the plan after none",
  ]);
});
