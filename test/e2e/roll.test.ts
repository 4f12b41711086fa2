import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Pool } from "./kit.ts";

let pool: Pool;
beforeAll(async () => {
  pool = await Pool.start({
    hv10: { cluster: "c2", pod: "p1", zone: "z1" },
    hv2: { cluster: "c1", pod: "p1", zone: "z1" },
    hv1: { cluster: "c1", pod: "p1", zone: "z1" },
  });
});
afterAll(() => pool.stop());

function plainHooks(): void {
  for (const stage of ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"])
    pool.hook(stage, `echo "$SLIPWAY_STAGE on $SLIPWAY_HOST"`);
}

describe("a rolling maintenance", () => {
  test("is done host by host, and plan and start name the same hosts in the same order", async () => {
    plainHooks();
    const plan = JSON.parse((await pool.slipway("plan", "--zone", "z1", "--json")).stdout) as { hosts: string[] };
    expect(plan.hosts).toEqual(["hv1", "hv2", "hv10"]);
    const { status, report } = await pool.roll("--zone", "z1");
    expect(status).toBe(0);
    expect(report).toMatchObject({ outcome: "succeeded", success: true, hostsskipped: [] });
    expect(report.hostsupdated.map((h) => h.hostname)).toEqual(plan.hosts);
    expect(report.hostsupdated[0]?.output).toBe("Maintenance on hv1\n");
    for (const host of report.hosts) {
      expect(host.stages.map((s) => [s.stage, s.verdict, s.exitCode])).toEqual(
        ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"].map((stage) => [stage, "ok", 0]),
      );
    }
    const starts = report.hosts.map((h) => h.stages.find((s) => s.stage === "Maintenance")?.startedAt ?? "");
    expect([...starts].sort()).toEqual(starts);
    expect(await pool.report(report.run)).toEqual(report);
  });

  test("keeps the order in which hosts were given, cluster by cluster", async () => {
    plainHooks();
    const { report } = await pool.roll("--hosts", "hv10,hv2,hv1");
    expect(report.hostsupdated.map((h) => h.hostname)).toEqual(["hv10", "hv2", "hv1"]);
  });

  test("skips a host whose PreFlight or PreMaintenance exits with 70", async () => {
    plainHooks();
    pool.hook("PreFlight", "exit 70", ["hv1"]);
    pool.hook("PreMaintenance", "exit 70", ["hv2"]);
    const { status, report } = await pool.roll("--zone", "z1");
    expect(status).toBe(0);
    expect(report.hosts.map((h) => [h.name, h.outcome])).toEqual([
      ["hv1", "skipped"],
      ["hv2", "skipped"],
      ["hv10", "updated"],
    ]);
    expect(report.hostsskipped[0]?.reason).toMatch(/PreFlight set to avoid maintenance/);
    expect(report.hosts[1]?.stages.map((s) => s.stage)).toEqual(["PreFlight", "PreMaintenance"]);
  });

  test("that finds nothing to do says so, with its own outcome and exit status", async () => {
    plainHooks();
    for (const host of pool.hosts) rmSync(join(pool.hooksDir(host), "Maintenance"));
    const { status, report } = await pool.roll("--zone", "z1");
    expect(status).toBe(3);
    expect(report.outcome).toBe("nothing-done");
    expect(report.hostsskipped.map((h) => h.reason)).toEqual(
      pool.hosts.map(() => expect.stringContaining("no Maintenance hook")),
    );
  });

  test("changes nothing anywhere when one PreFlight fails", async () => {
    plainHooks();
    pool.hook("PreFlight", "echo no space left; exit 1", ["hv10"]);
    const { status, report } = await pool.roll("--zone", "z1");
    expect(status).toBe(1);
    expect(report.hosts.map((h) => [h.name, h.outcome])).toEqual([
      ["hv1", "untouched"],
      ["hv2", "untouched"],
      ["hv10", "failed"],
    ]);
    expect(report.hosts.flatMap((h) => h.stages.map((s) => s.stage))).toEqual(["PreFlight", "PreFlight", "PreFlight"]);
    expect(report.hosts[2]?.stages[0]).toMatchObject({ verdict: "failed", exitCode: 1, output: "no space left\n" });
  });

  test("pauses at a failed Maintenance, says how it goes on, and does by itself after a retry", async () => {
    plainHooks();
    pool.hook("Maintenance", "exit 3", ["hv1"]);
    const run = await pool.detach("--cluster", "c1");
    let shown = "";
    const until = Date.now() + 30_000;
    while (!shown.includes("paused") && Date.now() < until) shown = (await pool.slipway("show", run)).stdout;
    expect(shown.replace(/\s+/g, " ")).toMatch(/paused by slipway: hv1 failed.* slipway run retry \S+ hv1/);
    plainHooks();
    expect((await pool.slipway("run", "retry", run, "hv1")).status).toBe(0);
    expect((await pool.slipway("watch", run)).status).toBe(0);
    expect((await pool.report(run)).hosts.map((h) => h.outcome)).toEqual(["updated", "updated"]);
  });

  test("--max-failures 0 stops at a failed Maintenance; the host stays cordoned, and a retry goes on from there", async () => {
    plainHooks();
    pool.hook("Maintenance", "exit 3", ["hv1"]);
    const { status, report } = await pool.roll("--cluster", "c1", "--max-failures", "0");
    expect(status).toBe(1);
    expect(report.hosts.map((h) => h.outcome)).toEqual(["failed", "untouched"]);
    const ledger = await pool.slipway("ledger");
    expect(ledger.stdout).toMatch(/hv1/);
    expect((await pool.slipway("host", "show", "hv1")).stdout).toMatch(/cordoned/);
    plainHooks();
    expect((await pool.slipway("run", "retry", report.run, "hv1")).status).toBe(0);
    expect((await pool.slipway("watch", report.run)).status).toBe(0);
    const again = await pool.report(report.run);
    expect(again.hosts.map((h) => h.outcome)).toEqual(["updated", "updated"]);
    expect((await pool.slipway("ledger", "--json")).stdout).not.toMatch(/hv1/);
  });

  test("with --forced goes on without the failed host; --on-failure uncordon puts it back", async () => {
    plainHooks();
    pool.hook("Maintenance", "exit 3", ["hv1"]);
    const { status, report } = await pool.roll("--zone", "z1", "--forced", "--on-failure", "uncordon");
    expect(status).toBe(1);
    expect(report.hosts.map((h) => h.outcome)).toEqual(["failed", "updated", "updated"]);
    expect((await pool.slipway("ledger", "--json")).stdout).not.toMatch(/hv1/);
  });

  test("reboots a host that asks for it, proves it, and runs the stage again if asked", async () => {
    plainHooks();
    pool.hook(
      "Maintenance",
      'echo "attempt $SLIPWAY_ATTEMPT boot $SLIPWAY_BOOT_ID"\necho reboot=required >> "$SLIPWAY_OUTPUT"\necho rerun=after-reboot >> "$SLIPWAY_OUTPUT"\n[ "$SLIPWAY_ATTEMPT" = 1 ] || : > "$SLIPWAY_OUTPUT"',
      ["hv1"],
    );
    const { status, report } = await pool.roll("--hosts", "hv1");
    expect(status).toBe(0);
    const stages = report.hosts[0]?.stages ?? [];
    expect(stages.map((s) => s.stage)).toEqual([
      "PreFlight",
      "PreMaintenance",
      "Maintenance",
      "reboot",
      "Maintenance",
      "PostMaintenance",
    ]);
    const boots = stages.filter((s) => s.stage === "Maintenance").map((s) => /boot (\S+)/.exec(s.output)?.[1]);
    expect(boots[0]).not.toBe(boots[1]);
  });
});

describe("wrong use", () => {
  test.each([
    [["start", "--hosts", "hv1", "--cluster", "c1"], /hosts hv1 and clusters? c1/],
    [["start"], /--hosts|scope/],
    [["start", "--hosts", "hv11"], /hv11.*did you mean hv1/],
    [["start", "--cluster", "c3"], /c3.*did you mean c[12]/],
    [["start", "--hosts", "hv1", "--timeout", "5", "--ping-interval", "10"], /timeout.*below the ping interval/],
    [["start", "--hosts", "hv1", "--timeout", "soon"], /soon/],
    [["start", "--hosts", "hv1", "--payload", "it's"], /quote/],
    [["start", "--hosts", "hv1", "--on-failure", "pray"], /pray/],
    [["start", "--hosts", "hv1", "--max-out", "0"], /max-out|maxOut/],
    [["show", "nonsense"], /nonsense/],
    [["frobnicate"], /frobnicate/],
    [["host", "show", "hv0"], /hv0.*hv1/],
  ])("%j: one line, exit status 2, nothing changed", async (args, message) => {
    const before = (await pool.slipway("list", "--json")).stdout;
    const { status, stderr } = await pool.slipway(...args);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(status).toBe(2);
    expect((await pool.slipway("list", "--json")).stdout).toBe(before);
  });
});

describe("operator control", () => {
  test("pause takes effect between steps, resume goes on, a second run in the cluster is refused by name", async () => {
    plainHooks();
    pool.hook("PreMaintenance", "sleep 1");
    const run = await pool.detach("--cluster", "c1");
    expect((await pool.slipway("run", "pause", run, "--reason", "lunch")).status).toBe(0);
    const second = await pool.slipway("start", "--hosts", "hv2");
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(run);
    expect((await pool.slipway("show", run)).stdout).toMatch(/paused/i);
    expect((await pool.slipway("run", "resume", run)).status).toBe(0);
    expect((await pool.slipway("watch", run)).status).toBe(0);
    expect((await pool.report(run)).outcome).toBe("succeeded");
  });

  test("abort finishes the step in hand and puts everything back; abort --now ends it", async () => {
    plainHooks();
    pool.hook("Maintenance", "sleep 600");
    const run = await pool.detach("--cluster", "c1");
    const until = Date.now() + 30_000;
    while (!(await pool.slipway("show", run)).stdout.includes("maintenance") && Date.now() < until);
    expect((await pool.slipway("run", "abort", "--now", run)).status).toBe(0);
    expect((await pool.slipway("watch", run)).status).toBe(1);
    const report = await pool.report(run);
    expect(report.outcome).toBe("aborted");
    expect(report.hosts.map((h) => h.outcome)).toEqual(["failed", "untouched"]);
    expect(report.hosts[0]?.stages.at(-1)).toMatchObject({ stage: "Maintenance", verdict: "cancelled" });
    expect((await pool.slipway("host", "list", "--json")).stdout).not.toMatch(/"cordoned":\s*true/);
  });

  test("an operator's cordon holds up a run, saying why, until it is lifted", async () => {
    plainHooks();
    expect((await pool.slipway("cordon", "hv2", "--reason", "bad fan")).status).toBe(0);
    const run = await pool.detach("--hosts", "hv1");
    const until = Date.now() + 30_000;
    let why = "";
    while (!why.includes("hv2") && Date.now() < until) why = (await pool.slipway("why", "hv1")).stdout;
    expect(why).toMatch(/hv2 is cordoned by an operator/);
    expect((await pool.slipway("uncordon", "hv2")).status).toBe(0);
    expect((await pool.slipway("watch", run)).status).toBe(0);
    const audit = (await pool.slipway("audit", "--json")).stdout;
    expect(audit).toMatch(/setCordon/);
    expect(audit).toMatch(/bad fan/);
  });
});
