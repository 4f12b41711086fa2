import { defaultPool, noQuorum } from "@slipway/controller/internals";
import { describe, expect, test } from "vitest";
import { logLine } from "../script/log.ts";
import { planFileOf, type TestHost, type TestPool } from "../testing/plans.ts";
import { readFault } from "./faults.ts";
import { readPlan } from "./plan-file.ts";
import { play, START_MS } from "./play.ts";
import { summaryOf } from "./summary.ts";

/** Quarters of minutes, of which there are enough. */
const takes = (usual: number, p95 = usual * 1.5) => [usual * 15_000, p95 * 15_000] as const;

/** Four hosts that take different times, seven instances; half full. */
const four: Readonly<Record<string, TestHost>> = {
  hv1: { gib: 24, takes: takes(10), labels: { rack: "a" }, instances: { vm1: 4, vm2: 2 } },
  hv2: { gib: 24, takes: takes(5), labels: { rack: "a" }, instances: { vm3: 8 } },
  hv3: { gib: 24, takes: takes(7), labels: { rack: "b" }, instances: { vm4: 4, vm5: 4 } },
  hv4: { gib: 24, takes: takes(12), labels: { rack: "b" }, instances: { vm6: 6, vm7: 1 } },
};

const metadata = (words: Record<string, string>, gib = 2) => ({ memoryMib: gib * 1_024, metadata: words });

const pools: Record<string, TestPool> = {
  "two at once": { hosts: four, options: { maxOut: 2 } },
  "one at a time, as they were named": {
    hosts: four,
    scope: { kind: "hosts", names: ["hv3", "hv1", "hv4"] },
    options: { order: "given" },
  },
  "some left out, and one without a Maintenance hook": {
    hosts: { ...four, hv5: { gib: 24, takes: takes(3), hooks: {}, instances: { vm8: 2 } } },
    options: { maxOut: 2, exclude: ["hv2"] },
  },
  "one of each rack": { hosts: four, options: { maxOut: 4, domainLimits: [{ label: "rack", maxHosts: 1 }] } },
  "a canary that is watched": { hosts: four, options: { maxOut: 2, canary: "hv4", bakeMs: 600_000 } },
  "an operator's word before each wave": { hosts: four, options: { maxOut: 2, approve: "each-wave" } },
  "only at night": { hosts: four, options: { maxOut: 2, window: "Mon-Sun 22:00-04:00 Europe/Paris" } },
  reboots: { hosts: four, options: { maxOut: 2, op: "reboot" } },
  "maintenance that always ends in a reboot": { hosts: four, options: { maxOut: 2, reboot: "always" } },
  "a drain": {
    hosts: four,
    scope: { kind: "hosts", names: ["hv1", "hv2"] },
    options: { op: "drain", maxOut: 2 },
  },
  "two clusters at once": {
    hosts: {
      ...four,
      hv5: { gib: 16, takes: takes(4), labels: { cluster: "c2" }, instances: { vm8: 2 } },
      hv6: { gib: 16, takes: takes(9), labels: { cluster: "c2" }, instances: { vm9: 4 } },
    },
    options: { maxOut: 2, maxClusters: 2 },
  },
  "instances that stop with their hosts, or stay": {
    hosts: {
      hv1: { gib: 16, takes: takes(5), instances: { vm1: metadata({ policy: "shutdown-restart" }), vm2: 2 } },
      hv2: { gib: 16, takes: takes(5), instances: { vm3: metadata({ policy: "leave" }) } },
      hv3: { gib: 16, takes: takes(5), instances: { vm4: metadata({ policy: "managed-save" }), vm5: 4 } },
    },
  },
  "homes, and everything back": {
    hosts: four,
    options: { return: "exact", maxOut: 1 },
  },
  "only homes": {
    hosts: {
      hv1: { gib: 16, takes: takes(5), instances: { vm1: metadata({ home: "hv1" }), vm2: 2 } },
      hv2: { gib: 16, takes: takes(5), instances: { vm3: metadata({ home: "hv1" }) } },
      hv3: { gib: 16, takes: takes(5) },
    },
    options: { return: "preferred" },
  },
  "apart, together, and only where a label is": {
    hosts: {
      hv1: {
        gib: 16,
        takes: takes(5),
        labels: { ssd: "yes" },
        instances: { vm1: metadata({ apart: "dns" }), vm2: metadata({ group: "g" }) },
      },
      hv2: { gib: 16, takes: takes(6), instances: { vm3: metadata({ apart: "dns" }) } },
      hv3: {
        gib: 16,
        takes: takes(7),
        labels: { ssd: "yes" },
        instances: { vm4: metadata({ requires: "ssd" }), vm5: metadata({ apart: "dns" }) },
      },
      hv4: { gib: 16, takes: takes(8), labels: { ssd: "yes" }, instances: { vm6: metadata({ group: "g" }) } },
    },
    options: { maxOut: 2 },
  },
  "a quorum of three": {
    hosts: four,
    options: { maxOut: 3 },
    quorum: {
      ...noQuorum,
      groups: [
        { name: "etcd", needed: 2, members: ["hv1", "hv2", "hv3"].map((name) => ({ kind: "host", name })) },
        { name: "dns", needed: 1, members: ["vm1", "vm3"].map((name) => ({ kind: "instance", name })) },
      ],
    },
  },
  "room to spare, one migration at a time": {
    hosts: { ...four, hv5: { gib: 24, takes: takes(5) }, hv6: { gib: 24, takes: takes(5) } },
    options: { maxOut: 3 },
    pool: {
      ...defaultPool,
      capacity: { ...defaultPool.capacity, spareHosts: 1 },
      migration: { ...defaultPool.migration, perHost: 1, perTarget: 1 },
    },
  },
  "huge pages": {
    hosts: {
      hv1: {
        gib: 16,
        pagesGib: 8,
        takes: takes(5),
        instances: { vm1: { memoryMib: 4_096, hugepageKib: 2_048 }, vm2: 2 },
      },
      hv2: { gib: 16, pagesGib: 8, takes: takes(5), instances: { vm3: 2 } },
      hv3: { gib: 16, takes: takes(5), instances: { vm4: 2 } },
    },
  },
};

