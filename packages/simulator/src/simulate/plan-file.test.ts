import { describe, expect, test } from "vitest";
import { planFileOf } from "../testing/plans.ts";
import { readPlan } from "./plan-file.ts";

const good = planFileOf({
  hosts: { hv1: { gib: 16, instances: { vm1: 2 } }, hv2: { gib: 16 }, hv3: { gib: 16 } },
});
type Json = { [key: string]: Json };
/** The plan with something else at a path; undefined: nothing. */
const edited = (...changes: [path: string, value: unknown][]) => {
  const plan: Json = JSON.parse(good);
  for (const [path, value] of changes) {
    const keys = path.split(".");
    const last = keys.pop() ?? "";
    const at = keys.reduce<Json>((part, key) => part[key] ?? {}, plan);
    if (value === undefined) delete at[last];
    else at[last] = value as Json;
  }
  return JSON.stringify(plan);
};
const uuid = "00000000-0000-4000-8000-000000000001";

describe("a plan file", () => {
  test("is what the command prints: fields that are absent or null, and those of newer versions, do no harm", () => {
    const text = edited(["relaxations", null], ["newer", [1, { a: 2 }]]);
    expect(readPlan(text, "p").schedule.turns.map((t) => t.host)).toEqual(["hv2", "hv3", "hv1"]);
  });

  test.each<[string, string, RegExp]>([
    ["empty", " \n", /^p: is empty; make one: slipway --json plan/],
    ["text", "wave 1  cluster c1\n", /^p: is no JSON; plans are read as --json prints them; make one/],
    ["cut off", good.slice(0, good.length / 2), /^p: is damaged or cut off: it begins like JSON and does not end so;/],
    ["a list", "[]", /^p: is JSON, but no plan;/],
    ["null", "null", /^p: is JSON, but no plan;/],
    ["a report", '{"run":"r1","hosts":[]}', /^p: is JSON, but no plan: waves or options are missing;/],
    ["an error", '{"error":{"code":"bad-input"}}', /^p: is the answer of a command that failed, and no plan;/],
    [
      "two plans",
      '{"whatIf":{},"before":{},"after":{}}',
      /^p: holds the two plans of --what-if; choose one: jq \.after p \|/,
    ],
    ["wrong types", edited(["waves", 3]), /^p: is no plan that this version understands \(PlanView\.waves/],
    [
      "wrong types inside",
      edited(["pool.hosts.0.memoryMib", "much"]),
      /^p: is no plan that this version understands \(PoolHost\.memory_mib/,
    ],
    [
      "without a pool",
      edited(["pool", undefined]),
      /^p: the plan does not say of what pool it was made; make it with --json/,
    ],
    [
      "without a schedule",
      edited(["schedule", undefined]),
      /^p: the plan has no schedule, so there is nothing to play;/,
    ],
    [
      "that cannot be done",
      edited(["pool", undefined], ["schedule", undefined], ["blockers", [{ text: "vm1 fits nowhere" }]]),
      /^p: the plan has no schedule, because vm1 fits nowhere; plan again when it can be done/,
    ],
    ["a turn of an unknown host", edited(["schedule.turns.0.host", "hv9"]), /^p: host hv9 is not in its pool;/],
    ["a host twice", edited(["pool.hosts.1.name", "hv1"]), /^p: its pool has host hv1 twice;/],
    [
      "a host with a strange name",
      edited(["pool.hosts.1.name", "a/b"]),
      /^p: host "a\/b" of its pool has no name of a host;/,
    ],
    [
      "an instance twice",
      edited(["pool.instances.1", { uuid, name: "vm2", host: "hv1" }]),
      new RegExp(`^p: its pool has instance vm2 \\(${uuid}\\) twice;`),
    ],
    [
      "an instance without a uuid",
      edited(["pool.instances.0.uuid", ""]),
      /^p: instance "vm1" of its pool has no uuid but "";/,
    ],
    ["a move of nothing", edited(["pool.instances", []]), /^p: instance vm1 is moved and is not in its pool;/],
  ])("that is %s is refused in one line", (_, text, expected) => {
    expect(() => readPlan(text, "p")).toThrow(expected);
    try {
      readPlan(text, "p");
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: "bad-input", exitStatus: 2 });
      expect(String(thrown)).not.toContain("\n");
    }
  });

  test("that is cut off anywhere is refused, and nothing else is thrown", () => {
    for (let n = 0; n < good.length; n += 37)
      expect(() => readPlan(good.slice(0, n), "p")).toThrow(/^p: is (empty|damaged or cut off)/);
  });
});
