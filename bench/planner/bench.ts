import {
  type PoolSnapshot,
  planRolling,
  type RollingPlan,
} from "../../packages/controller/src/planner/rolling/index.ts";
import { violationsOf } from "../../test/planner/checker.ts";
import { randomPuzzle } from "../../test/planner/random-pool.ts";
import type { Bench } from "../kit/bench.ts";
import { atMost } from "../kit/figures.ts";
import { provideHroller } from "./peers.ts";
import { drbdFigures, FILLS, naiveFigures, qualityFigures, SIZES, sharedRows } from "./quality.ts";
import { speedFigures } from "./speed.ts";

/** Random plans checked; SLIPWAY_PLANS_CHECKED asks for another number, such as the hundred thousand of a release. */
const CHECKED = Number(process.env["SLIPWAY_PLANS_CHECKED"] ?? 2_000);

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
        `${rows.length} pools with shared storage: ${SIZES.join(", ")} hosts, 20 instances each, ${FILLS.map((u) => `${u * 100} %`).join(", ")} full, ${rounds} seeds (at most 2 from 500 hosts on), ${unequal} of them with three sizes of hosts`,
        `the checker has replayed ${plans} plans of the bench and ${feasible} of ${CHECKED} random pools (the others have no plan)`,
        "ratios of moves, makespans and groups are those of the worst pool, with best and worst in brackets; values are medians",
        "makespan: one clock for all, 600 s a host, 10 Gb/s links shared perfectly, a barrier after each wave; its floor is (fewest waves) x (600 s + the shortest drain)",
        ...violations.slice(0, 5),
      ],
    };
  },
};
