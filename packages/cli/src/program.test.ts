import { SlipwayError } from "@slipway/shared";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "./program.ts";
import { FakeIo, FakeOperator } from "./testing/fakeOperator.ts";

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

const report = {
  run: "r1",
  outcome: "succeeded",
  success: true,
  details: "2 hosts",
  startedAt: "2026-01-02T03:00:00Z",
  endedAt: "2026-01-02T03:04:00Z",
  hostsupdated: [{ hostid: "1", hostname: "hv1", startdate: "a", enddate: "b", output: "" }],
  hosts: [
    {
      name: "hv1",
      outcome: "updated",
      stages: [
        { stage: "PreFlight", attempt: 1, verdict: "no-hook" },
        { stage: "Maintenance", attempt: 1, verdict: "ok", exitCode: 0, durationMs: 1500n, output: "x\n" },
      ],
    },
  ],
};

describe("command line", () => {
  test.each([
    [["start"], /^slipway: scope: none is given; say one of/],
    [["start", "--hosts", "a", "--zone", "z"], /hosts a and zone z are 2 kinds/],
    [["plan", "--host", "a,,b"], /has an empty name/],
    [["start", "--cluster", "c1", "--timeout", "soon"], /--timeout: "soon" is no duration/],
    [["start", "--cluster", "c1", "--max-out", "0"], /--max-out: "0"/],
    [["start", "--cluster", "c1", "--payload", "'open"], /payload/],
    [["start", "--cluster", "c1", "--on-failure", "explode"], /explode.*cordoned, uncordon/],
    [["strat"], /unknown command 'strat'; did you mean start\?/i],
    [["list", "--limit", "x"], /--limit: "x"/],
    [["cordon"], /missing required argument 'HOST'/],
    [["dev", "--dir", "/nonexistent/x", "--hosts", "0"], /--hosts: "0" is no number from 1 to 500/],
    [["dev", "--dir", "/nonexistent/x", "--hosts", "501"], /from 1 to 500/],
    [["dev", "--dir", "/nonexistent/x"], /--hosts: is missing/],
  ])("%j is wrong use in one line", async (args, expected) => {
    const { status, out, err } = await slipway(...args);
    expect(err).toMatch(expected);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    expect({ status, out }).toEqual({ status: 2, out: "" });
  });

  test("--json adds the error as one object, wherever it stands", async () => {
    for (const args of [
      ["--json", "start"],
      ["start", "--json"],
      ["nonsense", "--json"],
    ]) {
      const { status, out } = await slipway(...args);
      expect(status).toBe(2);
      expect(JSON.parse(out).error).toMatchObject({ code: "bad-input", fix: expect.stringMatching(/./) });
    }
  });

  test("help is there for every command, with an example", async () => {
    const root = await slipway("--help");
    expect(root.status).toBe(0);
    const commands = [
      "plan",
      "start",
      "watch",
      "report",
      "ledger",
      "audit",
      "cordon",
      "token",
      "completion",
      "dev",
      "drain",
      "restore",
      "rebalance",
    ];
    for (const command of [
      ...commands.map((c) => [c]),
      ["run", "abort"],
      ["run", "mark-done"],
      ["run", "override"],
      ["host", "show"],
      ["instance", "move"],
      ["pool", "apply"],
    ]) {
      const { status, out } = await slipway(...command, "--help");
      expect(status).toBe(0);
      expect(out).toMatch(/Examples?:\n {2}\S/);
      expect(root.out).toContain(command[0]);
    }
  });

  test("a command without its subcommand shows help and is wrong use", async () => {
    const { status, err } = await slipway("run");
    expect(status).toBe(2);
    expect(err).toContain("abort");
  });
});

