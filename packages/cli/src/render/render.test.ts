import type { operatorWire } from "@slipway/shared/wire";
import { describe, expect, test } from "vitest";
import { renderPlan } from "./plan.ts";
import { renderReport } from "./report.ts";
import { renderHost, renderHosts, renderLedger, renderRun, renderRuns, renderWhy } from "./tables.ts";
import { age, ansiPaint, clean, cut, plainPaint, width } from "./text.ts";
import { type RunPicture, renderTree, tally } from "./tree.ts";

// Times are shown in the local zone, so the golden files need a fixed one.
process.env["TZ"] = "UTC";
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

const reason = (text: string, fix = "") => ({ rule: "rule", subject: "", text, fix }) as operatorWire.Reason;

function host(name: string, more: Partial<operatorWire.HostView> = {}): operatorWire.HostView {
  return {
    name,
    cluster: "c1",
    wave: 1,
    state: "waiting",
    outcome: "",
    reasonCode: "",
    reason: "",
    cordoned: false,
    step: "",
    attempt: 0,
    stepStartedAtMs: 0n,
    stages: [],
    waitsFor: [],
    instances: [],
    notes: [],
    ...more,
  } as unknown as operatorWire.HostView;
}

const stage = (name: string, more: Partial<operatorWire.StageRecord> = {}) =>
  ({
    stage: name,
    attempt: 1,
    verdict: "ok",
    exitCode: 0,
    signal: "",
    startedAt: "2026-01-02T03:00:00Z",
    endedAt: "2026-01-02T03:01:03Z",
    durationMs: 63_000n,
    reason: "",
    output: "",
    ...more,
  }) as unknown as operatorWire.StageRecord;

const hosts = [
  host("hv1", { outcome: "updated", state: "done", stages: [stage("Maintenance")] }),
  host("hv2", { step: "Maintenance", state: "Maintenance", attempt: 2, stepStartedAtMs: BigInt(NOW - 12_000) }),
  host("hv10", { waitsFor: [reason("hv2 is out, at most 1 of cluster c1 may be")] }),
  host("hv3", {
    cluster: "c2",
    outcome: "failed",
    reason: "Maintenance: exit status 3",
    cordoned: true,
    stages: [stage("Maintenance", { verdict: "failed", exitCode: 3, output: "one\ntwo\x1b[2J\n" })],
  }),
  host("hv4", { cluster: "c2", outcome: "skipped", reason: "needs no maintenance" }),
  host("hv5", { cluster: "c2" }),
];

function view(more: Partial<operatorWire.RunView> = {}): operatorWire.RunView {
  return {
    run: "4f2a",
    state: "rolling",
    outcome: "",
    details: "",
    paused: false,
    startedAtMs: BigInt(NOW - 72_000),
    endedAtMs: 0n,
    startedBy: "alice",
    scope: { hosts: [], clusters: ["c1", "c2"], pods: [], zones: [] },
    hosts,
    lastSeq: 9n,
    ...more,
  } as unknown as operatorWire.RunView;
}

function picture(more: Partial<RunPicture> = {}): RunPicture {
  const progress = { host: "hv2", stage: "Maintenance", percent: 40, message: "installing packages" };
  return {
    view: view(),
    progress: new Map([["hv2 Maintenance", progress as operatorWire.ProgressView]]),
    recent: [1, 2, 3, 4, 5].map(
      (n) => ({ seq: BigInt(n), atMs: BigInt(NOW), subject: `host hv${n}`, text: "a => b" }) as operatorWire.LogLine,
    ),
    notice: "",
    ...more,
  };
}

const size = { columns: 100, rows: 24, now: NOW, paint: plainPaint, unicode: true };
const text = (lines: readonly string[]) => `${lines.join("\n")}\n`;

