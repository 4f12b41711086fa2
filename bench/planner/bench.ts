import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import {
  type PoolSnapshot,
  planRolling,
  type RollingPlan,
} from "../../packages/controller/src/planner/rolling/index.ts";
import { violationsOf } from "../../test/planner/checker.ts";
import { randomPuzzle } from "../../test/planner/random-pool.ts";
import { alternate, type Bench, type BenchOptions } from "../kit/bench.ts";
import { atMost, compared, type Figure } from "../kit/figures.ts";
import type { Scratch } from "../kit/scratch.ts";
import { median } from "../kit/stats.ts";
import { floors, playPlan } from "./clock.ts";
import { hroller, oneByOne, provideHroller } from "./peers.ts";
import { plot } from "./plot.ts";
import { ganetiText, type PoolKind, poolOf } from "./pools.ts";

const SIZES = [10, 50, 100, 200, 500, 1000];
const FILLS = [0.5, 0.7, 0.8, 0.85];
/** Random plans checked; SLIPWAY_PLANS_CHECKED asks for another number, such as the hundred thousand of a release. */
const CHECKED = Number(process.env["SLIPWAY_PLANS_CHECKED"] ?? 5_000);

/** What one shared-storage pool gave. */
interface Row {
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

export const planner: Bench = {
  about: "plans for pools of 10 to 5,000 hosts beside Ganeti's hroller, naive strategies and floors",
  rounds: 5,
  async run(scratch, options) {
    const { rounds, say } = options;
    const problem = await provideHroller(say);
    if (problem !== "") return { bench: "planner", figures: [], notes: [`skipped: ${problem}`] };
    const violations: string[] = [];
    const check = (snapshot: PoolSnapshot, mode: "waves" | "moves", plan: RollingPlan) => {
      violations.push(...violationsOf(snapshot, { mode }, plan));
      plans++;
    };
    let plans = 0;
    const dir = scratch.fresh("pools");
    const rows = sharedRows(dir, rounds, say, check);
    const figures = [...qualityFigures(rows), ...naiveFigures(), ...drbdFigures(dir, rounds, say, check)];
    figures.push(...(await speedFigures(scratch, dir, rows, options)));
    say(`${CHECKED} random plans`);
    let feasible = 0;
    for (let seed = 1; seed <= CHECKED; seed++) {
      const { snapshot, options: wishes } = randomPuzzle(seed + 1_000_000);
      const plan = planRolling(snapshot, wishes);
      if (!plan.feasible) continue;
      feasible++;
      violations.push(...violationsOf(snapshot, wishes, plan));
    }
    figures.push({ name: "violations in all plans", unit: "", product: violations.length, aim: atMost(0) });
    const unequal = rows.filter((row) => row.kind.sizes === 3).length;
    return {
      bench: "planner",
      figures,
      notes: [
        `${rows.length} pools with shared storage: ${SIZES.join(", ")} hosts, 20 instances each, ${FILLS.map((u) => `${u * 100} %`).join(", ")} full, ${rounds} seeds, ${unequal} of them with three sizes of hosts`,
        `the checker has replayed ${plans} plans of the bench and ${feasible} of ${CHECKED} random pools (the others have no plan)`,
        "ratios of moves, makespans and groups are those of the worst pool, with best and worst in brackets; values are medians",
        "makespan: one clock for all, 600 s a host, 10 Gb/s links shared perfectly, a barrier after each wave; its floor is (fewest waves) x (600 s + the shortest drain)",
        ...violations.slice(0, 5),
      ],
    };
  },
};

type Point = readonly [number, number];
type Check = (snapshot: PoolSnapshot, mode: "waves" | "moves", plan: RollingPlan) => void;

function sharedRows(dir: string, seeds: number, say: (text: string) => void, check: Check): Row[] {
  const rows: Row[] = [];
  for (const hosts of SIZES)
    for (const used of FILLS) {
      say(`${hosts} hosts, ${used * 100} % full`);
      for (const sizes of [1, 3] as const)
        for (let seed = 1; seed <= seeds; seed++) {
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

function qualityFigures(rows: readonly Row[]): Figure[] {
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

function naiveFigures(): Figure[] {
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

function drbdFigures(dir: string, seeds: number, say: (text: string) => void, check: Check): Figure[] {
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

async function speedFigures(
  scratch: Scratch,
  dir: string,
  rows: readonly Row[],
  { rounds, say }: BenchOptions,
): Promise<Figure[]> {
  const program = join(scratch.fresh("program"), "plan-file.mjs");
  await build({
    entryPoints: [join(import.meta.dirname, "plan-file.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: program,
    conditions: ["@slipway/source"],
    logLevel: "warning",
  });
  const wall = (snapshot: PoolSnapshot) => {
    const file = join(dir, "own.data");
    writeFileSync(file, ganetiText(snapshot));
    const started = performance.now();
    execFileSync(process.execPath, [program, file], { maxBuffer: 256 << 20 });
    return performance.now() - started;
  };
  say("1,000 hosts, whole processes");
  const big = poolOf({ hosts: 1000, used: 0.7, seed: 1 });
  const walls = await alternate(rounds, {
    hroller: () => hroller(dir, big)?.wallMs ?? Number.NaN,
    own: () => wall(big),
  });
  const figures = [
    compared(
      "1,000 hosts, 20,000 instances, whole process",
      "ms",
      { name: "hroller", values: walls.hroller },
      walls.own,
      atMost(0.25),
    ),
  ];
  say("growth up to 5,000 hosts");
  const own: Point[] = [];
  const ratio: Point[] = [];
  const of = (hosts: number) =>
    rows.filter((row) => row.kind.used === 0.7 && row.kind.sizes === 1 && row.kind.hosts === hosts);
  for (const hosts of [100, 200, 500, 1000, 2000, 5000]) {
    const snapshot = poolOf({ hosts, used: 0.7, seed: 1 });
    const times = Array.from({ length: 3 }, () => {
      const started = performance.now();
      const plan = planRolling(snapshot, { mode: "waves" });
      const took = performance.now() - started;
      if (plan.feasible && hosts === 5000) violated(violationsOf(snapshot, { mode: "waves" }, plan));
      return took;
    });
    own.push([hosts, median(times)]);
  }
  for (const hosts of SIZES) {
    const both = of(hosts).filter((row) => row.peer);
    if (both.length > 0) ratio.push([hosts, median(both.map((row) => row.moves / (row.peer?.moves ?? 1)))]);
  }
  const peer = SIZES.flatMap((hosts): Point[] => {
    const known = of(hosts).flatMap((row) => (row.peer ? [row.peer.wallMs] : []));
    return known.length > 0 ? [[hosts, median(known)]] : [];
  });
  const first: Point = own[0] ?? [1, 1];
  const last: Point = own.at(-1) ?? [1, 1];
  const nlogn = (n: number) => n * Math.log(n);
  figures.push(
    { name: "5,000 hosts, 100,000 instances, planning alone", unit: "ms", product: last[1] },
    {
      name: "growth from 100 to 5,000 hosts, over that of n log n",
      unit: "",
      product: last[1] / first[1] / (nlogn(last[0]) / nlogn(first[0])),
      aim: atMost(1),
    },
  );
  const fewest = SIZES.map(
    (hosts): Point => [hosts, median(of(hosts).map((row) => row.frugalMoves / row.instances / 2))],
  );
  const shape = own.map(([n]): Point => [n, (first[1] * nlogn(n)) / nlogn(first[0])]);
  const results = join(import.meta.dirname, "..", "results");
  mkdirSync(results, { recursive: true });
  const svg = plot([
    {
      title: "Time to plan, shared storage, 70 % full",
      yLabel: "ms",
      isLogY: true,
      series: [
        { name: "Slipway (planning alone)", colour: "#1f77b4", points: own },
        { name: "hroller (whole process)", colour: "#d62728", points: peer },
        { name: "n log n from 100 hosts", colour: "#999999", points: shape },
      ],
    },
    {
      title: "Moves over hroller's, the same pools",
      yLabel: "ratio",
      isLogY: false,
      series: [
        { name: "fewest waves", colour: "#1f77b4", points: ratio },
        { name: "fewest moves (hroller: 2 an instance)", colour: "#2ca02c", points: fewest },
      ],
    },
  ]);
  writeFileSync(join(results, "planner.svg"), svg);
  say(`plot: ${join(results, "planner.svg")}`);
  return figures;
}

function violated(found: readonly string[]): void {
  if (found.length > 0) throw new Error(`the plan for 5,000 hosts is wrong: ${found[0]}`);
}
