import { afterEach, describe, expect, test } from "vitest";
import { Pool, type SeedInstance, until } from "./kit.ts";

let pool: Pool | undefined;
afterEach(() => pool?.stop());

const vm = (name: string, memoryMib: number, more: object = {}): SeedInstance => ({ name, memoryMib, ...more });

/** Five hosts in three racks, one of them empty. */
const start = async (instances: Record<string, readonly SeedInstance[]>) => {
  const hosts = Object.fromEntries(
    ["hv1", "hv2", "hv3", "hv4", "hv5"].map((name, n) => [name, { cluster: "c1", rack: `r${n % 3}` }]),
  );
  pool = await Pool.start(hosts, { instances });
  pool.hook("Maintenance", "true");
  return pool;
};
const loaded = {
  hv1: [vm("web1", 2048), vm("db1", 4096)],
  hv2: [vm("web2", 2048), vm("gpu2", 1024, { devices: [{ kind: "pci", name: "0000:3b:00.0" }] })],
  hv3: [vm("web3", 2048)],
  hv4: [vm("web4", 2048), vm("db4", 4096)],
};

interface PlanJson {
  readonly moves: number;
  readonly floor: number;
  readonly waves: readonly {
    hosts: readonly { host: string; instances: readonly { name: string; host: string }[] }[];
  }[];
  readonly schedule: {
    readonly turns: readonly { host: string; wave: number; after: string[]; expectedMs: number; p95Ms: number }[];
    readonly moves: readonly { name: string; from: string; to: string; kind: string }[];
    readonly consentsNeeded: string[];
  } | null;
  readonly pool: { hosts: { name: string; durationMs: number }[]; instances: { uuid: string; name: string }[] } | null;
  readonly blockers: readonly { subject: string; fix: string }[];
  readonly relaxations: readonly { fix: string }[];
}
const json = async (p: Pool, ...args: string[]) => {
  const { status, stdout, stderr } = await p.slipway("--json", "plan", ...args);
  expect(stderr).toBe("");
  return { status, plan: JSON.parse(stdout) as PlanJson };
};

describe("slipway plan", () => {
  test("prints who goes when, why not sooner, where instances go and how long it takes", async () => {
    const p = await start(loaded);
    const rolling = ["--cluster", "c1", "--max-out", "2", "--max-out-per", "rack=1", "--consent-stop", "gpu2"];
    const { status, plan } = await json(p, ...rolling);
    expect([status, plan.blockers, plan.moves, plan.floor]).toEqual([0, [], plan.floor, 6]);
    const turns = plan.schedule?.turns ?? [];
    expect(new Set(turns.map((t) => t.host)).size).toBe(5);
    // Two of five at once, never two of one rack: three waves; and each instance moves once, for hv5 is empty.
    expect(Math.max(...turns.map((t) => t.wave))).toBe(3);
    expect(turns.every((t) => t.p95Ms >= t.expectedMs && t.expectedMs > 0)).toBe(true);
    const printed = plan.waves.flatMap((w) => w.hosts.flatMap((h) => h.instances.map((i) => `${i.name} ${i.host}`)));
    for (const m of plan.schedule?.moves ?? []) expect(printed).toContain(`${m.name} ${m.to}`);
    expect(plan.pool?.hosts.map((h) => [h.name, h.durationMs > 0])).toEqual(p.hosts.map((h) => [h, true]));
    expect(plan.pool?.instances).toHaveLength(7);
    const { stdout } = await p.slipway("plan", ...rolling);
    expect(stdout).toContain("5 of 5 hosts would be done, in 3 waves, 0 skipped; nothing was touched\n");
    expect(stdout).toMatch(/^instances: 6 moves \(floor 6\), 1 instance stops$/m);
    expect(stdout).toMatch(/^time: .* expected, .* if every host is slow .*, floor .*guessed: no run has measured/m);
    expect(stdout).toContain("limits: at most 2 out in cluster c1; at most 1 out per rack; pauses after 1 failure\n");
    expect(stdout).toMatch(/^ {2}hv\d {2}at \+\d.*; waits: /m);
    expect(stdout).toMatch(/start it with: .*start --cluster c1 --max-out 2 --max-out-per rack=1 --consent-stop gpu2/);
  });

  test("names the consent that is missing, and what a change would change", async () => {
    const p = await start(loaded);
    const { status, plan } = await json(p, "--cluster", "c1");
    expect([status, plan.schedule?.consentsNeeded]).toEqual([1, ["gpu2"]]);
    const { stdout } = await p.slipway("plan", "--cluster", "c1");
    expect(stdout).toContain("--consent-stop gpu2");
    const whatIf = await p.slipway("plan", "--cluster", "c1", "--what-if", "stop=gpu2,exclude=hv4");
    expect([whatIf.status, whatIf.stderr]).toEqual([0, ""]);
    expect(whatIf.stdout).toMatch(/^what if: without hv4 and with consent to stop gpu2; nothing was touched$/m);
    expect(whatIf.stdout).toContain("hv4 has no turn");
    expect(whatIf.stdout).toMatch(/^blockers that are gone\n {2}gpu2 cannot leave hv2/m);
    expect(whatIf.stdout).toMatch(/start it so with: .*--exclude hv4 .*--consent-stop gpu2/);
    expect(p.world()["hv2"]).toEqual(["gpu2", "web2"]);
  });

  test("refuses in one line what is not there or means nothing", async () => {
    const p = await start({});
    for (const [args, expected] of [
      [["--exclude", "hv9"], /^slipway: exclude: there is no host "hv9"; did you mean hv\d\?\n$/],
      [["--canary", "hx1"], /^slipway: canary: there is no host "hx1"; did you mean hv1\?\n$/],
      [
        ["--max-out-per", "rock=1"],
        /^slipway: max-out-per: no host of the scope has a label "rock"; did you mean rack\?\n$/,
      ],
      [["--window", "Sat 22:00-04:00"], /^slipway: window: .* it states no time zone; .*\n$/],
      [["--approve", "after-canary"], /^slipway: approve: after-canary means nothing without a canary; .*\n$/],
    ] as const) {
      const { status, stdout, stderr } = await p.slipway("plan", "--cluster", "c1", ...args);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(expected);
    }
  });
});

test("a run with a canary waits for a word after it, and goes where its plan said", async () => {
  const p = await start({ ...loaded, hv2: [vm("web2", 2048)] });
  const rolling = ["--cluster", "c1", "--max-out", "2", "--canary", "hv3", "--approve", "after-canary"];
  const { plan } = await json(p, ...rolling);
  const run = await p.detach(...rolling);
  await until("it waits for approval", async () =>
    /approval|operator's word/.test((await p.slipway("show", run)).stdout),
  );
  const waiting = await p.slipway("--json", "show", run);
  const hosts = (JSON.parse(waiting.stdout) as { hosts: { name: string; outcome: string }[] }).hosts;
  expect(hosts.filter((h) => h.outcome !== "").map((h) => h.name)).toEqual(["hv3"]);
  const approved = await p.slipway("run", "approve", run, "--reason", "the canary is well");
  expect([approved.status, approved.stderr]).toEqual([0, ""]);
  await p.slipway("watch", run);
  const report = await p.report(run);
  expect([report.outcome, report.ledger]).toEqual(["succeeded", []]);
  const made = report.hosts.flatMap((h) =>
    h.instances.filter((i) => i.outcome === "moved").map((i) => `${i.name} ${i.from}>${i.to}`),
  );
  expect(made.sort()).toEqual(plan.schedule?.moves.map((m) => `${m.name} ${m.from}>${m.to}`).sort());
});
