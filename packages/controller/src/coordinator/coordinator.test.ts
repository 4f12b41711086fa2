import { describe, expect, test } from "vitest";
import type { StepResult } from "../domain/events.ts";
import type { EffectRef } from "../domain/fleet.ts";
import type { HostInventory } from "../domain/inventory.ts";
import { defaultPool } from "../domain/pool.ts";
import type { RunOptions } from "../domain/words.ts";
import { reportOf } from "../engine/report.ts";
import { optionsOf, planRun, scopeOf } from "../planner/plan.ts";
import { Coordinator } from "./coordinator.ts";
import { MemoryStore } from "./memory-store.ts";
import type { AgentCommand } from "./ports.ts";

function result(over: Partial<StepResult> = {}): StepResult {
  return {
    verdict: "ok",
    signal: "",
    reason: "",
    startedAtMs: 0,
    endedAtMs: 0,
    durationMs: 0,
    output: "",
    requests: { rebootRequired: false, rerunAfterReboot: false, skip: "", message: "" },
    bootIdBefore: "b1",
    bootIdAfter: "b1",
    hooks: { maintenance: true, problems: [] },
    ...over,
  };
}

/** What a host without instances tells. */
function withoutPlatform(host: string, readT: number): HostInventory {
  const inventory = { seq: 1, platform: "none", problem: "", instances: [], cordonedBy: "" };
  return { host, labels: {}, connected: true, readT, inventory };
}

/** A fleet whose agents answer at once, as told. */
function world(hosts: string[], answer: (ref: EffectRef) => StepResult | undefined, store = new MemoryStore()) {
  const lines: string[] = [];
  const queue: (() => void)[] = [];
  let t = 0;
  const operatorCordons = new Set<string>();
  const coordinator = new Coordinator({
    store,
    agents: {
      send: (_host: string, c: AgentCommand) => {
        if (c.kind !== "start") return;
        const end = answer(c.ref);
        queue.push(() => coordinator.stepAccepted(c.ref));
        if (end) queue.push(() => coordinator.stepEnded(c.ref, end));
      },
    },
    gate: { ask: (_q, done) => queue.push(() => done({ verdict: "ok", reasons: [] })) },
    clock: { engineMs: () => t, wallMs: () => 1_000_000 + t },
    roster: {
      host: (name) =>
        hosts.includes(name)
          ? { connected: true, sinceT: 0, lastSeen: "", cordonedByOperator: operatorCordons.has(name) }
          : undefined,
      cluster: () => "c1",
      members: () => hosts,
      inventories: () => hosts.map((host) => withoutPlatform(host, t)),
      pool: () => defaultPool,
    },
    trouble: (text) => lines.push(text),
  });
  coordinator.onUpdate((u) => lines.push(...u.lines.map((l) => `${l.subject}: ${l.text}`)));
  coordinator.restore();
  const settle = () => {
    for (let i = 0; i < 1000 && (coordinator.hasWork || queue.length > 0); i++) {
      queue.shift()?.();
      coordinator.flush();
    }
  };
  const start = (options: Partial<RunOptions> = {}) => {
    const fleet = hosts.map((name) => ({
      name,
      labels: { cluster: "c1" },
      connected: true,
      lastSeen: "",
      hooksDir: "/h",
      hooksProblem: "",
      hooks: [],
      cordonedBy: [],
    }));
    const inventories = () => hosts.map((host) => withoutPlatform(host, t));
    const scope = scopeOf({ hosts, clusters: [], pods: [], zones: [] });
    const plan = planRun(fleet, scope, optionsOf(options), { inventories, pool: defaultPool, nowT: t });
    return coordinator.start({ run: "r1", ...plan, startedBy: "alice", requestId: "q1" });
  };
  return { coordinator, lines, settle, start, store, advance: (ms: number) => (t += ms), operatorCordons };
}

