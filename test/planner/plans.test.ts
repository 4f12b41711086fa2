import { Random } from "@slipway/simulator/random";
import { expect, test } from "vitest";
import { planRolling, playPlan, type RollingPlan } from "../../packages/controller/src/planner/rolling/index.ts";
import { violationsOf } from "./checker.ts";
import { truthOf } from "./exhaustive.ts";
import { randomPuzzle } from "./random-pool.ts";
import { smallPuzzle } from "./small-pool.ts";

/** SLIPWAY_PLANS=from-to chooses other random pools; a hundred thousand take about a quarter of an hour. */
const [from = 1, to = 2_000] = (process.env["SLIPWAY_PLANS"] ?? "").split("-").filter(Boolean).map(Number);
/** Small pools for exhaustive search, and the arrangements of one that are looked at before it is left out. */
const SMALL = 500;
const MOST = 4_000;

test("no random pool gets a plan that breaks a rule, at any moment", () => {
  let feasible = 0;
  for (let seed = from; seed <= to; seed++) {
    const { snapshot, options } = randomPuzzle(seed);
    const result = planRolling(snapshot, options);
    if (!result.feasible) {
      expect(result.reasons.length, `seed ${seed}`).toBeGreaterThan(0);
      continue;
    }
    feasible++;
    expect(violationsOf(snapshot, options, result), `seed ${seed}`).toEqual([]);
    expect(result.moves.length, `seed ${seed}: moves`).toBeGreaterThanOrEqual(result.bounds.moves);
    expect(result.waves.length, `seed ${seed}: waves`).toBeGreaterThanOrEqual(result.bounds.waves);
    expect(result.makespanMs, `seed ${seed}: makespan`).toBeGreaterThanOrEqual(result.bounds.makespanMs - 1e-6);
  }
  expect(feasible).toBeGreaterThan((to - from) / 2);
});

test("room made for hosts that stay in is not made on the host that goes", () => {
  const { snapshot, options } = randomPuzzle(53160);
  const result = planRolling(snapshot, options);
  expect(result.feasible && violationsOf(snapshot, options, result)).toEqual([]);
});

test("equal input gives the equal plan, whatever was planned before", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const one = randomPuzzle(seed);
    const first = planRolling(one.snapshot, one.options);
    const two = randomPuzzle(seed + 1);
    planRolling(two.snapshot, two.options);
    const again = randomPuzzle(seed);
    expect(planRolling(again.snapshot, again.options)).toEqual(first);
  }
});

test("beside exhaustive search: the same verdicts, few moves more, hardly longer", () => {
  const moves: number[] = [];
  const makespans: number[] = [];
  let judged = 0;
  let hopeless = 0;
  for (let seed = 1; seed <= SMALL; seed++) {
    const { snapshot, options } = smallPuzzle(seed, "waves");
    const truth = truthOf(snapshot, options, MOST);
    if (!truth) continue;
    judged++;
    const quick = planRolling(snapshot, options);
    const frugal = planRolling(snapshot, { ...options, mode: "moves" });
    expect([quick.feasible, frugal.feasible], `seed ${seed}`).toEqual([truth.feasible, truth.feasible]);
    if (!quick.feasible || !frugal.feasible) {
      hopeless++;
      expect([!quick.feasible && quick.proven, !frugal.feasible && frugal.proven], `seed ${seed}`).toEqual([
        true,
        true,
      ]);
      continue;
    }
    if (truth.waves) makespans.push(quick.makespanMs / (truth.waves * 600_000));
    if (truth.moves) moves.push(frugal.moves.length / truth.moves);
  }
  expect(judged).toBeGreaterThan(SMALL / 2);
  expect(hopeless).toBeGreaterThan(20);
  for (const ratios of [moves, makespans]) {
    expect(ratios.reduce((a, b) => a + b, 0) / ratios.length).toBeLessThanOrEqual(1.1);
    expect(Math.max(...ratios)).toBeLessThanOrEqual(1.5);
  }
});

/** A plan for the mutants below: four hosts, three instances each, an anti-affinity set and a quorum group. */
function plain(): {
  snapshot: Parameters<typeof planRolling>[0];
  options: Parameters<typeof planRolling>[1];
  plan: RollingPlan;
} {
  const hosts = [0, 1, 2, 3].map((h) => ({
    name: `h${h}`,
    memoryMiB: 64,
    vcpus: 16,
    labels: {},
    durationMs: 60_000,
    state: "in-scope" as const,
  }));
  const instances = hosts.flatMap((host, h) =>
    [0, 1, 2].map((k) => ({
      name: `vm${h}${k}`,
      host: host.name,
      memoryMiB: 12,
      vcpus: 1,
      movability: "live" as const,
      migrateMs: 1_000,
      ...(k === 0 && h < 3 ? { antiAffinity: ["set"] } : {}),
    })),
  );
  const snapshot = { hosts, instances, quorumGroups: [{ name: "etcd", members: ["h0", "h1", "h2"], minUp: 2 }] };
  const options = { mode: "waves" as const };
  const plan = planRolling(snapshot, options);
  if (!plan.feasible) throw new Error("there is a plan");
  return { snapshot, options, plan };
}

