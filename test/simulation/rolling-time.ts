import { plainHost, plainInstance } from "@slipway/agent";
import type { Plan } from "@slipway/controller";
import { type HostScript, ScriptedChance, uuidOf, World } from "@slipway/simulator";
import { Random } from "@slipway/simulator/random";

/** Hosts with instances, and how long each really takes. */
export interface Pool {
  readonly hosts: readonly HostScript[];
  /** What the hosts took in earlier runs. */
  readonly usualMs: ReadonlyMap<string, number>;
  readonly guests: readonly { readonly host: string; readonly name: string; readonly memoryMib: number }[];
}

/**
 * A pool of `least` to `most` hosts that can spare three at any time: at most half full, and of a size. What hosts took before differs by
 * up to four times, and what they take now from that by a third.
 */
export function drawn(seed: number, least: number, most: number): Pool {
  const random = new Random(seed);
  const names = Array.from({ length: random.int(least, most) }, (_, i) => `hv${i + 1}`);
  const usualMs = new Map(names.map((name) => [name, random.int(24_000, 96_000)]));
  const hosts = names.map((name): HostScript => {
    const plain = plainHost(name);
    const capacity = { ...plain.capacity, memoryMib: 16_384, cpus: 64 };
    const durationMs = Math.round(((usualMs.get(name) ?? 0) * random.int(67, 133)) / 100);
    return {
      ...{ name, labels: { cluster: "c1" }, bootMs: 30_000 },
      hooks: { Maintenance: [{ durationMs, exit: 0 }] },
      hypervisor: { capacity, timing: { ...plain.timing, perGibMs: 200 } },
    };
  });
  const guests = names.flatMap((host, h) =>
    Array.from({ length: random.int(0, 2) }, (_, i) => ({
      ...{ host, name: `vm${h * 4 + i + 1}`, memoryMib: 1_024 * random.pick([1, 2, 2]) },
    })),
  );
  return { hosts, usualMs, guests };
}

function worldOf({ hosts, usualMs, guests }: Pool): World {
  const timing = { agentTickMs: 2_000, controllerTickMs: 10_000, throughBytes: false, heartbeatMs: 30_000 };
  const world = new World(hosts, new ScriptedChance(), timing);
  world.disk.history = [...usualMs].flatMap(([host, ms]) =>
    [1, 2].flatMap((gib) => {
      const of = { host, cluster: "c1" };
      const move = { ...of, kind: "migration" as const, ms: 2_000 + 200 * gib, mib: 1_024 * gib };
      return [0, 1, 2].flatMap(() => [{ ...of, kind: "away" as const, ms }, move]);
    }),
  );
  for (const { host, name, memoryMib } of guests)
    world.place(host, { ...plainInstance(uuidOf(name), name), memoryMib });
  world.start();
  world.run(10_000, () => world.now >= 5_000);
  return world;
}

/** With so many hosts out at once. */
export function planned(pool: Pool, maxOut: number): Plan {
  const scope = { kind: "clusters", names: ["c1"] } as const;
  const plan = worldOf(pool).controller.plan(scope, { maxOut, return: "none", order: "free", pingIntervalMs: 10_000 });
  if (plan?.schedule === undefined || plan.blockers.length > 0) throw new Error("there is no plan");
  return plan;
}

/** How long the run of this plan takes, from its start to its end. */
export function executedMs(pool: Pool, plan: Plan): number {
  const world = worldOf(pool);
  world.controller.startPlanned("r1", plan, "alice");
  world.run(6 * 3_600_000, () => world.disk.runs.get("r1")?.state === "ended");
  const run = world.disk.runs.get("r1");
  if (run?.outcome !== "succeeded" || world.violations.length > 0)
    throw new Error(`the run ${run?.outcome ?? "hangs"}: ${run?.details} ${world.violations.join("; ")}`);
  return (run.endedAt ?? 0) - run.startedAt;
}

/** The same plan with barriers: every host goes when all of the waves before it are back. */
export function barrierMs(pool: Pool, plan: Plan): number {
  const { schedule } = plan;
  if (schedule === undefined) throw new Error("there is no schedule");
  const turns = schedule.turns.map((t) => {
    const before = schedule.turns.filter((o) => o.wave < t.wave).map((o) => o.host);
    return { ...t, after: before };
  });
  return executedMs(pool, { ...plan, schedule: { ...schedule, turns } });
}
