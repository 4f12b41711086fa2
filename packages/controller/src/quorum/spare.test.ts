import { expect, test } from "vitest";
import { spareGroups } from "./spare.ts";
import type { Member, MemberSet, System } from "./system.ts";

const member = (name: string, host: string | undefined, votes = 1): Member => ({
  ...{ name, votes, state: "up", roles: [], note: "" },
  ...(host === undefined ? {} : { host }),
});
const system = (members: readonly Member[], needed: number, over: Partial<MemberSet> = {}): System => ({
  ...{ name: "etcd", state: "healthy", reasons: [] },
  sets: [{ name: "members", needed, members, oneOf: [], repairing: "", ...over }],
});
const on = (...hosts: readonly (string | undefined)[]) => hosts.map((h, i) => member(`m${i}`, h));
/** "etcd: 2 of hv1 hv2 hv3". */
const groups = (one: System, out: string[] = []) =>
  spareGroups([one], out).map((g) => `${g.name}: ${g.needed} of ${g.members.map((m) => m.name).join(" ")}`);

test("of a majority system as many hosts as it can spare may be planned out at once", () => {
  expect(groups(system(on("hv1", "hv2", "hv3"), 2))).toEqual(["etcd: 2 of hv1 hv2 hv3"]);
  expect(groups(system(on("hv1", "hv2", "hv3", "hv4", "hv5"), 3))).toEqual(["etcd: 3 of hv1 hv2 hv3 hv4 hv5"]);
});

test("members that are down now will be up again; the gate knows better at each turn", () => {
  const down = on("hv1", "hv2", "hv3").map((m) => ({ ...m, state: "down" as const }));
  expect(groups(system(down, 2))).toEqual(["etcd: 2 of hv1 hv2 hv3"]);
});

test("members outside of the pool hold, too", () => {
  expect(groups(system(on("hv1", "hv2", "hv3", undefined, undefined), 3))).toEqual(["etcd: 1 of hv1 hv2 hv3"]);
});

test("the hosts with the most votes are reckoned with, and all members of a host go together", () => {
  const members = [member("a", "hv1", 3), member("b", "hv2"), member("c", "hv3"), member("d", "hv3")];
  // 6 votes, 3 needed: hv1 alone takes 3.
  expect(groups(system(members, 3))).toEqual(["etcd: 2 of hv1 hv2 hv3"]);
});

test("beside an arbiter one data brick stays", () => {
  const bricks = system(on("hv1", "hv2", "hv3"), 1, { name: "gv0 set 1", oneOf: ["m0", "m1"] });
  expect(groups(bricks)).toEqual(["etcd, gv0 set 1: 1 of hv1 hv2 hv3", "etcd, gv0 set 1: one of m0, m1: 1 of hv1 hv2"]);
});

test("one host can always be planned beside those that are out", () => {
  expect(groups(system(on("hv1", "hv2", "hv3"), 3))).toEqual(["etcd: 2 of hv1 hv2 hv3"]);
  expect(groups(system(on("hv1", "hv2", "hv3"), 2), ["hv1"])).toEqual(["etcd: 1 of hv1 hv2 hv3"]);
});

test("what can spare every host, or has but one, limits nothing", () => {
  expect(groups(system(on("hv1", "hv2"), 0))).toEqual([]);
  expect(groups(system(on("hv1"), 1))).toEqual([]);
});