test("the checker accepts a good plan and catches what is wrong with bad ones", () => {
  const { snapshot, options, plan } = plain();
  expect(violationsOf(snapshot, options, plan)).toEqual([]);
  const [first] = plan.moves;
  if (!first) throw new Error("there are moves");
  const bad: [string, RollingPlan, RegExp][] = [
    ["a move left out", { ...plan, moves: plan.moves.slice(1) }, /is left on|it is on/],
    ["a host left out", { ...plan, waves: plan.waves.slice(1) }, /every host in scope/],
    [
      "all hosts at once",
      { ...plan, waves: [plan.waves.flat()], turns: plan.turns.map((t) => ({ ...t, wave: 0 })) },
      /quorum group etcd/,
    ],
    [
      "everything onto one host",
      { ...plan, moves: plan.moves.map((m) => ({ ...m, to: "h3" })) },
      /memory short|of set is there/,
    ],
    ["turns that overlap", { ...plan, turns: plan.turns.map((t) => ({ ...t, startMs: 0 })) }, /quorum group etcd/],
    [
      "moves at the same time",
      { ...plan, moves: plan.moves.map((m) => ({ ...m, startMs: 0 })) },
      /too many migrations|moving already/,
    ],
    ["back too early", { ...plan, turns: plan.turns.map((t) => ({ ...t, backMs: t.outMs })) }, /back too early/],
    ["a makespan that is wished for", { ...plan, makespanMs: 1 }, /but it ends at/],
  ];
  for (const [what, mutant, finding] of bad)
    expect(violationsOf(snapshot, options, mutant).join("\n"), what).toMatch(finding);
});

test("without barriers no plan is longer than with them, however long hosts and moves really take", () => {
  let shorter = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const { snapshot, options } = randomPuzzle(seed);
    const plan = planRolling(snapshot, options);
    if (!plan.feasible) continue;
    const random = new Random(seed);
    const away = new Map(snapshot.hosts.map((h) => [h.name, h.durationMs * (0.2 + 3 * random.next())]));
    const moves = new Map(snapshot.instances.map((it) => [it.name, it.migrateMs * (0.2 + 5 * random.next())]));
    const actual = { awayMs: (name: string) => away.get(name) ?? 0, migrateMs: (name: string) => moves.get(name) ?? 0 };
    const { rollingMs, barriersMs } = playPlan(snapshot, options, plan, actual);
    expect(rollingMs, `seed ${seed}`).toBeLessThanOrEqual(barriersMs + 1e-6);
    if (rollingMs < barriersMs - 1) shorter++;
  }
  expect(shorter).toBeGreaterThan(30);
});

test("random, unequal durations: at least twice as fast as one by one where three hosts can be out", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const hosts = Array.from({ length: random.int(9, 24) }, (_, h) => ({
      name: `h${h}`,
      memoryMiB: 64,
      vcpus: 32,
      labels: {},
      durationMs: random.int(100, 1_000) * 1_000,
      state: "in-scope" as const,
    }));
    // Three hosts' worth of room, and a little for what does not divide.
    const fill = (hosts.length - 3.5) / hosts.length;
    const instances = hosts.flatMap((h) =>
      Array.from({ length: Math.floor(16 * fill) }, (_, k) => ({
        name: `${h.name}-${k}`,
        host: h.name,
        memoryMiB: 4,
        vcpus: 1,
        movability: "live" as const,
        migrateMs: random.int(1, 5) * 1_000,
      })),
    );
    const plan = planRolling({ hosts, instances }, { mode: "waves" });
    if (!plan.feasible) throw new Error(`seed ${seed}: there is a plan`);
    expect(violationsOf({ hosts, instances }, { mode: "waves" }, plan)).toEqual([]);
    const oneByOne =
      hosts.reduce((sum, h) => sum + h.durationMs, 0) + instances.reduce((sum, it) => sum + it.migrateMs, 0);
    expect(plan.makespanMs, `seed ${seed}, ${hosts.length} hosts, ${plan.waves.length} waves`).toBeLessThanOrEqual(
      oneByOne / 2,
    );
  }
});

test("with a bound asked for, hosts end no fuller than that above the mean", () => {
  const hosts = Array.from({ length: 12 }, (_, h) => ({
    name: `h${h}`,
    memoryMiB: 64,
    vcpus: 32,
    labels: {},
    durationMs: 60_000,
    state: "in-scope" as const,
  }));
  const instances = hosts.flatMap((h) =>
    [0, 1, 2, 3, 4, 5, 6, 7].map((k) => ({
      name: `${h.name}-${k}`,
      host: h.name,
      memoryMiB: 4,
      vcpus: 1,
      movability: "live" as const,
      migrateMs: 1_000,
    })),
  );
  const uneven = planRolling({ hosts, instances }, { mode: "moves" });
  const even = planRolling({ hosts, instances }, { mode: "moves", balance: 0.1 });
  if (!uneven.feasible || !even.feasible) throw new Error("there are plans");
  expect(violationsOf({ hosts, instances }, { mode: "moves", balance: 0.1 }, even)).toEqual([]);
  expect(uneven.balance.most).toBeGreaterThan(0.6);
  expect(even.balance.most).toBeLessThanOrEqual(0.6);
  expect(even.moves.filter((move) => move.kind === "level").length).toBe(even.moves.length - uneven.moves.length);
});
