import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SlipwayError } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../program.ts";
import { FakeIo, FakeOperator } from "../testing/fakeOperator.ts";

let fake: FakeOperator;
let dir: string;
let started: operatorWire.StartRunRequest[];
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "slipway-pool-"));
  started = [];
  fake = new FakeOperator();
  fake.handlers.startRun = (request) => {
    started.push(request);
    return { run: "r1" };
  };
  await fake.start();
});
afterEach(() => {
  fake.remove();
  rmSync(dir, { recursive: true, force: true });
});

async function slipway(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const io = new FakeIo({ SLIPWAY_CONFIG: fake.config });
  const status = await run(args, io);
  return { status, out: io.stdout, err: io.stderr };
}

const uuid = "00000000-0000-4000-8000-000000000001";

describe("instance move", () => {
  beforeEach(() => {
    fake.handlers.getInstance = ({ instance }) => {
      if (instance !== "db-1") throw new SlipwayError("not-found", `instance ${instance}: there is none`);
      return {
        instance: { host: "hv1", cluster: "c1", facts: { uuid, name: "db-1" } },
        targets: [{ host: "hv2", possible: true }],
      };
    };
    fake.handlers.getHost = ({ host }) => {
      if (host !== "hv7") throw new SlipwayError("not-found", `host "${host}": there is none of that name`);
      return { host: { name: "hv7" } };
    };
  });

  test("starts a run that does nothing else", async () => {
    const { status, out } = await slipway("instance", "move", "db-1", "--to", "hv2", "--detach");
    expect([status, out]).toEqual([0, expect.stringMatching(/^run r1 started; watch it with: slipway watch r1/)]);
    expect(started).toMatchObject([
      { scope: { hosts: ["hv1"] }, options: { op: "move", moves: [{ uuid, name: "db-1", to: "hv2" }] } },
    ]);
  });

  test.each([
    [["db-1", "--to", "hv1"], /instance db-1: it is on hv1 already; name another host/],
    [["db-1", "--to", "hv7"], /instance db-1: hv7 is not in cluster c1; choose one of hv2/],
    [["db-1", "--to", "hv8"], /host "hv8": there is none of that name/],
    [["db-2", "--to", "hv2"], /instance db-2: there is none/],
    [["db-1"], /required option '--to <host>' not specified/],
  ])("%j is refused, and nothing is started", async (args, expected) => {
    const { status, err } = await slipway("instance", "move", ...args);
    expect([status, err, started]).toEqual([2, expect.stringMatching(expected), []]);
  });
});

test("instance list exits with 1 when the instances of a host are not known", async () => {
  fake.handlers.listInstances = (request) => {
    expect(request).toMatchObject({ host: "", cluster: "c1" });
    return { unknown: [{ rule: "x", subject: "hv3", text: "hv3 is not connected", fix: "start it" }] };
  };
  expect(await slipway("instance", "list", "--cluster", "c1")).toMatchObject({
    status: 1,
    out: "no instance\n\nnot known\n  hv3 is not connected; start it\n",
  });
});

describe("drain and restore", () => {
  test("start runs over the named hosts, which may all be out together", async () => {
    await slipway("drain", "hv1", "hv2,hv3", "--detach", "--consent-stop", "a,b", "--consent-stop", "c");
    await slipway("restore", "hv1", "--detach", "--return", "exact");
    await slipway("drain", "hv1", "hv2", "--detach", "--max-out", "1", "--on-drain-failure", "return");
    expect(started).toMatchObject([
      { scope: { hosts: ["hv1", "hv2", "hv3"] }, options: { op: "drain", maxOut: 3, consentStop: ["a", "b", "c"] } },
      { scope: { hosts: ["hv1"] }, options: { op: "restore", maxOut: 1, return: "exact", consentStop: [] } },
      { options: { op: "drain", maxOut: 1, onDrainFailure: "return" } },
    ]);
  });

  test.each([
    [["drain"], /missing required argument 'HOST'/],
    [["drain", ","], /drain: no host is named/],
    [["restore", "hv1", "--return", "some"], /some.*none, preferred, exact/],
    [["drain", "hv1", "--return", "exact"], /unknown option '--return'/],
    [["drain", "hv1", "--consent-stop", "a,,b"], /--consent-stop: "a,,b" has an empty name/],
    [["restore", "hv1", "--payload", "x"], /unknown option '--payload'/],
  ])("%j is wrong use", async (args, expected) => {
    const { status, err } = await slipway(...args);
    expect([status, err, started]).toEqual([2, expect.stringMatching(expected), []]);
  });
});

