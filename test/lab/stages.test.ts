import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Pool, skipped, stages } from "./kit.ts";
import { packageOfVersion } from "./lib/packages.ts";
import { putFile } from "./lib/slipway.ts";

// The main job on real hosts: stages under systemd, hooks that restart or upgrade the agent, reboots.

let pool: Pool;
describe.skipIf(skipped !== undefined)("real hosts with the real packages", () => {
  beforeAll(async () => {
    pool = await Pool.start("stages", 3);
  });
  afterAll(() => pool?.stop());
  beforeEach(async () => {
    pool.clearHooks();
    for (const host of pool.hosts) await pool.connected(host);
  });

  test("hosts are bare: no checkout, no Node of the machine's; services are up and enabled; the executor is systemd", async () => {
    for (const host of pool.hosts) {
      expect(await pool.lab.sh(host, "command -v node npm || true; ls /home /usr/local /opt /srv")).not.toMatch(
        /\w+\n\w/,
      );
      expect(await pool.lab.sh(host, "systemctl is-active slipway-agent; systemctl is-enabled slipway-agent")).toBe(
        "active\nenabled\n",
      );
      expect((await pool.lab.exec(host, ["systemctl", "is-system-running"])).stdout).toBe("running\n");
    }
    const { stdout } = await pool.slipway("--json", "host", "list");
    const { hosts } = JSON.parse(stdout) as { hosts: { executor: string }[] };
    expect(hosts.map((host) => host.executor)).toEqual(["systemd", "systemd", "systemd"]);
  });

  test("four stages on three hosts; what a hook says is in its host's journal under the step's unit", async () => {
    // SLIPWAY_STEP names left-over children; here it tells two runs of the journal apart.
    pool.allHooks(Object.fromEntries(stages.map((s) => [s, `echo "words of $SLIPWAY_STAGE on $SLIPWAY_HOST" >&2`])));
    const run = await pool.detach("--cluster", "c1", "--max-out", "2", "--payload", "a 'b c'");
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, report.success], story).toEqual(["succeeded", true]);
    expect(report.hosts.map((h) => [h.name, h.outcome, h.reason])).toEqual(pool.hosts.map((h) => [h, "updated", ""]));
    for (const { name, stages: reported } of report.hosts) {
      expect(reported.map((s) => [s.stage, s.attempt, s.verdict, s.exitCode, s.output])).toEqual(
        stages.map((stage) => [stage, 1, "ok", 0, `words of ${stage} on ${name}\n`]),
      );
      expect(pool.counts(run, name)).toEqual(Object.fromEntries(stages.map((s) => [`${s}.1`, ["run", "end"]])));
      const journal = await pool.lab.sh(
        name,
        "journalctl --no-pager -o json --output-fields=_SYSTEMD_UNIT,MESSAGE -u 'slipway-step-*'",
      );
      const lines = journal
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { _SYSTEMD_UNIT: string; MESSAGE: string });
      for (const stage of stages) {
        const said = lines.filter((line) => line.MESSAGE === `words of ${stage} on ${name}`);
        expect(said.map((line) => line._SYSTEMD_UNIT)).toEqual([
          expect.stringMatching(/^slipway-step-[0-9a-f]+\.service$/),
        ]);
      }
      // A unit a step, and none of them is left.
      expect(new Set(lines.map((line) => line._SYSTEMD_UNIT)).size).toBeGreaterThanOrEqual(stages.length);
      expect(await pool.lab.sh(name, "systemctl list-units --all --no-legend 'slipway-step-*'")).toBe("");
    }
  });

  test("a Maintenance hook restarts slipway-agent, another upgrades its package: the runs end by themselves", async () => {
    const next = packageOfVersion("slipway-agent", "9.0.0");
    try {
      for (const host of ["hv2", "hv3"]) putFile(pool.lab, host, "/var/tmp/agent.deb", readFileSync(next.file));
    } finally {
      next.remove();
    }
    pool.allHooks();
    const restarted = "echo after $(systemctl show -p MainPID --value slipway-agent)";
    pool.countingHook("Maintenance", `systemctl restart slipway-agent\nsleep 1\n${restarted}`, ["hv1"]);
    pool.countingHook("Maintenance", `dpkg -i /var/tmp/agent.deb\nsleep 1\n${restarted}`, ["hv2"]);
    // As unattended hooks do: the upgrade is the last act, and the hook's own success must not be lost with it.
    pool.countingHook("Maintenance", "dpkg -i /var/tmp/agent.deb", ["hv3"]);
    const invocation = "systemctl show -p InvocationID --value slipway-agent";
    const before = await Promise.all(pool.hosts.map((h) => pool.lab.sh(h, invocation)));
    const run = await pool.detach("--cluster", "c1", "--ping-interval", "1", "--timeout", "60");
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, ...report.hosts.map((h) => `${h.outcome} ${h.reason}`)], story).toEqual([
      "succeeded",
      ...pool.hosts.map(() => "updated "),
    ]);
    for (const [i, host] of pool.hosts.entries()) {
      expect(pool.counts(run, host)).toEqual(Object.fromEntries(stages.map((s) => [`${s}.1`, ["run", "end"]])));
      const { boots } = await pool.lab.host(host);
      expect(boots).toBe(1);
      const journal = await pool.lab.sh(host, "journalctl --no-pager -n 60");
      expect(await pool.lab.sh(host, invocation), `${host}\n${story}\n${journal}`).not.toBe(before[i]);
    }
    const { stdout } = await pool.slipway("--json", "host", "list");
    const { hosts } = JSON.parse(stdout) as { hosts: { name: string; agentVersion: string }[] };
    expect(hosts.map((host) => host.agentVersion === "9.0.0")).toEqual([false, true, true]);
    expect(report.hosts[1]?.stages[2]?.output).toMatch(/Unpacking slipway-agent.*after \d+\n$/s);
    // The administrator's configuration is kept.
    expect(await pool.lab.sh("hv2", "grep -c ^slipway.controllers= /etc/slipway/agent.properties")).toBe("1\n");
  });

  test("reboot=required: Slipway reboots the host and proves it; rerun=after-reboot runs Maintenance once more; a hook may do it itself", async () => {
    pool.allHooks({ PostMaintenance: "cat /proc/sys/kernel/random/boot_id" });
    pool.countingHook("Maintenance", 'echo reboot=required >> "$SLIPWAY_OUTPUT"', ["hv1"]);
    const once = '[ "$SLIPWAY_ATTEMPT" = 1 ] && printf "reboot=required\\nrerun=after-reboot\\n" >> "$SLIPWAY_OUTPUT"';
    pool.countingHook("Maintenance", `${once}\necho attempt $SLIPWAY_ATTEMPT in boot $SLIPWAY_BOOT_ID`, ["hv2"]);
    pool.countingHook("Maintenance", 'echo reboot=required >> "$SLIPWAY_OUTPUT"\nsystemctl reboot\nsleep 60', ["hv3"]);
    const boots = await Promise.all(pool.hosts.map(async (host) => (await pool.lab.host(host)).boots));
    const run = await pool.detach("--cluster", "c1", "--ping-interval", "1", "--timeout", "90", "--reboot-wait", "90");
    const report = await pool.ended(run, 240_000);
    const story = await pool.story(run);
    expect([report.outcome, ...report.hosts.map((h) => `${h.outcome} ${h.reason}`)], story).toEqual([
      "succeeded",
      ...pool.hosts.map(() => "updated "),
    ]);
    for (const [i, host] of pool.hosts.entries()) {
      const bootId = (await pool.lab.sh(host, "cat /proc/sys/kernel/random/boot_id")).trim();
      const reported = report.hosts[i]?.stages ?? [];
      // Once each: a hook that reboots its host as it announced has done what Slipway would have done.
      expect(
        (await pool.lab.host(host)).boots,
        `${host}
${story}`,
      ).toBe((boots[i] ?? 0) + 1);
      expect(reported.at(-1)?.output).toBe(`${bootId}\n`);
      const ended = host === "hv3" ? ["run"] : ["run", "end"];
      expect(pool.counts(run, host)).toEqual({
        ...Object.fromEntries(stages.map((s) => [`${s}.1`, s === "Maintenance" ? ended : ["run", "end"]])),
        ...(host === "hv2" ? { "Maintenance.2": ["run", "end"] } : {}),
      });
    }
    const second = report.hosts[1]?.stages.filter((s) => s.stage === "Maintenance") ?? [];
    expect(second.map((s) => s.attempt)).toEqual([1, 2]);
    expect(new Set(second.map((s) => s.output.replace(/.* in boot /, ""))).size).toBe(2);
    // In words, with both boots.
    expect(story).toMatch(/hv1.*(?:booted anew|reboot).*[0-9a-f]{8}.* => [0-9a-f]{8}/);
    expect(story).toContain("the host was rebooted as the hook asked");
  });
});