describe("calls", () => {
  test("options reach the controller; durations in milliseconds", async () => {
    let seen: unknown;
    fake.handlers.startRun = (request) => {
      seen = request;
      return { run: "r1" };
    };
    const { status, out } = await slipway(
      ..."start --cluster c1,c2 --cluster c3 --detach --json --timeout 90 --grace 500ms --max-out 2 --forced".split(
        " ",
      ),
      "--payload",
      'a "b c" $HOME; ,',
    );
    expect({ status, out }).toEqual({ status: 0, out: '{"run":"r1"}\n' });
    expect(seen).toMatchObject({
      scope: { clusters: ["c1", "c2", "c3"], hosts: [] },
      options: {
        timeoutMs: 90_000n,
        graceMs: 500n,
        maxOut: 2,
        forced: true,
        payload: 'a "b c" $HOME; ,',
        pingIntervalMs: 0n,
      },
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
  });

  test("start --json prints the report as one object; status tells the outcome", async () => {
    fake.handlers.startRun = () => ({ run: "r1" });
    fake.handlers.watchRun = (call) => {
      call.write({ message: { case: "snapshot", value: { run: "r1", state: "ended", outcome: "succeeded" } } });
      call.end();
    };
    let outcome = "succeeded";
    fake.handlers.getReport = () => ({ report: { ...report, outcome } });
    const { status, out } = await slipway("start", "--hosts", "hv1", "--json");
    expect(status).toBe(0);
    const printed = JSON.parse(out);
    expect(printed).toMatchObject({ run: "r1", outcome: "succeeded", success: true, hostsskipped: [], ledger: [] });
    expect(printed.hosts[0]).toMatchObject({ name: "hv1", outcome: "updated", reason: "", reasonCode: "" });
    expect(printed.hosts[0].stages[0]).toMatchObject({ exitCode: null, signal: "", durationMs: 0, startedAt: "" });
    expect(printed.hosts[0].stages[1]).toMatchObject({ exitCode: 0, durationMs: 1500, output: "x\n" });
    for (const [word, expected] of [
      ["nothing-done", 3],
      ["failed", 1],
      ["aborted", 1],
    ] as const) {
      outcome = word;
      expect((await slipway("start", "--hosts", "hv1", "--json")).status).toBe(expected);
    }
  });

  test("start in a pipe prints one line per log line, then the report", async () => {
    fake.handlers.startRun = () => ({ run: "r1" });
    fake.handlers.watchRun = (call) => {
      call.write({
        message: { case: "snapshot", value: { run: "r1", state: "rolling" } },
      });
      call.write({
        message: { case: "line", value: { seq: 1n, atMs: 0n, subject: "host hv1", text: "a => b\x1b[2J" } },
      });
      call.write({ message: { case: "line", value: { seq: 2n, atMs: 0n, subject: "host hv2", text: "a => b" } } });
      call.write({ message: { case: "snapshot", value: { run: "r1", state: "ended", outcome: "succeeded" } } });
      call.end();
    };
    fake.handlers.getReport = () => ({ report });
    const { status, out } = await slipway("start", "--hosts", "hv1");
    expect(status).toBe(0);
    expect(out.match(/^\d\d:\d\d:\d\d host hv1: a => b/gm)).toHaveLength(1);
    expect(out).not.toContain("\x1b");
    expect(out).toMatch(/1 host: 1 updated, 0 skipped, 0 failed, 0 untouched/);
  });

  test("a refusal of the controller is one line with its status", async () => {
    fake.handlers.plan = () => {
      throw new SlipwayError("bad-input", "timeout: 1 s is below the ping interval of 10 s", {
        fix: "raise --timeout",
      });
    };
    expect(await slipway("plan", "--hosts", "hv1")).toEqual({
      status: 2,
      out: "",
      err: "slipway: timeout: 1 s is below the ping interval of 10 s; raise --timeout\n",
    });
    const { out } = await slipway("plan", "--hosts", "hv1", "--json");
    expect(JSON.parse(out)).toEqual({
      error: { code: "bad-input", text: "timeout: 1 s is below the ping interval of 10 s", fix: "raise --timeout" },
    });
  });

  test("runs are found by prefix and as last; an ambiguous prefix is refused", async () => {
    const runs = [{ run: "ab12" }, { run: "ab34" }, { run: "cd56" }];
    fake.handlers.listRuns = ({ limit }) => ({ runs: limit === 1 ? runs.slice(0, 1) : runs });
    fake.handlers.getRun = ({ run }) => {
      const found = runs.find((r) => r.run === run);
      if (!found) throw new SlipwayError("not-found", `run ${run}: unknown`);
      return { run: { ...found, state: "rolling" } };
    };
    expect(JSON.parse((await slipway("show", "cd", "--json")).out)).toMatchObject({ run: "cd56", hosts: [] });
    expect(JSON.parse((await slipway("run", "show", "last", "--json")).out)).toMatchObject({ run: "ab12" });
    expect(await slipway("show", "ab")).toMatchObject({ status: 2, err: expect.stringContaining("ab12, ab34") });
    expect(await slipway("show", "zz")).toMatchObject({ status: 2, err: "slipway: run zz: unknown\n" });
  });

  test("a controller that is away is named with the file that says where it is", async () => {
    fake.die();
    const { status, err } = await slipway("host", "list");
    expect(status).toBe(1);
    expect(err).toMatch(
      new RegExp(
        `^slipway: controller 127.0.0.1:${fake.port}: cannot be reached \\(.*ECONNREFUSED.*\\); .*cli\\.yaml\n$`,
      ),
    );
    expect((await slipway("start", "--hosts", "a")).err).toMatch(/^slipway: controller .*cannot be reached[^\n]*\n$/);
    expect(await slipway("__complete", "hosts")).toEqual({ status: 0, out: "", err: "" });
  });
});
