import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CONTROLLER, Pool, skipped, stages } from "./kit.ts";

// The controller and its host are taken away in the middle of a run.

let pool: Pool;
describe.skipIf(skipped !== undefined)("a run outlives its controller", () => {
  beforeAll(async () => {
    pool = await Pool.start("controller", 2);
  });
  afterAll(() => pool?.stop());

  const main = "systemctl show -p MainPID --value slipway-controller";
  const blows: Readonly<Record<string, () => Promise<unknown>>> = {
    "kill -9": () => pool.lab.sh(CONTROLLER, `kill -9 $(${main})`),
    "systemctl restart": () => pool.lab.sh(CONTROLLER, "systemctl restart slipway-controller"),
    "a reboot of its host": () => pool.lab.reboot(CONTROLLER),
    // Off for longer than the hook runs: its end finds nobody to be told to.
    "a power cut of its host, off for 8 s": async () => {
      await pool.lab.powercut(CONTROLLER, true);
      await new Promise((resolve) => setTimeout(resolve, 8000));
      await pool.lab.boots(CONTROLLER);
    },
  };

  test.each(Object.entries(blows))("%s", async (_name, blow) => {
    for (const host of pool.hosts) await pool.connected(host);
    pool.allHooks({ Maintenance: "sleep 4\necho done" });
    const run = await pool.detach("--cluster", "c1", "--ping-interval", "1", "--timeout", "60");
    await pool.running(run, "hv1", "Maintenance");
    await blow();
    const report = await pool.ended(run);
    const story = await pool.story(run);
    expect([report.outcome, ...report.hosts.map((h) => `${h.outcome} ${h.reason}`)], story).toEqual([
      "succeeded",
      ...pool.hosts.map(() => "updated "),
    ]);
    for (const host of report.hosts) {
      expect(pool.counts(run, host.name)).toEqual(Object.fromEntries(stages.map((s) => [`${s}.1`, ["run", "end"]])));
      expect(host.stages.map((s) => [s.stage, s.attempt, s.verdict])).toEqual(stages.map((s) => [s, 1, "ok"]));
    }
    // The log says that another controller took over.
    expect((await pool.slipway("ledger")).stdout).not.toContain(run);
  });
});
