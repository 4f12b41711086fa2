import { SlipwayError } from "@slipway/shared";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planFileOf } from "../testing/plans.ts";
import { faultShapes, readFault, readFaults } from "./faults.ts";
import { readPlan } from "./plan-file.ts";

const hosts = {
  hv1: { gib: 16, instances: { vm7: 2 } },
  hv2: { gib: 16 },
  hv3: { gib: 16, hooks: { Maintenance: [{ durationMs: 1, exit: 0 }] as const } },
  out1: { gib: 16, labels: { zone: "z2" } },
};
const plan = readPlan(planFileOf({ hosts }), "p");
const rebooted = readPlan(planFileOf({ hosts, options: { reboot: "always" } }), "p");

const read = (text: string, of = plan) => {
  const { entries } = readFault(text, of, 10_000);
  // Of what sets it off only whether there is something can be compared.
  return entries.map(({ at, when, after, do: does }) => [
    at ?? (when ? "when" : "never"),
    ...(after ? [after] : []),
    does,
  ]);
};

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return "";
}

describe("a fault", () => {
  test.each<[string, unknown]>([
    ["hv2: Maintenance fails", [["0s", ["the Maintenance hook of hv2 fails"]]]],
    ["hv2:  PreFlight   hangs", [["0s", ["the PreFlight hook of hv2 hangs"]]]],
    ["hv2: Maintenance fails @2m", [["130000ms", ["the Maintenance hook of hv2 fails"]]]],
    ["hv2: power cut @Maintenance", [["when", ["power cut hv2"]]]],
    ["hv2: power cut @2m", [["130000ms", ["power cut hv2"]]]],
    ["hv2: power cut @0s", [["10000ms", ["power cut hv2"]]]],
    ["out1: power cut @drain of hv3", [["when", ["power cut out1"]]]],
    ["hv2: agent dies for 30s @2m", [["130000ms", ["kill agent hv2 for 30000ms"]]]],
    ["hv2: agent dies @ 90s", [["100000ms", ["kill agent hv2"]]]],
    ["hv2: network cut for 1.5m @gate", [["when", ["partition hv2 for 90000ms"]]]],
    ["hv3: has 64 GiB @1m", [["70000ms", ["hv3 has 64 GiB from now on"]]]],
    ["vm7: moves fail", [["0s", ["moves of vm7 fail"]]]],
    ["vm7: moves hang @1h", [["3610000ms", ["moves of vm7 get stuck"]]]],
    ["vm7: moves take 10x", [["0s", ["moves of vm7 take 10 times as long"]]]],
    ["vm7: down @1m", [["70000ms", ["vm7 shuts itself down"]]]],
    [
      "vm7: down for 2m @1m",
      [
        ["70000ms", ["vm7 shuts itself down"]],
        ["190000ms", ["vm7 is started again"]],
      ],
    ],
    [
      "hv2: down for 2m @Maintenance of hv3",
      [
        ["when", ["hv2 never returns", "power cut hv2"]],
        ["when", "120000ms", ["hv2 returns"]],
      ],
    ],
    ["new1 starts on hv3 with 4 GiB @1m", [["70000ms", "new1 of 4 GiB is started on hv3"]]],
    ["new1 starts on hv3 @drain", [["when", "new1 of 1 GiB is started on hv3"]]],
    ["controller: dies for 20s @Maintenance of hv2", [["when", ["kill controller for 20000ms"]]]],
    ["controller: dies @1m", [["70000ms", ["kill controller"]]]],
  ])("%s", (text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  test("of a reboot is one where there are reboots", () => {
    expect(read("hv2: does not return", rebooted)).toEqual([["0s", ["hv2 never returns"]]]);
    expect(() => read("hv2: does not return")).toThrow(/hv2 is not rebooted in this plan; cut its power for good/);
  });

  test("is set off by the hook that starts, or by the step of its host, and by no other line", () => {
    const set = (text: string) => readFault(text, plan, 0).entries[0]?.when as (line: object) => boolean;
    const hook = set("hv2: power cut @Maintenance");
    expect(hook({ kind: "hook", subject: "hv2", text: "Maintenance hook starts" })).toBe(true);
    expect(hook({ kind: "hook", subject: "hv2", text: "Maintenance hook ends" })).toBe(false);
    expect(hook({ kind: "hook", subject: "hv21", text: "Maintenance hook starts" })).toBe(false);
    expect(hook({ kind: "run", subject: "host hv2", text: "draining => maintenance" })).toBe(false);
    const step = set("hv2: power cut @drain");
    expect(step({ kind: "run", subject: "host hv2", text: "cordoning => draining" })).toBe(true);
    expect(step({ kind: "run", subject: "host hv2", text: "checked => draining (attempt 2)" })).toBe(true);
    expect(step({ kind: "run", subject: "host hv2", text: "draining => maintenance" })).toBe(false);
    expect(step({ kind: "run", subject: "host hv1", text: "cordoning => draining" })).toBe(false);
  });

  test.each<[string, string]>([
    ["", 'it does not say what happens to whom; write for example "hv2: power cut @Maintenance"'],
    ["hv2", 'it does not say what happens to whom; write for example "hv2: power cut @Maintenance"'],
    ["hv2 power cut @1m", 'it does not say what happens to whom; write for example "hv2: power cut @Maintenance"'],
    ["hv22: power cut @1m", 'no host or instance of the plan is called "hv22"; did you mean hv2?'],
    ["hv2: power cut", "it does not say when; add @2m, or @Maintenance"],
    ["controller: dies", "it does not say when; add @2m, or @Maintenance of a host"],
    ["controller: dies @drain", "@drain: it does not say of which host; write @drain of hv1"],
    ["hv2: power cut @Maintenence", '@Maintenence: there is no step "Maintenence"; did you mean @Maintenance?'],
    ["hv2: power cut @soon", '@soon: there is no step "soon"; write @2m, or @Maintenance'],
    ["hv2: power cut @5", '"5" is no duration; write for example 90s, 2m or 1h'],
    ["hv2: power cut @99999h", '"99999h" is no duration; write for example 90s, 2m or 1h'],
    ["hv2: power cut @drain of hv8", 'no host of the plan is called "hv8"; did you mean hv1?'],
    ["hv2: agent dies for ever @1m", '"ever" is no duration; write for example 90s, 2m or 1h'],
    ["hv2: Maintenence fails", 'there is no hook "Maintenence"; did you mean Maintenance?'],
    [
      "hv3: PreFlight fails",
      "hv3 has no PreFlight in this plan; its steps are inspect, gate, cordon, drain, Maintenance, restore, uncordon",
    ],
    ["out1: Maintenance fails", "out1 has no turn in this plan; name one of hv1, hv2, hv3"],
    [
      "hv2: power cut @reboot",
      "hv2 has no reboot in this plan; its steps are inspect, PreFlight, PreMaintenance, gate, cordon, drain, Maintenance, restore, uncordon, PostMaintenance",
    ],
    ["hv2: has some GiB @1m", '"some" is no whole number above 0; write for example 4'],
    ["hv2: has 0 GiB @1m", '"0" is no whole number above 0; write for example 4'],
    ["vm7: moves take -1x", '"-1" is no whole number above 0; write for example 4'],
    [
      "vm7: power cut @1m",
      '"power cut" is nothing that can happen to an instance; write one of: moves fail | hang | take 10x; down for 2m @1m',
    ],
    [
      "controller: power cut @1m",
      '"power cut" is nothing that can happen to the controller; write one of: dies for 20s @Maintenance of hv2',
    ],
    ["vm7 starts on hv3 @1m", "vm7 is in the plan already; give it another name"],
    ["new1 starts on hv9 @1m", 'no host of the plan is called "hv9"; did you mean hv1?'],
    ["new1 starts on hv3", "it does not say when; add @2m, or @Maintenance"],
  ])("that cannot be is refused in one line: %j", (text, expected) => {
    expect(messageOf(() => read(text))).toBe(`--fault ${JSON.stringify(text)}: ${expected}`);
  });

  test("that starts the same new instance twice is refused", () => {
    const texts = ["new1 starts on hv1 @1m", "hv2: Maintenance fails", "new1 starts on hv2 @2m"];
    expect(messageOf(() => readFaults(texts, plan, 0))).toBe(
      "--fault: new1 starts twice; give each new instance a name of its own",
    );
    expect(readFaults(texts.slice(1), plan, 0)).toHaveLength(2);
  });

  test("every shape that is shown can be read", () => {
    for (const shape of faultShapes)
      for (const one of shape.split(" | ")) {
        const text = one.includes(":") || one.includes("starts") ? one : `${shape.split(/ \S+ \| /)[0]} ${one}`;
        expect(() => read(text, rebooted), text).not.toThrow();
      }
  });

  test("whatever is written is read or refused, and nothing else", () => {
    const word = fc.constantFrom(
      "hv2",
      "vm7",
      "controller",
      ":",
      "@",
      "for",
      "dies",
      "2m",
      "power",
      "cut",
      "GiB",
      "of",
      "\n",
      "ä",
      "has",
    );
    const garbage = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 9 }).map((w) => w.join(" ")),
    );
    fc.assert(
      fc.property(garbage, (text) => {
        try {
          expect(read(text).length).toBeGreaterThan(0);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(SlipwayError);
          expect((thrown as Error).message).not.toContain("\n");
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
