import {
  type PoolSnapshot,
  planRolling,
  type RollingPlan,
} from "../../packages/controller/src/planner/rolling/index.ts";
import { atMost, compared, type Figure } from "../kit/figures.ts";
import { floors, playPlan } from "./clock.ts";
import { hroller, oneByOne } from "./peers.ts";
import { type PoolKind, poolOf } from "./pools.ts";

export const SIZES = [10, 50, 100, 200, 500, 1000];
export const FILLS = [0.5, 0.7, 0.8, 0.85];

/** What one shared-storage pool gave. */
export interface Row {
  readonly kind: PoolKind;
  readonly instances: number;
  readonly wavesFloor: number;
  readonly makespanFloor: number;
  readonly waves: number | undefined;
  readonly moves: number;
  readonly makespanMs: number;
  readonly frugalMoves: number;
  readonly movesFloor: number;
  readonly peer: ReturnType<typeof hroller>;
}

export type Check = (snapshot: PoolSnapshot, mode: "waves" | "moves", plan: RollingPlan) => void;

export function sharedRows(dir: string, seeds: number, say: (text: string) => void, check: Check): Row[] {
  const rows: Row[] = [];
  for (const hosts of SIZES)
    for (const used of FILLS) {
      say(`${hosts} hosts, ${used * 100} % full`);
      for (const sizes of [1, 3] as const)
        for (let seed = 1; seed <= (hosts < 500 ? seeds : Math.min(seeds, 2)); seed++) {
          const kind = { hosts, used, seed, sizes };
          const snapshot = poolOf(kind);
          const quick = planRolling(snapshot, { mode: "waves" });
          const frugal = planRolling(snapshot, { mode: "moves" });
          if (quick.feasible) check(snapshot, "waves", quick);
          if (frugal.feasible) check(snapshot, "moves", frugal);
          const floor = floors(snapshot);
          const played = quick.feasible ? playPlan(snapshot, quick) : undefined;
          rows.push({
            kind,
            instances: snapshot.instances.length,
            wavesFloor: quick.feasible ? Math.max(floor.waves, quick.bounds.waves) : floor.waves,
            makespanFloor: floor.makespanMs,
            waves: played?.waves,
            moves: played?.moves ?? Number.NaN,
            makespanMs: played?.makespanMs ?? Number.NaN,
            frugalMoves: frugal.feasible ? frugal.moves.length : Number.NaN,
            movesFloor: quick.feasible ? quick.bounds.moves : Number.NaN,
            peer: hroller(dir, snapshot),
          });
        }
    }
  return rows;
}

/** Like `compared`, but the ratio is the worst one: what holds for plans has to hold for every pool. */
function everywhere(...args: Parameters<typeof compared>): Figure {
  const figure = compared(...args);
  return { ...figure, ratio: figure.spread?.[1] ?? Number.NaN };
}

function worst(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : Math.max(...values);
}