function played(pool: TestPool, faults: readonly string[] = [], seed?: number) {
  const plan = readPlan(planFileOf(pool), "plan.json");
  const lines: string[] = [];
  const run = play(plan, {
    faults: faults.map((f) => readFault(f, plan, START_MS)),
    ...(seed === undefined ? {} : { seed }),
    onLine: (line) => lines.push(logLine(line)),
  });
  return { plan, lines, ...run, summary: summaryOf(run) };
}

describe("a run without faults", () => {
  test.each(Object.entries(pools))("equals its plan: %s", (_, pool) => {
    const { summary, plan, lines } = played(pool);
    expect(plan.view.blockers).toEqual([]);
    expect(lines.filter((l) => l.includes("planned anew"))).toEqual([]);
    expect(summary).toMatchObject({
      ...{ outcome: "succeeded", success: true, planDifferences: [], deviations: [] },
      ...{ blockers: [], violations: [], faultsUnmet: [] },
    });
    const { plannedMs, simulatedMs } = summary.duration;
    // What planners do not count: messages, the gate, and that agents look at their hypervisors now and then.
    expect(simulatedMs).toBeGreaterThan(plannedMs * 0.95);
    expect(simulatedMs).toBeLessThan(plannedMs * 1.15 + 20_000);
  });
});

const two: TestPool = { hosts: four, options: { maxOut: 2 } };

