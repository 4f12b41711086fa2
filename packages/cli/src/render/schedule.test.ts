import { create } from "@bufbuild/protobuf";
import { operatorWire } from "@slipway/shared/wire";
import { expect, test } from "vitest";
import { renderPlan } from "./plan.ts";
import { width } from "./text.ts";

const steps = ["inspect", "gate", "cordon", "drain", "Maintenance", "restore", "uncordon"];
const instance = (name: string, to: string, action = "migrate", memoryMib = 2048) => ({
  ...{ uuid: `u-${name}`, name, action, host: to, memoryMib },
});
const turn = (host: string, wave: number, startMs: number, waitsFor = "") => ({
  ...{ host, cluster: "c1", wave, waitsFor, after: [] },
  ...{ startMs: BigInt(startMs), expectedMs: 630_000n, p95Ms: 1_260_000n },
});

const plan = {
  moves: 6,
  floor: 5,
  waves: [
    { number: 1, cluster: "c1", hosts: [{ host: "hv4", cluster: "c1", steps, instances: [instance("web-1", "hv5")] }] },
    {
      number: 2,
      cluster: "c1",
      makeRoom: [{ uuid: "u-small", name: "small", from: "hv5", to: "hv4", kind: "make-room", wave: 2 }],
      hosts: [
        {
          ...{ host: "hv10", cluster: "c1", steps },
          instances: [instance("big", "hv5", "migrate", 8192), instance("db-1", "", "shutdown-restart")],
        },
        {
          ...{ host: "hv5", cluster: "c1", steps: [...steps, "PostMaintenance"] },
          instances: Array.from({ length: 12 }, (_, i) => instance(`frontend-${i + 1}`, "hv4")),
        },
      ],
    },
    { number: 3, cluster: "c1", hosts: [{ host: "hv7", cluster: "c1", steps: ["inspect"] }] },
  ],
  skipped: [
    { host: "hv7", cluster: "c1", reason: { text: "hv7: there is no Maintenance hook on the host" } },
    { host: "hv8", cluster: "c1", reason: { text: "hv8: left out by --exclude; it keeps its instances" } },
  ],
  options: { canary: "hv4", bakeMs: 600_000n, approve: "after-canary", maxFailures: 2, window: "Sat 22:00-04:00 UTC" },
  schedule: {
    turns: [
      turn("hv4", 1, 0),
      turn("hv10", 2, 1_230_000, "hv4 to prove itself"),
      turn("hv5", 2, 1_860_000, "rack r1: at most 1 host may be out"),
    ],
    maxOut: { c1: 2, c2: 2 },
    domains: [
      { label: "rack", value: "r1", maxHosts: 1 },
      { label: "rack", value: "r2", maxHosts: 1 },
    ],
    maxClusters: 1,
    floorMoves: 5,
    floorMs: 1_200_000n,
    expectedMs: 2_490_000n,
    p95Ms: 4_980_000n,
    consentsNeeded: ["db-1"],
    turnsMeasured: 1,
    moves: [{ uuid: "u-web-1", name: "web-1", from: "hv4", to: "hv5", kind: "drain", wave: 1 }],
    balance: { meanPercent: 48, leastPercent: 12, mostPercent: 61 },
  },
};

test("a plan with a schedule: who goes when, why not sooner, where instances go", async () => {
  const lines = renderPlan(create(operatorWire.PlanViewSchema, plan), "slipway start --cluster c1");
  await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot("golden/plan-schedule.txt");
  expect(Math.max(...lines.map(width))).toBeLessThanOrEqual(100);
});

test("a plan without one says what would make one possible", () => {
  const lines = renderPlan(
    create(operatorWire.PlanViewSchema, {
      waves: [{ number: 1, cluster: "c1", hosts: [{ host: "hv1", cluster: "c1", steps: ["gate"] }] }],
      blockers: [{ rule: "no-room", subject: "hv1", text: "hv1: there is no way to empty it", fix: "" }],
      relaxations: [
        { rule: "relax-exclude", subject: "hv1", text: "it could be done without hv1", fix: "--exclude hv1" },
        { rule: "relax-add-host", subject: "c1", text: "it could be done with one more host of 8 GiB", fix: "" },
      ],
    }),
    "slipway start --cluster c1",
  );
  expect(lines.join("\n")).toContain(
    "what would make a plan possible\n  it could be done without hv1: --exclude hv1\n  it could be done with one more host of 8 GiB\n",
  );
});
