import { expect, test } from "vitest";
import { seenText } from "./seen.ts";
import type { Member, MemberSet, System } from "./system.ts";

const set = (name: string, states: readonly Member["state"][], needed: number, repairing = ""): MemberSet => ({
  ...{ name, needed, oneOf: [], repairing },
  members: states.map((state, i) => ({ name: `m${i}`, host: `hv${i + 1}`, votes: 1, state, roles: [], note: "" })),
});
const system = (...sets: MemberSet[]): System => ({ name: "etcd", state: "healthy", reasons: [], sets });

test("a system is told with its votes and who saw it", () => {
  const one = system(set("members", ["up", "up", "down"], 2));
  expect(seenText(one, ["hv10", "hv2"])).toBe("etcd: healthy, 2 of 3 up (2 needed), seen from hv2 and hv10");
  expect(seenText(one, ["hv2"])).toBe("etcd: healthy, 2 of 3 up (2 needed), seen from hv2");
});

test("of many sets those with the least to spare are told", () => {
  const whole = Array.from({ length: 4 }, (_, i) => set(`gv${i}`, ["up", "up", "up"], 2));
  const scarce = set("gv9", ["up", "up", "down"], 2, "3 entries to heal");
  expect(seenText(system(...whole, scarce), [])).toBe(
    "etcd: healthy, gv9 2 of 3 up (2 needed), 3 entries to heal, gv0 3 of 3 up (2 needed), gv1 3 of 3 up (2 needed), 2 more",
  );
});

test("one without members has a state only", () => {
  expect(seenText(system(), ["hv1"])).toBe("etcd: healthy, seen from hv1");
});
