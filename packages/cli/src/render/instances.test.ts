import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { operatorWire } from "@slipway/shared/wire";
import { expect, test } from "vitest";
import { renderInstance, renderInstances } from "./instances.ts";
import { renderPlan } from "./plan.ts";
import { renderPool } from "./pool.ts";
import { renderRebalance } from "./rebalance.ts";
import { renderReport } from "./report.ts";
import { renderHost, renderLedger } from "./tables.ts";
import { plainPaint, width } from "./text.ts";
import { progressKey, type RunPicture, renderTree } from "./tree.ts";

// Times are shown in the local zone, so the golden files need a fixed one.
process.env["TZ"] = "UTC";
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const ago = (ms: number) => BigInt(NOW - ms);
const text = (lines: string[]) => `${lines.join("\n")}\n`;
const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

/** A whole message: what is not given has the wire's default. */
function message<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>) {
  return create(schema, init);
}

const facts = {
  uuid: uuid(1),
  name: "db-1",
  state: "running",
  vcpus: 4,
  memoryMib: 6144,
  memoryMaxMib: 8192,
  disks: [
    {
      target: "vda",
      kind: "file",
      device: "disk",
      source: "/vm/db-1.qcow2",
      pool: "vm",
      sharedAs: "netfs nas:/vm",
      sizeMib: 40_960,
    },
    { target: "vdb", kind: "block", device: "disk", source: "/dev/nvme0n1", sizeMib: 1_048_576 },
    { target: "sda", device: "cdrom", readonly: true },
  ],
  devices: [{ kind: "pci", name: "0000:3b:00.0" }],
  nics: [{ kind: "bridge", source: "br0" }],
  cpuMode: "custom",
  cpuModel: "Haswell-noTSX",
  cpuFeatures: ["avx2"],
  machineType: "pc-q35-7.2",
  virtType: "kvm",
  persistent: true,
  autostart: true,
  guestAgent: true,
  generation: 3,
};

test("instances: one a line, what is not known beneath", async () => {
  const response = message(operatorWire.ListInstancesResponseSchema, {
    instances: [
      { host: "hv1", facts, policy: "shutdown-restart", readAtMs: ago(3_000), fresh: true, run: "4f2a" },
      {
        host: "hv2",
        facts: { ...facts, name: "web-2", memoryMib: 512, job: "migrating-out" },
        policy: "migrate",
        readAtMs: ago(3_000),
        fresh: true,
      },
      { host: "hv3", facts: { ...facts, name: "old", state: "shutoff" }, policy: "leave", readAtMs: ago(3_600_000) },
    ],
    unknown: [
      {
        rule: "x",
        subject: "hv3",
        text: "hv3 is not connected, so what runs there is not known",
        fix: "start slipway-agent on hv3",
      },
    ],
  });
  await expect(text(renderInstances(response, NOW, plainPaint))).toMatchFileSnapshot("golden/instances.txt");
  expect(renderInstances(message(operatorWire.ListInstancesResponseSchema, {}), NOW, plainPaint)).toEqual([
    "no instance",
  ]);
});

test("an instance: facts, the operator's words with who said them, where it could go and why not", async () => {
  const response = message(operatorWire.GetInstanceResponseSchema, {
    instance: {
      ...{ host: "hv1", cluster: "c1", facts, policy: "shutdown-restart", readAtMs: ago(3_000), fresh: true },
      settings: [
        { name: "policy", value: "shutdown-restart", from: "pool file, match db-*" },
        { name: "home", value: "hv1", from: "metadata" },
      ],
      alsoOn: ["hv2 (shutoff)"],
    },
    targets: [
      { host: "hv2", possible: true },
      {
        host: "hv10",
        reasons: [
          { rule: "memory", subject: "hv10", text: "hv10 has 2 GiB left", fix: "" },
          {
            rule: "cpu-feature",
            subject: "hv10",
            text: "hv10 does not have avx2",
            fix: "give db-1 an older CPU model",
          },
        ],
      },
    ],
  });
  await expect(text(renderInstance(response, NOW, plainPaint))).toMatchFileSnapshot("golden/instance.txt");
});