describe("a run with faults", () => {
  test("of a hook that fails waits for an operator, and says what could be done", () => {
    const { summary } = played(two, ["hv2: Maintenance fails"]);
    expect(summary).toMatchObject({ outcome: "waiting", success: false, violations: [] });
    expect(summary.details).toMatch(/hv2 failed.*slipway run (retry|resume|skip)/);
    expect(summary.hosts.find((h) => h.host === "hv2")).toMatchObject({ outcome: "failed" });
    expect(summary.deviations.length).toBeGreaterThan(0);
  });

  test.each([
    ["hv2: agent dies for 30s @Maintenance"],
    ["hv2: network cut for 1m @drain"],
    ["controller: dies for 20s @Maintenance of hv2"],
    ["controller: dies for 84s @0s"],
    ["vm7: moves take 10x"],
  ])("that Slipway lives through ends well: %s", (fault) => {
    const { summary, lines } = played(two, [fault]);
    expect(lines.filter((l) => l.includes(`fault: ${fault}`))).toHaveLength(1);
    expect(summary).toMatchObject({ outcome: "succeeded", success: true, violations: [], faultsUnmet: [] });
  });

  test("that changes the pool is planned anew, and what came is moved too", () => {
    const last = readPlan(planFileOf(two), "p").schedule.turns.at(-1)?.host ?? "";
    const { summary, lines } = played(two, [`new1 starts on ${last} with 4 GiB @1m`]);
    expect(lines.filter((l) => l.includes(`planned anew (new1 runs on ${last} now)`))).toHaveLength(1);
    expect(summary).toMatchObject({ outcome: "succeeded", violations: [] });
    expect(summary.moves.made).toBeGreaterThan(summary.moves.planned);
    expect(summary.instances[last]).not.toContain("new1");
    expect(summary.deviations.join()).toMatch(new RegExp(`new1 ${last} -> \\w+ was not planned`));
  });

  test("a member of a group that is down keeps others in until it is back", () => {
    const members = ["hv1", "hv2", "hv3"].map((name) => ({ kind: "host" as const, name }));
    const quorum = { ...noQuorum, groups: [{ name: "etcd", needed: 2, members }] };
    const { summary, lines } = played({ hosts: four, options: { maxOut: 1 }, quorum }, ["hv3: down for 20m @1s"]);
    expect(lines.some((l) => /holds: .*(etcd|hv3)/.test(l))).toBe(true);
    expect(summary).toMatchObject({ violations: [] });
    expect(summary.duration.simulatedMs).toBeGreaterThan(20 * 60_000);
  });

  test("whose moment never comes is named", () => {
    const { summary } = played(two, ["hv2: Maintenance fails", "hv4: power cut @Maintenance"]);
    expect(summary.faultsUnmet).toEqual(["hv4: power cut @Maintenance"]);
  });

  test("of hosts that are gone for good breaks no rule", () => {
    const { summary } = played(two, ["hv4: down @gate of hv2", "hv2: agent dies for 50s @129s"]);
    expect(summary).toMatchObject({ success: false, violations: [] });
  });

  test("of a reboot from which a host does not return has it failed", () => {
    const { summary } = played({ hosts: four, options: { op: "reboot" } }, ["hv1: does not return"]);
    expect(summary.hosts.find((h) => h.host === "hv1")).toMatchObject({ outcome: "failed" });
    expect(summary).toMatchObject({ success: false, violations: [] });
  });
});

describe("a simulation", () => {
  const faults = ["hv2: power cut @Maintenance", "vm7: moves fail @1m"];
  test("is the same for equal input and seed, down to the line", () => {
    expect(played(two, faults, 7).lines).toEqual(played(two, faults, 7).lines);
    expect(played(two, faults, 7).lines).not.toEqual(played(two, faults, 8).lines);
  });

  test("with a seed takes other times and does what is planned all the same", () => {
    const times = [1, 2, 3].map((seed) => {
      const { summary } = played(two, [], seed);
      expect(summary).toMatchObject({ outcome: "succeeded", violations: [] });
      return summary.duration.simulatedMs;
    });
    expect(new Set(times).size).toBe(3);
  });

  test("goes by the plan and says in what the simulated controller would have planned otherwise", () => {
    const text = JSON.parse(planFileOf(two));
    const plan = readPlan(JSON.stringify(text), "p");
    const [first, second] = plan.schedule.turns;
    const move = plan.schedule.moves.find((m) => m.from === first?.host);
    if (!first || !second || !move) throw new Error("no turns");
    const other = Object.keys(four).find((h) => ![first.host, second.host, move.to].includes(h)) ?? "";
    move.to = other;
    const run = play(plan, { faults: [] });
    expect(run.differences).toContainEqual(`the plan has the move ${move.name} ${move.from} -> ${other}`);
    expect(summaryOf(run).success).toBe(true);
    expect(summaryOf(run).deviations.filter((d) => d.includes(`${move.name} ${move.from} ->`))).toEqual([]);
  });
});
