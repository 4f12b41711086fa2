import { expect, test } from "vitest";
import {
  type PoolSnapshot,
  planRolling,
  type Relaxation,
  type RollingOptions,
} from "../../packages/controller/src/planner/rolling/index.ts";
import { violationsOf } from "./checker.ts";
import { randomPuzzle } from "./random-pool.ts";

function relaxed(snapshot: PoolSnapshot, options: RollingOptions, by: Relaxation): [PoolSnapshot, RollingOptions] {
  switch (by.kind) {
    case "stop": {
      const stop = (name: string) => by.instances.includes(name);
      const instances = snapshot.instances.map((it) => (stop(it.name) ? { ...it, movability: "stop" as const } : it));
      return [{ ...snapshot, instances }, options];
    }
    case "exclude":
      return [snapshot, { ...options, exclude: [...(options.exclude ?? []), ...by.hosts] }];
    case "add-host": {
      const labels = by.cluster === "default" ? {} : { cluster: by.cluster };
      const { memoryMiB, vcpus } = by;
      const hugepagesMiB = Math.max(...snapshot.hosts.map((h) => h.hugepagesMiB ?? 0));
      const near = snapshot.hosts.find((h) => (h.labels["cluster"] ?? "default") === by.cluster);
      const spare = { name: "spare", memoryMiB, vcpus, hugepagesMiB, durationMs: 1, state: "out-of-scope" as const };
      return [{ ...snapshot, hosts: [...snapshot.hosts, { ...spare, labels: near?.labels ?? labels }] }, options];
    }
  }
}

test("where there is no plan, what is proposed makes one possible", () => {
  const kinds = new Map<string, number>();
  let hopeless = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const { snapshot, options } = randomPuzzle(seed);
    const result = planRolling(snapshot, options);
    if (result.feasible) continue;
    hopeless++;
    for (const proposal of result.relaxations) {
      // The labels that the added host must carry are those of the host that lacks room, which only the planner knows.
      if (proposal.kind === "add-host" && snapshot.instances.some((it) => it.requires)) continue;
      kinds.set(proposal.kind, (kinds.get(proposal.kind) ?? 0) + 1);
      const [pool, wishes] = relaxed(snapshot, options, proposal);
      const plan = planRolling(pool, wishes);
      expect(plan.feasible, `seed ${seed}: ${JSON.stringify(proposal)}`).toBe(true);
      if (plan.feasible) expect(violationsOf(pool, wishes, plan), `seed ${seed}`).toEqual([]);
    }
  }
  for (const kind of ["stop", "exclude", "add-host"]) expect(kinds.get(kind) ?? 0, kind).toBeGreaterThan(10);
  expect(hopeless).toBeGreaterThan(50);
});

test("the one instance in the way is named", () => {
  const hosts = ["h1", "h2", "h3"].map((name) => ({
    name,
    memoryMiB: name === "h1" ? 64 : 48,
    vcpus: 16,
    labels: {},
    durationMs: 1,
    state: "in-scope" as const,
  }));
  const vm = (name: string, host: string, memoryMiB: number) =>
    ({ name, host, memoryMiB, vcpus: 1, movability: "live", migrateMs: 1 }) as const;
  const instances = [vm("db", "h1", 60), vm("a", "h2", 2), vm("b", "h3", 2)];
  const result = planRolling({ hosts, instances: [...instances, vm("big", "h2", 20)] }, { mode: "waves" });
  expect(result).toMatchObject({ feasible: false, proven: true });
  if (result.feasible) return;
  expect(result.reasons.map((r) => r.subject)).toEqual(["db"]);
  expect(result.relaxations).toEqual([
    { kind: "stop", instances: ["db"] },
    { kind: "exclude", hosts: ["h1"] },
    { kind: "add-host", cluster: "default", memoryMiB: 64, vcpus: 16 },
  ]);
});
