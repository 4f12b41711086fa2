import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson } from "@bufbuild/protobuf";
import { operatorWire } from "@slipway/shared/wire";
import { planFileOf } from "@slipway/simulator/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toPlain } from "../json.ts";
import { run } from "../program.ts";
import { width } from "../render/text.ts";
import { FakeIo } from "../testing/fakeOperator.ts";

const dir = mkdtempSync(join(tmpdir(), "slipway-simulate-"));
const file = join(dir, "plan.json");
beforeAll(() => {
  const takes = [60_000, 90_000] as const;
  const text = planFileOf({
    hosts: {
      hv1: { gib: 16, takes, instances: { vm1: 4, vm2: 2 } },
      hv2: { gib: 16, takes, instances: { vm3: 4 } },
      hv3: { gib: 16, takes },
    },
  });
  // As the command prints it: every field, numbers as numbers.
  const view = create(operatorWire.PlanViewSchema, fromJson(operatorWire.PlanViewSchema, JSON.parse(text)));
  writeFileSync(file, JSON.stringify(toPlain(operatorWire.PlanViewSchema, view)));
});
afterAll(() => rmSync(dir, { recursive: true }));

async function slipway(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  // No configuration: it needs no controller.
  const io = new FakeIo({ SLIPWAY_CONFIG: join(dir, "none.yaml") });
  const status = await run(args, io);
  return { status, out: io.stdout, err: io.stderr };
}

describe("slipway simulate", () => {
  test("plays a plan: the log with the time since the start, and what became of it", async () => {
    const { status, out, err } = await slipway("simulate", file);
    expect([status, err]).toEqual([0, ""]);
    const [log = "", summary = ""] = out.split("\n\n");
    expect(log).toMatch(/^ {3}0:00:00 run r1: new => preflight \(3 hosts in 1 cluster, started by operator\)\n/);
    expect(log).toMatch(/^ {3}0:0\d:\d\d run r1: rolling => ended: succeeded \(OK: 3 updated\)$/m);
    expect(log).toMatch(/^\* {2}0:0\d:\d\d on hv\d: vm\d arrives from hv\d \(run r1\)$/m);
    expect(log).not.toContain("hook starts");
    expect(summary).toMatch(/^ended well: succeeded \(OK: 3 updated\)\nupdated: hv1, hv2, hv3\ntime: /);
    expect(summary).toContain("\nas planned: order, waves, moves and targets\n");
  });

  test("has a fault in the log, and exit status 1 when the run does not end well", async () => {
    const { status, out } = await slipway("simulate", file, "--fault", "hv2: Maintenance fails", "--log-level", "all");
    expect(status).toBe(1);
    expect(out).toContain("!  0:00:00 fault: hv2: Maintenance fails\n");
    expect(out).toMatch(/^\. {2}0:0\d:\d\d on hv2: Maintenance hook starts$/m);
    expect(out).toMatch(/\nwaits for an operator: the run was paused by slipway: hv2 failed;/);
    expect(out).toMatch(/\nfailed: hv2 \(/);
    expect(out).toContain("\notherwise than planned, with these faults:\n  - ");
  });

  test("wraps the log below its words where the terminal ends", async () => {
    const io = new FakeIo();
    Object.assign(io, { isTerminal: true, columns: () => 80 });
    await run(["simulate", file, "--fault", "hv2: Maintenance fails", "--no-color"], io);
    expect(Math.max(...io.stdout.split("\n").map(width))).toBeLessThanOrEqual(80);
    expect(io.stdout).toMatch(/\n {3}0:0\d:\d\d run r1: paused by slipway: hv2 failed;.*\n {11}\S/);
  });

  test("without a log prints what became of it, in lines that a terminal of 80 columns shows whole", async () => {
    const io = new FakeIo();
    Object.assign(io, { isTerminal: true, columns: () => 80 });
    await run(["simulate", file, "--fault", "hv2: Maintenance fails", "--log-level", "none", "--no-color"], io);
    expect(io.stdout).toMatch(/^waits for an operator: the run/);
    expect(Math.max(...io.stdout.split("\n").map(width))).toBeLessThanOrEqual(80);
  });

  test("gives the same as data, and the same again", async () => {
    const args = ["--json", "simulate", file, "--fault", "hv2: agent dies for 5s @Maintenance", "--seed", "3"];
    const [once, again] = [await slipway(...args), await slipway(...args)];
    expect(once).toEqual(again);
    const data = JSON.parse(once.out);
    expect(data).toMatchObject({
      ...{ plan: file, faults: ["hv2: agent dies for 5s @Maintenance"], seed: 3, outcome: "succeeded", success: true },
      ...{ violations: [], planDifferences: [], faultsUnmet: [], moves: { made: 3 } },
    });
    expect(data.log.find((l: { kind: string }) => l.kind === "script").text).toBe(
      "hv2: agent dies for 5s @Maintenance",
    );
    expect(data.log.at(-1)).toMatchObject({ kind: "run", subject: "run r1" });
    expect(
      Object.values(data.instances as Record<string, string[]>)
        .flat()
        .sort(),
    ).toEqual(["vm1", "vm2", "vm3"]);
  });

  test.each<[string[], RegExp]>([
    [
      [join(dir, "none.json")],
      /^slipway: plan .*none\.json: does not exist; name a file that slipway --json plan printed\n$/,
    ],
    [[dir], /^slipway: plan .*: is a directory;/],
    [[file, "--seed", "x"], /^slipway: --seed: "x" is no seed; write a whole number, such as 7\n$/],
    [
      [file, "--fault", "hv9: power cut @1m"],
      /^slipway: --fault "hv9: power cut @1m": no host or instance .* did you mean hv1\?\n$/,
    ],
    [[file, "--log-level", "loud"], /^slipway: option '--log-level <level>' argument 'loud' is invalid\./],
    [[], /^slipway: missing required argument 'PLAN'/],
  ])("%j is wrong use in one line", async (args, expected) => {
    const { status, out, err } = await slipway("simulate", ...args);
    expect([status, out]).toEqual([2, ""]);
    expect(err).toMatch(expected);
    expect(err.trimEnd()).not.toContain("\n");
  });

  test("explains itself: every kind of fault is in its help", async () => {
    const { out } = await slipway("simulate", "--help");
    for (const word of [
      "fails | hangs",
      "power cut",
      "does not return",
      "agent dies",
      "network cut",
      "has N GiB",
      "take Nx",
      "starts on",
      "controller: dies",
    ])
      expect(out).toContain(word);
  });
});