describe("live tree", () => {
  test("shows groups, the step in hand, progress, reasons and outcomes", async () => {
    await expect(text(renderTree(picture(), size))).toMatchFileSnapshot("golden/tree.txt");
  });

  test("shows a pause with its reason, and a lost controller", async () => {
    const paused = view({ paused: true, pauseReason: reason("hv2 cannot be reached", "start its agent") });
    const lines = renderTree(picture({ view: paused, notice: "controller is away" }), { ...size, unicode: false });
    await expect(text(lines)).toMatchFileSnapshot("golden/tree-paused.txt");
  });

  test("fits every terminal, and what is failed or in hand stays visible", () => {
    const many = Array.from({ length: 300 }, (_, i) =>
      host(`hv${i}`, {
        cluster: `c${i % 7}`,
        outcome: i === 170 ? "failed" : i < 200 && i !== 41 ? "updated" : "",
        step: i === 41 ? "Maintenance" : "",
      }),
    );
    for (const rows of [1, 2, 5, 10, 24, 60])
      for (const columns of [20, 80]) {
        const lines = renderTree(picture({ view: view({ hosts: many }) }), {
          ...size,
          rows,
          columns,
          paint: ansiPaint,
        });
        expect(lines.length).toBeLessThanOrEqual(rows);
        for (const line of lines) expect(width(line)).toBeLessThanOrEqual(columns);
        if (rows >= 24 && columns >= 80) {
          expect(lines.some((line) => /hv170/.test(line))).toBe(true);
          expect(lines.some((line) => /hv41\b/.test(line))).toBe(true);
          expect(lines.some((line) => /and \d+ more/.test(line))).toBe(true);
        }
      }
  });

  test("colours only double words: without them the text is the same", () => {
    const coloured = renderTree(picture(), { ...size, paint: ansiPaint });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
    const stripped = coloured.map((line) => line.replace(/\x1b\[[0-9;]*m/g, ""));
    expect(stripped).toEqual(renderTree(picture(), size));
    expect(coloured).not.toEqual(stripped);
  });
});

const ledger = [
  {
    id: "1",
    run: "4f2a",
    host: "hv3",
    change: "cordon",
    undo: "uncordon",
    openedAtMs: BigInt(NOW - 300_000),
    closedAtMs: 0n,
    note: "Maintenance failed",
    kind: "cordon",
    instance: "",
    uuid: "",
  } as operatorWire.LedgerEntry,
];

test("report: outcome per host, why it failed, sums, what still stands and how to clear it", async () => {
  const report = {
    run: "4f2a",
    outcome: "failed",
    success: false,
    details: "hv3 failed",
    startedAt: "2026-01-02T03:00:00Z",
    endedAt: "2026-01-02T03:04:00Z",
    startedBy: "alice",
    hosts: hosts.map((h) => ({ ...h, outcome: h.outcome || "untouched" })),
    ledger,
  } as unknown as operatorWire.Report;
  await expect(text(renderReport(report, NOW))).toMatchFileSnapshot("golden/report.txt");
});

test("report of a drain: nothing is called updated, not even none", () => {
  const sums = (op: string, outcome: string, reasonCode: string) =>
    renderReport(
      {
        outcome: "",
        details: "",
        startedAt: "",
        endedAt: "",
        startedBy: "",
        op,
        ledger: [],
        hosts: [{ name: "hv1", outcome, reason: "", reasonCode, stages: [], instances: [] }],
      } as unknown as operatorWire.Report,
      NOW,
    ).at(-1);
  expect(sums("drain", "failed", "drain-failed")).toBe("1 host: 0 drained, 0 skipped, 1 failed, 0 untouched");
  expect(sums("drain", "updated", "drained")).toBe("1 host: 1 drained, 0 skipped, 0 failed, 0 untouched");
  expect(sums("hooks", "failed", "verdict")).toBe("1 host: 0 updated, 0 skipped, 1 failed, 0 untouched");
});

test("plan: waves, steps, skipped, warnings, blockers, and how to start it", async () => {
  const planned = (name: string) => ({
    host: name,
    cluster: "c1",
    steps: ["PreFlight", "gate", "cordon"],
    instances: [],
  });
  const plan = {
    waves: [
      { number: 1, cluster: "c1", hosts: [planned("hv1")], makeRoom: [] },
      {
        number: 2,
        cluster: "c1",
        makeRoom: [],
        hosts: [planned("hv10"), { host: "hv2", cluster: "c1", steps: ["inspect", "PreFlight"], instances: [] }],
      },
    ],
    moves: 0,
    floor: 0,
    relaxations: [],
    skipped: [
      {
        host: "hv2",
        cluster: "c1",
        steps: [],
        instances: [],
        reason: reason("there is no Maintenance hook", "add one"),
      },
    ],
    blockers: [] as operatorWire.Reason[],
    warnings: [reason("hv3 has no PreFlight hook")],
  } as unknown as operatorWire.PlanView;
  await expect(text(renderPlan(plan, "slipway start --cluster c1"))).toMatchFileSnapshot("golden/plan.txt");
  const blocked = { ...plan, blockers: [{ ...reason("hv1 is away", "start its agent"), subject: "host hv1" }] };
  await expect(text(renderPlan(blocked as operatorWire.PlanView, "slipway start --cluster c1"))).toMatchFileSnapshot(
    "golden/plan-blocked.txt",
  );
});

test("tables", async () => {
  const fleet = {
    name: "hv1",
    labels: { cluster: "c1", zone: "z1" },
    connected: true,
    sinceMs: BigInt(NOW - 4000),
    lastHeartbeatMs: BigInt(NOW - 1000),
    bootId: "b",
    agentVersion: "0.1.0",
    kernel: "6.1",
    nodeVersion: "24",
    executor: "direct",
    cordoned: true,
    cordonReason: "disk",
    hooks: [
      { stage: "Maintenance", file: "Maintenance.sh", sha256: "ab".repeat(32), problem: "is writable by others" },
    ],
    hooksDir: "/etc/hooks",
    hooksProblem: "",
    hooksHash: "cd".repeat(32),
    hooksPush: true,
    run: "",
    durations: [],
  } as unknown as operatorWire.FleetHost;
  const away = {
    ...fleet,
    name: "hv10",
    connected: false,
    cordoned: false,
    hooks: [
      { stage: "Maintenance", file: "Maintenance", sha256: "ab".repeat(32), problem: "" } as operatorWire.HookView,
    ],
    lastHeartbeatMs: 0n,
    run: "4f2a",
  };
  const parts = [
    renderHosts([away, fleet], NOW, plainPaint),
    renderHost(fleet, NOW, plainPaint),
    renderRuns([view(), view({ run: "1", outcome: "succeeded", endedAtMs: BigInt(NOW), hosts: [] })], NOW, plainPaint),
    renderRun(view(), NOW, plainPaint),
    renderLedger(ledger, NOW, plainPaint),
    renderLedger([], NOW, plainPaint),
    renderWhy("hv1", [{ ...reason("is cordoned by alice: disk", "slipway uncordon hv1"), subject: "hv1" }]),
    renderWhy("hv2", []),
  ];
  await expect(parts.map(text).join("\n")).toMatchFileSnapshot("golden/tables.txt");
});

test("text of others cannot steer the terminal", () => {
  expect(clean("a\x1b[31mb\r\n\tc\u202e\u009bd")).toBe("a [31mb c d");
});

test("cut keeps to its width and closes colours", () => {
  expect(cut("abcdef", 6)).toBe("abcdef");
  expect(cut("abcdefg", 6)).toBe("abc...");
  expect(cut("日本語日本語", 8)).toBe("日本...");
  expect(cut(ansiPaint.red("abcdefg"), 6)).toBe("\x1b[31mabc...\x1b[0m");
});

test.each([
  [3, "3s ago"],
  [60, "1m ago"],
  [7200, "2h ago"],
  [4 * 86_400, "4d ago"],
  [-5, "0s ago"],
])("%d s is %s", (seconds, expected) => {
  expect(age(NOW - seconds * 1000, NOW)).toBe(expected);
});

test("who was only drained, restored or moved from was not updated", () => {
  const done = ["drained", "restored", "moved", "updated", "operator-done"].map((reasonCode, n) =>
    host(`hv${n}`, { outcome: "updated", reasonCode }),
  );
  expect(tally(done)).toBe("1 drained, 1 restored, 1 moved, 2 updated");
});