export function qualityFigures(rows: readonly Row[]): Figure[] {
  const planned = rows.filter((row) => row.waves !== undefined);
  const both = planned.filter((row) => row.peer !== undefined);
  const none = rows.filter((row) => row.waves === undefined);
  const figures: Figure[] = [
    {
      name: "waves more than hroller's, worst pool",
      unit: "waves",
      product: worst(both.map((row) => (row.waves ?? 0) - (row.peer?.waves ?? 0))),
      aim: atMost(0),
    },
    {
      name: "waves above the floor, worst pool",
      unit: "waves",
      product: worst(planned.map((row) => (row.waves ?? 0) - row.wavesFloor)),
      aim: atMost(1),
    },
    {
      name: "pools for which hroller has a plan and Slipway none",
      unit: "",
      product: none.filter((r) => r.peer).length,
      aim: atMost(0),
    },
    {
      name: "pools for which Slipway has no plan",
      unit: "",
      floor: { name: "hroller", value: rows.filter((r) => !r.peer).length },
      product: none.length,
    },
  ];
  for (const [used, aim] of [
    [0.5, 0.76],
    [0.7, 0.66],
    [0.8, 0.61],
  ] as const) {
    const of = both.filter((row) => row.kind.used === used && (row.waves ?? 0) <= (row.peer?.waves ?? 0));
    const name = { name: "hroller", values: of.map((row) => (row.peer?.moves ?? 0) / row.instances) };
    figures.push(
      everywhere(
        `moves an instance, ${used * 100} % full`,
        "",
        name,
        of.map((row) => row.moves / row.instances),
        atMost(aim),
      ),
    );
  }
  for (const used of FILLS) {
    const of = both.filter((row) => row.kind.used === used);
    if (of.length === 0) continue;
    const floor = { name: "hroller", values: of.map((row) => (row.peer?.makespanMs ?? 0) / 1000) };
    figures.push(
      everywhere(
        `makespan, ${used * 100} % full`,
        "s",
        floor,
        of.map((row) => row.makespanMs / 1000),
        atMost(0.9),
      ),
    );
  }
  for (const used of FILLS) {
    const of = planned.filter((row) => row.kind.used === used);
    const floor = { name: "floor", values: of.map((row) => row.makespanFloor / 1000) };
    figures.push(
      everywhere(
        `makespan, ${used * 100} % full`,
        "s",
        floor,
        of.map((row) => row.makespanMs / 1000),
        atMost(1.3),
      ),
    );
  }
  const large = planned.filter((row) => row.kind.hosts >= 100);
  const small = planned.filter((row) => row.kind.hosts < 100);
  figures.push(
    {
      name: "fewest moves an instance, worst pool of 100 hosts and more",
      unit: "",
      product: worst(large.map((r) => r.frugalMoves / r.instances)),
      aim: atMost(1.02),
    },
    everywhere(
      "fewest moves, pools of 10 and 50 hosts",
      "",
      { name: "floor", values: small.map((r) => r.movesFloor) },
      small.map((r) => r.frugalMoves),
      atMost(1.02),
    ),
  );
  return figures;
}

export function naiveFigures(): Figure[] {
  const snapshot = poolOf({ hosts: 100, used: 0.7, seed: 1 });
  const plan = planRolling(snapshot, { mode: "waves" });
  if (!plan.feasible) return [];
  const own = playPlan(snapshot, plan);
  return (["each", "end", "never"] as const).flatMap((home) => {
    const naive = oneByOne(snapshot, home);
    const name = `one by one, home ${home === "each" ? "after each" : home === "end" ? "at the end" : "never"}`;
    if (!naive) return [];
    return [
      everywhere("makespan, 100 hosts, 70 % full", "s", { name, values: [naive.makespanMs / 1000] }, [
        own.makespanMs / 1000,
      ]),
      everywhere("moves, the same", "", { name, values: [naive.moves] }, [own.moves]),
    ];
  });
}

export function drbdFigures(dir: string, seeds: number, say: (text: string) => void, check: Check): Figure[] {
  const figures: Figure[] = [];
  for (const [disks, used, sizes, aim] of [
    ["drbd-random", 0.6, [100, 200], 0.25],
    ["drbd-pairs", 0.45, [10, 50, 100, 500], 1],
    ["drbd-ring", 0.5, [10, 50, 100, 500], 1],
    ["half-drbd", 0.6, [50, 100], undefined],
  ] as const) {
    say(disks);
    const own: number[] = [];
    const peer: number[] = [];
    let refused = 0;
    for (const hosts of sizes)
      for (let seed = 1; seed <= Math.min(3, seeds); seed++) {
        const snapshot = poolOf({ hosts, used, seed, disks });
        const plan = planRolling(snapshot, { mode: "waves" });
        if (!plan.feasible) {
          if (plan.reasons.every((reason) => reason.rule === "n+1" && reason.subject !== "")) refused++;
          continue;
        }
        check(snapshot, "waves", plan);
        const other = hroller(dir, snapshot);
        if (!other) continue;
        own.push(plan.waves.length);
        peer.push(other.waves);
      }
    const suffix = refused > 0 ? ` (${refused} pools refused as not N+1)` : "";
    figures.push(
      everywhere(
        `groups, ${disks}${suffix}`,
        "",
        { name: "hroller", values: peer },
        own,
        aim === undefined ? undefined : atMost(aim),
      ),
    );
  }
  return figures;
}