test("a host: what it offers and how much is taken", async () => {
  const host = message(operatorWire.FleetHostSchema, {
    name: "hv1",
    connected: true,
    platform: {
      ...{ platform: "libvirt", readAtMs: ago(2_000), fresh: true, instances: 9, instancesRunning: 8 },
      ...{ memoryUsedMib: 24_576, memoryLimitMib: 65_536, vcpusUsed: 20, vcpusLimit: 64, cordonedBy: "4f2a" },
      capacity: { cpus: 16, version: "libvirt 9.0.0, QEMU 7.2.22", migrationUri: "qemu+tls://hv1/system" },
    },
  });
  const none = message(operatorWire.FleetHostSchema, {
    name: "hv2",
    platform: { platform: "none", readAtMs: ago(90_000) },
  });
  const lines = [...renderHost(host, NOW, plainPaint), "", ...renderHost(none, NOW, plainPaint)];
  await expect(text(lines)).toMatchFileSnapshot("golden/host-platform.txt");
});

test("a plan: where each instance goes, what stops and who says so, moves against the floor", async () => {
  const instance = (name: string, action: string, host = "", by = "") => ({
    uuid: uuid(9),
    name,
    action,
    host,
    by,
    memoryMib: 1536,
  });
  const many = Array.from({ length: 14 }, (_, i) => instance(`frontend-${i + 1}`, "migrate", "hv3"));
  const plan = message(operatorWire.PlanViewSchema, {
    moves: 18,
    floor: 16,
    waves: [
      {
        number: 1,
        cluster: "c1",
        hosts: [
          {
            host: "hv1",
            cluster: "c1",
            steps: ["inspect", "gate", "cordon", "drain", "Maintenance", "restore", "uncordon"],
            instances: [
              instance("web-1", "migrate", "hv2"),
              ...many,
              instance("files", "migrate-with-storage", "hv2"),
              instance("db-1", "shutdown-restart", "", "consent"),
              instance("cache", "managed-save", "", "pool file"),
              instance("monitor", "leave", "", "metadata"),
              instance("web-1", "return", "hv2"),
            ],
          },
        ],
      },
      { number: 2, cluster: "c1", hosts: [{ host: "hv2", cluster: "c1", steps: ["inspect", "gate"] }] },
    ],
    hosts: ["hv1", "hv2"],
    blockers: [
      {
        rule: "memory",
        subject: "large",
        text: "large (48 GiB) fits on no other host: hv2 has 2 GiB left",
        fix: "free 46 GiB on hv2",
      },
    ],
  });
  const lines = renderPlan(plan, "slipway start --cluster c1");
  await expect(text(lines)).toMatchFileSnapshot("golden/plan-instances.txt");
  expect(Math.max(...lines.slice(0, -5).map(width))).toBeLessThanOrEqual(100);
});

const moving = {
  ...{ uuid: uuid(2), name: "web-2", verb: "move", purpose: "drain", from: "hv1", to: "hv3", outcome: "running" },
  ...{ startedAtMs: ago(8_000), attempt: 1 },
};

test("the live tree: moves in hand beneath their host, with percent, and the counts", async () => {
  const view = message(operatorWire.RunViewSchema, {
    ...{ run: "4f2a", state: "rolling", startedAtMs: ago(72_000), scope: { clusters: ["c1"] } },
    hosts: [
      {
        ...{ name: "hv1", cluster: "c1", step: "drain", attempt: 1, stepStartedAtMs: ago(12_000), state: "draining" },
        instances: [
          moving,
          { ...moving, uuid: uuid(3), name: "mail", to: "hv10", attempt: 2, percent: 7 },
          { ...moving, uuid: uuid(4), name: "db-1", verb: "stop", to: "" },
        ],
        instancesDone: 3,
        instancesLeft: 4,
      },
      { name: "hv2", cluster: "c1" },
    ],
  });
  const progress = message(operatorWire.ProgressViewSchema, { host: "hv1", stage: `move:${uuid(2)}`, percent: 41 });
  const picture: RunPicture = {
    view,
    progress: new Map([[progressKey("hv1", progress.stage), progress]]),
    recent: [],
    notice: "",
  };
  const size = { columns: 99, now: NOW, paint: plainPaint, unicode: true };
  const tree = (rows: number) => renderTree(picture, { ...size, rows });
  await expect(text(tree(20))).toMatchFileSnapshot("golden/tree-moves.txt");
  // In a small terminal the hosts come first.
  expect(tree(5).filter((l) => l.includes("hv2"))).toHaveLength(1);
  expect(tree(5).at(-2)).toMatch(/and 3 more|web-2/);
  for (const rows of [1, 2, 3, 4, 6, 7]) expect(tree(rows).length).toBeLessThanOrEqual(rows);
});

