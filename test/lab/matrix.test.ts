import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Pool, type Stage, skipped, stages } from "./kit.ts";

// What happens to a host while a hook runs, for every fault and every stage. Each fault has a host and a cluster of its own, so that five
// runs go on at the same time.

/** The hook of the stage in question: long enough to be hit, and for an agent to come back before its end. */
const BODY = "echo begin\nsleep 5\necho finished";
/** Keep-alive of the agents is 3 + 2 s: a controller that hears nothing for longer calls them away. */
const CUT_MS = 8_000;

interface Fault {
  readonly host: string;
  readonly inflict: (pool: Pool, host: string) => Promise<unknown>;
  /** Reason of the stage's verdict; undefined: the hook is not disturbed. */
  readonly interrupted?: RegExp;
}

const shutDown = /^the host was shut down while the hook ran \(boot [0-9a-f]{8}.* => [0-9a-f]{8}.*\)/;
const lostPower = /^the host went down without a shutdown while the hook ran: power cut, crash or reset \(boot /;

const faults: Readonly<Record<string, Fault>> = {
  "kill -9 of the agent": {
    host: "hv1",
    inflict: (pool, host) => pool.lab.sh(host, "systemctl kill -s KILL --kill-whom=main slipway-agent"),
  },
  "systemctl restart slipway-agent": {
    host: "hv2",
    inflict: (pool, host) => pool.lab.sh(host, "systemctl restart slipway-agent"),
  },
  "systemctl reboot by hand": {
    host: "hv3",
    inflict: (pool, host) => pool.lab.reboot(host),
    interrupted: shutDown,
  },
  "power cut": {
    host: "hv4",
    inflict: (pool, host) => pool.lab.powercut(host),
    interrupted: lostPower,
  },
  "network cut for longer than the heartbeat timeout": {
    host: "hv5",
    inflict: async (pool, host) => {
      await pool.lab.isolate(host);
      await new Promise((resolve) => setTimeout(resolve, CUT_MS));
      await pool.lab.heal(host);
    },
  },
};

const hosts = Object.fromEntries(
  Object.values(faults).map(({ host }, i) => [host, { cluster: `c${i + 1}`, pod: "p1", zone: "z1" }]),
);
const clusterOf = (host: string) => hosts[host]?.cluster ?? "";

let pool: Pool;
describe.skipIf(skipped !== undefined)("a fault during a stage", () => {
  beforeAll(async () => {
    pool = await Pool.start("matrix", hosts);
  });
  afterAll(() => pool?.stop());

  describe.each(stages)("%s", (stage) => {
    beforeAll(() => pool.allHooks({ [stage]: BODY }));

    test.concurrent.each(Object.entries(faults))("%s", async (_name, fault) => {
      const { host } = fault;
      await pool.connected(host);
      await pool.slipway("uncordon", host);
      const boots = (await pool.lab.host(host)).boots;
      const flags = ["--ping-interval", "1", "--timeout", "60", "--agent-wait", "60"];
      const run = await pool.detach("--cluster", clusterOf(host), ...flags);
      await pool.running(run, host, stage);
      await fault.inflict(pool, host);
      const report = await pool.ended(run);
      const what = `${await pool.story(run)}\n${JSON.stringify(report.hosts)}`;

      // What really happened: the hooks' own records on the host's disk.
      const counts = pool.counts(run, host);
      const reached = stages.slice(0, fault.interrupted ? stages.indexOf(stage) + 1 : stages.length);
      const expected = reached.map((one): [string, string[]] => [
        `${one}.1`,
        one === stage && fault.interrupted ? ["run"] : ["run", "end"],
      ]);
      expect(counts, what).toEqual(Object.fromEntries(expected));

      // What the report says of it.
      const found = report.hosts[0];
      expect(
        found?.stages.map((s) => [s.stage, s.attempt, s.verdict, s.exitCode]),
        what,
      ).toEqual(
        reached.map((one) => (one === stage && fault.interrupted ? [one, 1, "interrupted", null] : [one, 1, "ok", 0])),
      );
      const hit = found?.stages.find((s) => s.stage === stage);
      if (fault.interrupted === undefined) {
        expect([report.outcome, found?.outcome, found?.reason], what).toEqual(["succeeded", "updated", ""]);
        expect(hit?.output).toBe("begin\nfinished\n");
        expect((await pool.lab.host(host)).boots).toBe(boots);
      } else {
        expect([report.outcome, found?.outcome], what).toEqual(["failed", "failed"]);
        expect(found?.reason.replace(`${stage}: `, ""), what).toMatch(fault.interrupted);
        expect(report.details, what).toContain(`${host}: ${stage}: the host`);
        // Reported within a heartbeat of the return, not waited out: the next boot is there and no other happened.
        expect((await pool.lab.host(host)).boots).toBe(boots + 1);
      }
      expect(await cordoned(host), what).toBe(fault.interrupted !== undefined && isOut(stage));
    });
  });
});

/** Only Maintenance runs while the host is out of service, and a host that fails there stays out. */
const isOut = (stage: Stage) => stage === "Maintenance";

async function cordoned(host: string): Promise<boolean> {
  const { stdout } = await pool.slipway("--json", "host", "list");
  const list = JSON.parse(stdout) as { hosts: { name: string; cordoned: boolean }[] };
  return list.hosts.find((one) => one.name === host)?.cordoned ?? false;
}
