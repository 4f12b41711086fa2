import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { LivePlan, type PoolSnapshot, planRolling } from "../../packages/controller/src/planner/rolling/index.ts";
import { violationsOf } from "../../test/planner/checker.ts";
import { alternate, type BenchOptions } from "../kit/bench.ts";
import { atMost, compared, type Figure } from "../kit/figures.ts";
import type { Scratch } from "../kit/scratch.ts";
import { median } from "../kit/stats.ts";
import { hroller } from "./peers.ts";
import { plot } from "./plot.ts";
import { ganetiText, poolOf } from "./pools.ts";
import { type Row, SIZES } from "./quality.ts";

type Point = readonly [number, number];

export async function speedFigures(
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
  say("replanning");
  let how = "";
  const changes = await alternate(2 * rounds, {
    full: () => timed(() => planRolling(big, { mode: "waves" })),
    started: (round) => {
      const live = new LivePlan(big, { mode: "waves" });
      const host = big.hosts[(round * 97) % big.hosts.length]?.name ?? "";
      const instance = { name: "new", host, memoryMiB: 2048, vcpus: 1, movability: "live", migrateMs: 2_000 } as const;
      return timed(() => {
        how = live.replan({ kind: "instance-started", instance }).how;
      });
    },
    gone: (round) => {
      const live = new LivePlan(big, { mode: "waves" });
      const name = big.instances[(round * 977) % big.instances.length]?.name ?? "";
      return timed(() => live.replan({ kind: "instance-gone", name }));
    },
  });
  const full = { name: "full plan", values: changes.full };
  figures.push(
    compared(`replanning, an instance started (${how})`, "ms", full, changes.started, atMost(0.1)),
    compared("replanning, an instance is gone", "ms", full, changes.gone, atMost(0.1)),
  );
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

function timed(work: () => unknown): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

function violated(found: readonly string[]): void {
  if (found.length > 0) throw new Error(`the plan for 5,000 hosts is wrong: ${found[0]}`);
}
