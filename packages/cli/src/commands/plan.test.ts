import type { operatorWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../program.ts";
import { FakeIo, FakeOperator } from "../testing/fakeOperator.ts";

let fake: FakeOperator;
beforeEach(async () => {
  fake = new FakeOperator();
  await fake.start();
});
afterEach(() => fake.remove());

async function slipway(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const io = new FakeIo({ SLIPWAY_CONFIG: fake.config });
  const status = await run(args, io);
  return { status, out: io.stdout, err: io.stderr };
}

describe("options of a rolling run", () => {
  test("reach the controller, and the plan's own words start the same", async () => {
    const seen: operatorWire.PlanRequest[] = [];
    fake.handlers.plan = (request) => {
      seen.push(request);
      return { plan: { waves: [] } };
    };
    const flags =
      "--cluster c1 --max-out 25% --max-out-per rack=1 --max-out-per zone=50% --max-clusters 3 --order free --exclude h3,h4 --canary h1 --bake 10m --max-failures 2 --approve each-wave";
    const words = [...flags.split(" "), "--window", "Sat 22:00-04:00 Europe/Paris"];
    const { out } = await slipway("plan", ...words);
    expect(seen[0]?.options).toMatchObject({
      maxOut: 0,
      maxOutPercent: 25,
      domainLimits: [
        { label: "rack", maxHosts: 1, percent: 0 },
        { label: "zone", maxHosts: 0, percent: 50 },
      ],
      maxClusters: 3,
      order: "free",
      exclude: ["h3", "h4"],
      canary: "h1",
      bakeMs: 600_000n,
      maxFailures: 2,
      approve: "each-wave",
      window: "Sat 22:00-04:00 Europe/Paris",
    });
    expect(seen[0]?.withPool).toBe(false);
    expect(out).toContain("nothing would be done");
    fake.handlers.plan = () => ({ plan: { waves: [{ number: 1, hosts: [{ host: "h1" }] }] } });
    expect((await slipway("plan", ...words)).out).toContain(
      `start it with: slipway start ${flags} --window 'Sat 22:00-04:00 Europe/Paris'\n`,
    );
  });

  test.each([
    [["--max-out", "150%"], "--max-out: 150% is more than all hosts; give 1% to 100%"],
    [["--max-out", "half"], '--max-out: "half" is neither a number of hosts nor a share of them; write 2, or 25%'],
    [["--max-out-per", "rack"], '--max-out-per: "rack" names no label; write for example rack=1 or rack=25%'],
    [
      ["--max-out-per", "rack=0"],
      '--max-out-per rack: "0" is neither a number of hosts nor a share of them; write rack=1, or rack=25%',
    ],
    [["--max-clusters", "0"], '--max-clusters: "0" is no number of clusters; write a whole number from 1 on'],
    [["--max-failures", "-1"], '--max-failures: "-1" is no number of hosts; write a whole number from 0 on'],
    [["--bake", "10m"], "--bake: there is no canary to be watched; name it with --canary"],
    [["--canary", " "], "--canary: is empty; leave it out, or say what is meant"],
    [["--exclude", "a,,b"], '--exclude: "a,,b" has an empty name; separate names by one comma'],
    [["--what-if", "remove=h3"], '--what-if: "remove=h3" is no change; write exclude=HOST or stop=INSTANCE'],
    [["--what-if", "exclude="], '--what-if: "exclude=" is no change; write exclude=HOST or stop=INSTANCE'],
  ])("%j is wrong use in one line", async (args, expected) => {
    expect(await slipway("plan", "--cluster", "c1", ...args)).toEqual({
      status: 2,
      out: "",
      err: `slipway: ${expected}\n`,
    });
  });
});

const host = (name: string, to: string, over: object = {}) => ({
  ...{ host: name, cluster: "c1", steps: ["gate", "drain"], ...over },
  instances: [{ uuid: `u-${name}`, name: `vm-${name}`, action: "migrate", host: to, memoryMib: 2048 }],
});

describe("slipway plan --what-if", () => {
  const before = {
    moves: 3,
    floor: 3,
    waves: [
      { number: 1, cluster: "c1", hosts: [host("h1", "h9")] },
      { number: 2, cluster: "c1", hosts: [host("h2", "h1")] },
      { number: 3, cluster: "c1", hosts: [host("h3", "h1")] },
    ],
    schedule: { expectedMs: 1_800_000n, p95Ms: 3_600_000n },
    blockers: [{ rule: "no-target", subject: "vm7", text: "vm7 cannot leave h2", fix: "" }],
  };
  const after = {
    moves: 2,
    floor: 2,
    waves: [
      { number: 1, cluster: "c1", hosts: [host("h1", "h9")] },
      { number: 2, cluster: "c1", hosts: [host("h3", "h9")] },
    ],
    skipped: [{ host: "h2", cluster: "c1" }],
    schedule: { expectedMs: 1_200_000n, p95Ms: 2_400_000n },
  };

  test("asks for both plans and prints only what is different", async () => {
    const seen: operatorWire.PlanRequest[] = [];
    fake.handlers.plan = (request) => {
      seen.push(request);
      return { plan: seen.length === 1 ? before : after };
    };
    const { status, out } = await slipway(
      "plan",
      "--cluster",
      "c1",
      "--exclude",
      "h8",
      "--what-if",
      "exclude=h2,stop=vm7",
    );
    expect(seen.map((r) => [r.options?.exclude, r.options?.consentStop])).toEqual([
      [["h8"], []],
      [["h8", "h2"], ["vm7"]],
    ]);
    expect(status).toBe(0);
    await expect(out).toMatchFileSnapshot("../render/golden/what-if.txt");
  });

  test("as one object holds both plans and the difference", async () => {
    let calls = 0;
    fake.handlers.plan = ({ withPool }) => {
      expect(withPool).toBe(true);
      return { plan: calls++ === 0 ? before : after };
    };
    const { out } = await slipway("plan", "--cluster", "c1", "--what-if", "exclude=h2", "--json");
    expect(JSON.parse(out)).toMatchObject({
      whatIf: { exclude: ["h2"], stop: [] },
      difference: {
        hostsDropped: ["h2"],
        hostsShifted: [{ host: "h3", before: 3, after: 2 }],
        movesDropped: ["vm-h2 h2 -> h1"],
        movesAdded: [],
        movesChanged: ["vm-h3 h3 -> h9, not h1"],
        blockersDropped: ["vm7 cannot leave h2"],
      },
      before: { moves: 3, pool: null },
      after: { moves: 2 },
    });
  });
});

test("slipway run approve lets a run go on", async () => {
  let seen: unknown;
  fake.handlers.listRuns = () => ({ runs: [{ run: "r1" }] });
  fake.handlers.controlRun = (request) => {
    seen = request;
    return { run: { run: "r1", state: "rolling" } };
  };
  expect(await slipway("run", "approve", "last", "--reason", "the canary is well")).toMatchObject({
    status: 0,
    out: "run r1: rolling\n",
  });
  expect(seen).toMatchObject({ run: "r1", action: 5, reason: "the canary is well" });
});