describe("rebalance", () => {
  const move = { uuid, name: "web", from: "hv1", to: "hv2", weight: 1, memoryMib: 1 };

  test("only proposes without --yes", async () => {
    fake.handlers.planRebalance = (request) => {
      expect(request).toMatchObject({ cluster: "c1", maxMoves: 4 });
      return { moves: [move] };
    };
    const { status, out } = await slipway("rebalance", "--cluster", "c1", "--max-moves", "4");
    expect([status, out, started]).toEqual([0, expect.stringMatching(/web +hv1 +hv2[\s\S]*--cluster c1 --yes\n$/), []]);
  });

  test("starts what it proposed with --yes", async () => {
    fake.handlers.planRebalance = () => ({ moves: [move] });
    expect((await slipway("rebalance", "--cluster", "c1", "--yes", "--detach")).status).toBe(0);
    expect(started).toMatchObject([
      { scope: { clusters: ["c1"] }, options: { op: "move", moves: [{ uuid, name: "web", to: "hv2" }] } },
    ]);
  });

  test("asks at a terminal, and takes nothing but yes for a yes", async () => {
    fake.handlers.planRebalance = () => ({ moves: [move] });
    for (const [answer, runs] of [
      ["", 0],
      ["no", 0],
      ["y", 1],
    ] as const) {
      started = [];
      const io = Object.assign(new FakeIo({ SLIPWAY_CONFIG: fake.config }), { ask: async () => answer });
      await run(["rebalance", "--cluster", "c1", "--detach"], io);
      expect([answer, started.length]).toEqual([answer, runs]);
    }
  });

  test("with nothing to move exits with 3", async () => {
    fake.handlers.planRebalance = () => ({});
    expect((await slipway("rebalance", "--cluster", "c1", "--yes")).status).toBe(3);
    expect(started).toEqual([]);
  });
});

describe("pool", () => {
  const file = (text: string) => {
    const path = join(dir, "pool.yaml");
    writeFileSync(path, text);
    return path;
  };

  test("check needs no controller and names every problem with its line", async () => {
    fake.die();
    const good = await slipway("pool", "check", file("instances: [{ match: a }]\n"));
    expect([good.status, good.out]).toEqual([
      0,
      expect.stringMatching(/pool\.yaml: 1 rule for instances, nothing is wrong/),
    ]);
    const bad = file("capcity: {}\ninstances:\n  - { match: a, tier: x }\n");
    const { status, err } = await slipway("pool", "check", bad);
    expect(status).toBe(2);
    expect(err.trimEnd().split("\n")).toEqual([
      `slipway: ${bad}:1: key "capcity" is unknown; did you mean "capacity"?`,
      `slipway: ${bad}:3: instances[1].tier: "x"; write a whole number from -100 to 100`,
    ]);
    expect(JSON.parse((await slipway("pool", "check", bad, "--json")).out)).toMatchObject({
      ok: false,
      problems: [{ line: 1 }, { line: 3 }],
    });
    expect((await slipway("pool", "check", join(dir, "none"))).err).toMatch(/none does not exist; name a pool file/);
  });

  test("apply sends a good file, and nothing of a bad one", async () => {
    const sent: operatorWire.ApplyPoolRequest[] = [];
    fake.handlers.applyPool = (request) => {
      sent.push(request);
      const warnings = [{ rule: "x", subject: "hv7", text: "there is no host hv7", fix: "see slipway host list" }];
      return { version: { number: 4 }, changed: true, warnings };
    };
    const text = "capacity: { spareHosts: 1 }\n";
    expect(await slipway("pool", "apply", file(text))).toMatchObject({
      status: 0,
      out: expect.stringMatching(/version 4 is in force\nwarning: there is no host hv7; see slipway host list\n/),
    });
    expect(sent).toMatchObject([{ file: "pool.yaml", text }]);
    expect((await slipway("pool", "apply", file("capacity: 1"))).status).toBe(2);
    expect(sent).toHaveLength(1);
  });

  test("show prints the file so that it can be kept", async () => {
    fake.handlers.getPool = () => ({
      text: "capacity: {}\n",
      history: [{ number: 1, who: "alice", file: "p", atMs: 1n }],
    });
    expect((await slipway("pool", "show")).out).toBe("capacity: {}\n");
  });
});