describe("a run", () => {
  test("rolls every host in order and says so", () => {
    const w = world(["hv2", "hv10", "hv1"], (ref) =>
      result(ref.step === "Maintenance" ? { output: `${ref.host} updated` } : {}),
    );
    w.start();
    w.settle();
    const run = w.coordinator.run("r1");
    expect(run && reportOf(run)).toMatchObject({
      outcome: "succeeded",
      success: true,
      hostsupdated: [{ hostname: "hv2", output: "hv2 updated" }, { hostname: "hv10" }, { hostname: "hv1" }],
    });
    expect(w.lines).toMatchInlineSnapshot(`
      [
        "run r1: new => preflight (3 hosts in 1 cluster, started by alice)",
        "host hv2: waiting => inspecting",
        "host hv10: waiting => inspecting",
        "host hv1: waiting => inspecting",
        "host hv2: inspecting => preflight",
        "host hv10: inspecting => preflight",
        "host hv1: inspecting => preflight",
        "host hv2: PreFlight ended: ok, 0 ms",
        "host hv2: preflight => checked",
        "host hv10: PreFlight ended: ok, 0 ms",
        "host hv10: preflight => checked",
        "host hv1: PreFlight ended: ok, 0 ms",
        "host hv1: preflight => checked",
        "run r1: preflight => rolling (3 hosts are ready)",
        "host hv2: checked => inspecting",
        "host hv2: inspecting => pre-maintenance",
        "host hv2: PreMaintenance ended: ok, 0 ms",
        "host hv2: pre-maintenance => gate",
        "ledger r1:hv2:cordon:1: open: cordon hv2, undone by uncordon",
        "host hv2: gate => cordoning",
        "host hv2: cordoning => draining",
        "host hv2: draining => maintenance",
        "host hv2: Maintenance ended: ok, 0 ms",
        "host hv2: maintenance => restoring",
        "host hv2: restoring => uncordoning",
        "ledger r1:hv2:cordon:1: closed (undone by the run)",
        "host hv2: uncordoning => post-maintenance",
        "host hv2: PostMaintenance ended: ok, 0 ms",
        "host hv2: post-maintenance => updated",
        "host hv10: checked => inspecting",
        "host hv10: inspecting => pre-maintenance",
        "host hv10: PreMaintenance ended: ok, 0 ms",
        "host hv10: pre-maintenance => gate",
        "ledger r1:hv10:cordon:1: open: cordon hv10, undone by uncordon",
        "host hv10: gate => cordoning",
        "host hv10: cordoning => draining",
        "host hv10: draining => maintenance",
        "host hv10: Maintenance ended: ok, 0 ms",
        "host hv10: maintenance => restoring",
        "host hv10: restoring => uncordoning",
        "ledger r1:hv10:cordon:1: closed (undone by the run)",
        "host hv10: uncordoning => post-maintenance",
        "host hv10: PostMaintenance ended: ok, 0 ms",
        "host hv10: post-maintenance => updated",
        "host hv1: checked => inspecting",
        "host hv1: inspecting => pre-maintenance",
        "host hv1: PreMaintenance ended: ok, 0 ms",
        "host hv1: pre-maintenance => gate",
        "ledger r1:hv1:cordon:1: open: cordon hv1, undone by uncordon",
        "host hv1: gate => cordoning",
        "host hv1: cordoning => draining",
        "host hv1: draining => maintenance",
        "host hv1: Maintenance ended: ok, 0 ms",
        "host hv1: maintenance => restoring",
        "host hv1: restoring => uncordoning",
        "ledger r1:hv1:cordon:1: closed (undone by the run)",
        "host hv1: uncordoning => post-maintenance",
        "host hv1: PostMaintenance ended: ok, 0 ms",
        "host hv1: post-maintenance => updated",
        "run r1: rolling => ended: succeeded (OK: 3 updated)",
      ]
    `);
  });

  const failsOnHv2 = (ref: { host: string; step: string }) =>
    ref.host === "hv2" && ref.step === "Maintenance"
      ? result({ verdict: "failed", exitCode: 3, reason: "exit status 3" })
      : result();

  test("pauses at a failed Maintenance, and goes on without that host when told to", () => {
    const w = world(["hv1", "hv2", "hv3"], failsOnHv2);
    w.start();
    w.settle();
    const outcomes = () => w.coordinator.run("r1")?.hosts.map((h) => h.outcome);
    expect([w.coordinator.run("r1")?.paused, outcomes()]).toEqual([
      { who: "slipway", reason: "hv2 failed", finishes: true },
      ["updated", "failed", undefined],
    ]);
    w.coordinator.command("r1", { kind: "resume", reason: "" }, "alice");
    w.settle();
    expect([w.coordinator.run("r1")?.outcome, outcomes()]).toEqual(["failed", ["updated", "failed", "updated"]]);
  });

  test("without a budget of failures stops at a failed Maintenance and leaves the rest untouched", () => {
    const w = world(["hv1", "hv2", "hv3"], failsOnHv2);
    w.start({ maxFailures: 0 });
    w.settle();
    const run = w.coordinator.run("r1");
    expect(run?.hosts.map((h) => [h.outcome, h.cordoned])).toEqual([
      ["updated", false],
      ["failed", true],
      ["untouched", false],
    ]);
    expect(run?.outcome).toBe("failed");
    expect(w.coordinator.cordonHolders("hv2")).toEqual(["r1"]);
    w.coordinator.settle("hv2", "uncordoned by alice");
    expect(w.coordinator.cordonHolders("hv2")).toEqual([]);
  });
});

describe("reboots", () => {
  const stepsOf = (w: ReturnType<typeof world>) =>
    w.coordinator.run("r1")?.hosts.map((h) => [h.name, h.outcome, ...h.steps.map((s) => s.step)].join(" "));

  test("are the work of a run with op reboot; if-required leaves out hosts that need none", () => {
    const w = world(["hv1", "hv2"], (ref) =>
      result(ref.host === "hv1" && ref.step === "inspect" ? { rebootWanted: "/run/reboot-required" } : {}),
    );
    w.start({ op: "reboot", reboot: "if-required" });
    w.settle();
    expect(stepsOf(w)).toEqual([
      "hv1 updated inspect PreFlight inspect PreMaintenance gate cordon drain reboot restore uncordon PostMaintenance",
      "hv2 skipped inspect PreFlight inspect",
    ]);
  });

  test("follow a Maintenance after which the distribution wants one, only if the run says so", () => {
    for (const reboot of ["if-asked", "if-required"] as const) {
      const w = world(["hv1"], (ref) =>
        result(ref.step === "Maintenance" ? { rebootWanted: "/run/reboot-required" } : {}),
      );
      w.start({ reboot });
      w.settle();
      expect(w.coordinator.run("r1")?.hosts[0]?.steps.some((s) => s.step === "reboot")).toBe(reboot === "if-required");
    }
  });
});

test("a reboot that the hook brought about as announced is not made again, and the rerun follows", () => {
  const asks = { rebootRequired: true, rerunAfterReboot: true, skip: "", message: "" };
  const w = world(["hv1"], (ref) =>
    result(
      ref.step === "Maintenance" && ref.attempt === 1
        ? { requests: asks, rebootedAsAsked: true, bootIdAfter: "b2" }
        : {},
    ),
  );
  w.start();
  w.settle();
  const steps = w.coordinator.run("r1")?.hosts[0]?.steps.map((s) => s.step);
  expect(steps?.slice(steps.indexOf("drain"))).toEqual([
    "drain",
    "Maintenance",
    "Maintenance",
    "restore",
    "uncordon",
    "PostMaintenance",
  ]);
});
