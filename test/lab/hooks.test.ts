import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Pool, skipped, stages, until } from "./kit.ts";

// Hooks that misbehave in ways that only a real host shows. Each has a host and a cluster of its own.

const MEMORY = "96M";
const hosts = Object.fromEntries(
  ["daemon", "disk", "memory", "shutdown"].map((name, i) => [name, { cluster: `c${i + 1}`, pod: "p1", zone: "z1" }]),
);
const flags = ["--ping-interval", "1", "--timeout", "60", "--agent-wait", "90"];

let pool: Pool;
describe.skipIf(skipped !== undefined)("a hook that misbehaves", () => {
  beforeAll(async () => {
    pool = await Pool.start("hooks", hosts, { diskMiB: 160 });
    // On this host only: a lab's disks are in memory, and what a hook writes to them counts as its own.
    const line = `slipway.step.memory.max=${MEMORY}`;
    await pool.lab.sh("memory", `echo ${line} >> /etc/slipway/agent.properties && systemctl restart slipway-agent`);
    await pool.connected("memory");
    pool.allHooks();
  });
  afterAll(() => pool?.stop());

  /** The agent that was there at first, still or again, and a host that can be rolled. */
  async function expectUsable(host: string): Promise<void> {
    await pool.connected(host);
    await pool.slipway("uncordon", host);
    pool.allHooks({}, [host]);
    const report = await pool.roll("--hosts", host, ...flags);
    expect([report.outcome, report.hosts[0]?.reason]).toEqual(["succeeded", ""]);
    expect((await pool.lab.exec(host, ["systemctl", "is-system-running"])).stdout).toBe("running\n");
    expect(await pool.lab.sh(host, "systemctl is-active slipway-agent")).toBe("active\n");
  }
  const restarts = (host: string) => pool.lab.sh(host, "systemctl show -p NRestarts --value slipway-agent");

  test.concurrent("forks a daemon: its own exit status counts, and nothing of it is left", async () => {
    const host = "daemon";
    const fork = "setsid -f sh -c 'exec -a lab-daemon sleep 7777' </dev/null >/dev/null 2>&1";
    const noisy = "setsid -f sh -c 'while :; do echo still here; sleep 1; done'";
    pool.countingHook("Maintenance", `${fork.replace("sh -c", "bash -c")}\n${noisy}\nsleep 1`, [host]);
    const report = await pool.roll("--hosts", host, ...flags);
    const stage = report.hosts[0]?.stages[2];
    expect([report.outcome, stage?.verdict, stage?.exitCode]).toEqual(["succeeded", "ok", 0]);
    expect(await pool.lab.sh(host, "pgrep -fa 'lab-daemon|still here' | grep -v pgrep || true")).toBe("");
    expect(await pool.lab.sh(host, "systemctl list-units --all --no-legend 'slipway-step-*'")).toBe("");
    expect(await restarts(host)).toBe("0\n");
    await expectUsable(host);
  });

  test.concurrent("fills the disk: its exit status is kept, the agent lives, and goes on when there is room", async () => {
    const host = "disk";
    pool.hook("Maintenance", "cat /dev/zero > /var/tmp/fill\necho full\ntouch /run/lab-full\nsleep 2\nexit 3", [host]);
    const run = await pool.detach("--hosts", host, ...flags);
    const full = async () => (await pool.lab.exec(host, ["test", "-e", "/run/lab-full"])).status === 0;
    await until("the disk is full", full);
    // Longer than the hook: it ends while nothing can be written.
    await new Promise((resolve) => setTimeout(resolve, 5000));
    expect(await pool.lab.sh(host, "systemctl is-active slipway-agent")).toBe("active\n");
    expect(await restarts(host)).toBe("0\n");
    expect((await pool.lab.exec(host, ["cp", "/bin/bash", "/var/tmp/more"])).stderr).toContain(
      "No space left on device",
    );
    await pool.lab.sh(host, "rm /var/tmp/fill /var/tmp/more");
    const report = await pool.ended(run);
    const story = await pool.story(run);
    const stage = report.hosts[0]?.stages[2];
    expect([report.outcome, stage?.verdict, stage?.exitCode], story).toEqual(["failed", "failed", 3]);
    expect(report.hosts[0]?.reason, story).toMatch(/^Maintenance: exit status 3/);
    await expectUsable(host);
  });

  test.concurrent("eats memory to its limit: it is killed, and the report says why", async () => {
    const host = "memory";
    pool.countingHook("Maintenance", "echo eating\nexec tail /dev/zero", [host]);
    const run = await pool.detach("--hosts", host, ...flags);
    const report = await pool.ended(run);
    const story = await pool.story(run);
    const stage = report.hosts[0]?.stages[2];
    expect([report.outcome, stage?.verdict, stage?.signal, stage?.output], story).toEqual([
      ...["failed", "failed", "SIGKILL"],
      "eating\n",
    ]);
    expect(report.hosts[0]?.reason, story).toBe(
      `Maintenance: killed: out of memory (limit ${MEMORY}); the host stays cordoned`,
    );
    expect(await restarts(host)).toBe("0\n");
    await expectUsable(host);
  });

  test.concurrent("hangs in the shutdown: the host goes down all the same, and the stage counts as interrupted", async () => {
    const host = "shutdown";
    pool.countingHook("Maintenance", "trap '' TERM HUP INT\nwhile :; do sleep 1; done", [host]);
    const { boots } = await pool.lab.host(host);
    const run = await pool.detach("--hosts", host, ...flags, "--grace", "3");
    await pool.running(run, host, "Maintenance");
    await pool.lab.reboot(host);
    await pool.lab.waitForBoot(host, boots + 1);
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, report.hosts[0]?.stages[2]?.verdict], story).toEqual(["failed", "interrupted"]);
    expect(report.hosts[0]?.reason, story).toMatch(/^Maintenance: the host was shut down while the hook ran \(boot /);
    expect(pool.counts(run, host)["Maintenance.1"]).toEqual(["run"]);
    expect((await pool.lab.host(host)).boots).toBe(boots + 1);
    await expectUsable(host);
  });

  test("has harmed nobody: all hosts are rolled at once", async () => {
    pool.allHooks();
    const report = await pool.roll("--hosts", pool.hosts.join(","), ...flags);
    expect(report.hosts.map((h) => [h.outcome, h.stages.length])).toEqual(
      pool.hosts.map(() => ["updated", stages.length]),
    );
  });
});