test("a report: what became of instances, and what did not go as wanted", async () => {
  const report = message(operatorWire.ReportSchema, {
    ...{ run: "4f2a", outcome: "succeeded", startedAt: "2026-01-02T03:00:00Z", endedAt: "2026-01-02T03:04:00Z" },
    hosts: [
      {
        name: "hv1",
        outcome: "updated",
        instances: [
          { ...moving, outcome: "moved", durationMs: 14_000n, downtimeMs: 85, attempt: 2 },
          { ...moving, name: "db-1", verb: "stop", to: "", outcome: "stopped", durationMs: 3_000n },
          { ...moving, name: "db-1", verb: "start", purpose: "restore", to: "", outcome: "started", durationMs: 900n },
          { ...moving, purpose: "return", from: "hv3", to: "hv1", outcome: "failed", reason: "hv1 has 1 GiB left" },
        ],
        notes: [
          {
            rule: "return-failed",
            subject: "web-2",
            text: "web-2 could not return to hv1",
            fix: "slipway instance move web-2 --to hv1",
          },
        ],
      },
    ],
  });
  await expect(text(renderReport(report, NOW))).toMatchFileSnapshot("golden/report-instances.txt");
});

test("a long reason stands beneath the table, once and wrapped", () => {
  const reason = `big fits on none of hv2: hv2 has 15 GiB left; free 43 GiB on hv2, ${"consent to stop it, ".repeat(5)}or leave hv1 out`;
  const report = message(operatorWire.ReportSchema, {
    ...{ run: "4f2a", outcome: "failed", details: `hv1: ${reason} (1 failed)` },
    hosts: [{ name: "hv1", outcome: "failed", reason }],
  });
  const lines = renderReport(report, NOW, plainPaint, 80);
  expect(lines.join(" ").match(/big fits/g)).toHaveLength(1);
  expect(lines).toEqual(expect.arrayContaining([expect.stringMatching(/^hv1 +failed +- +see below$/), "hv1 failed"]));
  expect(Math.max(...lines.map(width))).toBeLessThanOrEqual(80);
  expect(renderReport(report, NOW)).toContain(`  ${reason}`);
});

test("the ledger names the instance", async () => {
  const entry = {
    ...{ id: "1", run: "4f2a", host: "hv1", change: "stop", undo: "start", openedAtMs: ago(60_000) },
    ...{ kind: "instance", instance: "db-1", uuid: uuid(1) },
  };
  const { entries } = message(operatorWire.ListLedgerResponseSchema, { entries: [entry] });
  expect(renderLedger(entries, NOW, plainPaint)[1]).toMatch(/^hv1 +stop db-1 +4f2a .* slipway restore hv1/);
});

test("a rebalance: the moves, the weights before and after, what stays", async () => {
  const plan = message(operatorWire.PlanRebalanceResponseSchema, {
    moves: [{ uuid: uuid(1), name: "web-2", from: "hv1", to: "hv10", weight: 1024, memoryMib: 1024 }],
    hosts: [
      { host: "hv1", before: 4096, after: 3072 },
      { host: "hv10", before: 0, after: 1024 },
    ],
    spreadBefore: 2,
    spreadAfter: 1,
    leftOut: ["hv3"],
    refused: [{ rule: "policy", subject: "db-1", text: "db-1 stays: its policy is leave", fix: "" }],
  });
  await expect(text(renderRebalance(plan, "c1", plainPaint))).toMatchFileSnapshot("golden/rebalance.txt");
});

test("a pool file: as it is, with who applied it on a terminal only, and without control characters", () => {
  const response = message(operatorWire.GetPoolResponseSchema, {
    text: "capacity:\n  cpuOvercommit: 2 # \x1b[31mred\n",
    history: [{ number: 3, who: "alice", file: "pool.yaml", atMs: ago(120_000) }],
  });
  expect(renderPool(response, NOW, plainPaint, false)).toEqual(["capacity:", "  cpuOvercommit: 2 # [31mred"]);
  expect(renderPool(response, NOW, plainPaint, true)[0]).toBe("# version 3, pool.yaml, applied 2m ago by alice");
  expect(renderPool(message(operatorWire.GetPoolResponseSchema, {}), NOW, plainPaint, true)).toEqual([
    "# no pool file was applied: everything has its default",
  ]);
});
