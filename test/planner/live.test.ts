import { Random } from "@slipway/simulator/random";
import { expect, test } from "vitest";
import { LivePlan, type PoolInstance, planRolling } from "../../packages/controller/src/planner/rolling/index.ts";
import { violationsOf } from "./checker.ts";
import { randomPuzzle } from "./random-pool.ts";

test("a plan kept up with random changes never breaks a rule, and gives up only what cannot be planned", () => {
  const how = new Map<string, number>();
  for (let seed = 1; seed <= 120; seed++) {
    const { snapshot, options } = randomPuzzle(seed);
    const random = new Random(seed);
    const live = new LivePlan(snapshot, options);
    for (let change = 0; change < 4; change++) {
      const { hosts, instances } = live.snapshot;
      const isGone = random.chance(0.4) && instances.length > 0;
      const host = random.pick(hosts);
      if (!isGone && (host.state === "out" || host.state === "unavailable")) continue;
      const used = instances.filter((it) => it.host === host.name).reduce((sum, it) => sum + it.memoryMiB, 0);
      const memoryMiB = random.pick([1, 2, 4, 8]);
      if (!isGone && used + memoryMiB > host.memoryMiB - (options.reserveMiB ?? 0)) continue;
      const started: PoolInstance = {
        name: `new${change}`,
        host: host.name,
        memoryMiB,
        vcpus: 0,
        movability: "live",
        migrateMs: 1_000,
        ...(random.chance(0.2) ? { antiAffinity: ["set1"] } : {}),
      };
      if (started.antiAffinity && instances.some((it) => it.host === host.name && it.antiAffinity?.includes("set1")))
        continue;
      const replanned = live.replan(
        isGone
          ? { kind: "instance-gone", name: random.pick(instances).name }
          : { kind: "instance-started", instance: started },
      );
      how.set(replanned.how, (how.get(replanned.how) ?? 0) + 1);
      const label = `seed ${seed}, change ${change}, ${replanned.how}`;
      if (replanned.result.feasible) expect(violationsOf(live.snapshot, options, replanned.result), label).toEqual([]);
      else expect(planRolling(live.snapshot, options).feasible, label).toBe(false);
    }
  }
  expect(how.get("repaired") ?? 0).toBeGreaterThan(80);
  expect(how.get("anew") ?? 0).toBeGreaterThan(20);
});

test("a repaired plan differs from the accepted one by what changed", () => {
  const hosts = [0, 1, 2, 3].map((h) => ({
    name: `h${h}`,
    memoryMiB: 64,
    vcpus: 16,
    labels: {},
    durationMs: 60_000,
    state: "in-scope" as const,
  }));
  const vm = (name: string, host: string) =>
    ({ name, host, memoryMiB: 6, vcpus: 1, movability: "live", migrateMs: 1_000 }) as const;
  const instances = hosts.flatMap((h) => [vm(`${h.name}a`, h.name), vm(`${h.name}b`, h.name)]);
  const live = new LivePlan({ hosts, instances }, { mode: "moves" });
  const before = live.result;
  if (!before.feasible) throw new Error("there is a plan");
  const last = before.waves.at(-1)?.[0] ?? "";
  const { how, difference } = live.replan({ kind: "instance-started", instance: vm("new", last) });
  expect(how).toBe("repaired");
  expect(difference?.movesAdded.map((move) => [move.instance, move.from])).toEqual([["new", last]]);
  expect(difference).toMatchObject({ movesDropped: [], hostsShifted: [], consentsAdded: [] });
  expect(live.replan({ kind: "instance-gone", name: "new" }).difference?.movesDropped.map((m) => m.instance)).toEqual([
    "new",
  ]);
});

test("in a large pool a newcomer is worked in, and makes some that were to come to its host go elsewhere", () => {
  const hosts = Array.from({ length: 300 }, (_, h) => ({
    name: `h${h}`,
    memoryMiB: 172,
    vcpus: 64,
    labels: {},
    durationMs: 60_000,
    state: "in-scope" as const,
  }));
  const vm = (name: string, host: string, memoryMiB: number) =>
    ({ name, host, memoryMiB, vcpus: 1, movability: "live", migrateMs: 1_000 }) as const;
  const instances = hosts.flatMap((h) => Array.from({ length: 15 }, (_, i) => vm(`${h.name}-${i}`, h.name, 1 + i)));
  let [repaired, elsewhere] = [0, 0];
  const before = planRolling({ hosts, instances }, { mode: "waves" });
  if (!before.feasible) throw new Error("there is a plan");
  for (const host of before.waves.flatMap((wave) => [wave[0] ?? "", wave.at(-1) ?? ""])) {
    const live = new LivePlan({ hosts, instances }, { mode: "waves" });
    const { how, result, difference } = live.replan({ kind: "instance-started", instance: vm("new", host, 4) });
    expect(result.feasible && violationsOf(live.snapshot, { mode: "waves" }, result), host).toEqual([]);
    if (how === "anew") continue;
    repaired++;
    elsewhere += new Set(difference?.movesAdded.map((m) => m.instance).filter((name) => name !== "new")).size;
    expect(difference?.movesAdded.length, host).toBeLessThan(12);
  }
  // Where the room that is left is on hosts that go out later themselves, everything may have to be planned anew.
  expect(repaired).toBeGreaterThanOrEqual(6);
  expect(elsewhere).toBeGreaterThan(0);
});
