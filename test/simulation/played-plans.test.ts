import { type PlanFile, play, readFaults, readPlan, START_MS, summaryOf } from "@slipway/simulator";
import { Random } from "@slipway/simulator/random";
import { planFileOf, type TestPool } from "@slipway/simulator/testing";
import { describe, expect, test } from "vitest";

const takes = [30_000, 60_000] as const;
const hosts = {
  hv1: { gib: 24, takes, instances: { vm1: 4, vm2: 2 } },
  hv2: { gib: 24, takes, instances: { vm3: 8 } },
  hv3: { gib: 24, takes, instances: { vm4: 4, vm5: { memoryMib: 2_048, metadata: { policy: "shutdown-restart" } } } },
  hv4: { gib: 24, takes, instances: { vm6: 6 } },
};
const group = (name: string, needed: number, kind: "host" | "instance", members: readonly string[]) => ({
  ...{ name, needed },
  members: members.map((m) => ({ kind, name: m })),
});
const watched = {
  ...{ probes: [], services: [] },
  groups: [group("etcd", 2, "host", ["hv1", "hv2", "hv3"]), group("dns", 1, "instance", ["vm1", "vm3"])],
};
const options: NonNullable<TestPool["options"]>[] = [
  { maxOut: 2 },
  { maxOut: 2, reboot: "always" },
  { forced: true, maxFailures: 0 },
  { maxOut: 2, approve: "each-wave" },
];

function drawFault(random: Random, n: number): string {
  const host = () => random.pick(Object.keys(hosts));
  const instance = () => `vm${random.int(1, 6)}`;
  const time = () => `${random.int(1, 400)}s`;
  const step = () => random.pick(["gate", "drain", "Maintenance", "restore", "uncordon"]);
  const when = random.chance(0.5) ? `@${random.int(0, 200)}s` : `@${step()} of ${host()}`;
  const stage = random.pick(["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"]);
  return random.pick([
    `${host()}: ${stage} ${random.pick(["fails", "hangs"])}`,
    `${host()}: power cut ${when}`,
    `${host()}: down for ${time()} ${when}`,
    `${host()}: down ${when}`,
    `${host()}: agent dies for ${time()} ${when}`,
    `${host()}: network cut for ${time()} ${when}`,
    `${host()}: has ${random.int(1, 40)} GiB ${when}`,
    `${instance()}: moves ${random.pick(["fail", "hang", "take 9x"])} ${when}`,
    `${instance()}: down for ${time()} ${when}`,
    `new${n} starts on ${host()} with ${random.int(1, 8)} GiB ${when}`,
    `controller: dies for ${time()} ${when}`,
  ]);
}

describe("plans that are played with random faults", () => {
  test("break no rule, and end, or wait for an operator who is told for what", () => {
    const plans = options.flatMap((o): PlanFile[] =>
      [{}, { quorum: watched }].map((more) => readPlan(planFileOf({ hosts, options: o, ...more }), "plan")),
    );
    const tally = new Map<string, number>();
    const bad: string[] = [];
    for (let seed = 1; seed <= 80; seed++) {
      const random = new Random(seed);
      const plan = plans[seed % plans.length] as PlanFile;
      const texts = Array.from({ length: random.int(1, 3) }, (_, n) => drawFault(random, n + 1));
      const { outcome, details, violations } = summaryOf(
        play(plan, { faults: readFaults(texts, plan, START_MS), seed }),
      );
      tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
      if (violations.length > 0 || details.includes("nothing that is known"))
        bad.push(`seed ${seed}, ${texts.join(", ")}: ${outcome} (${details}) ${violations.join("; ")}`);
    }
    expect(bad).toEqual([]);
    for (const outcome of ["succeeded", "failed", "waiting"]) expect(tally.get(outcome) ?? 0).toBeGreaterThan(5);
  });
});
