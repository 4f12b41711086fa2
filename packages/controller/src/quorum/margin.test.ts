import { expect, test } from "vitest";
import { marginOf } from "./margin.ts";
import type { Member, MemberSet } from "./system.ts";

const member = (name: string, change: Partial<Member> = {}): Member => ({
  ...{ name, host: name, votes: 1, state: "up", roles: [], note: "" },
  ...change,
});
const set = (needed: number, members: readonly Member[], oneOf: readonly string[] = []): MemberSet => ({
  ...{ name: "members", needed, members, oneOf, repairing: "" },
});

test.each([
  [
    "three of which two are needed",
    set(
      2,
      ["a", "b", "c"].map((n) => member(n)),
    ),
    1,
  ],
  ["one is down", set(2, [member("a"), member("b"), member("c", { state: "down" })]), 0],
  ["one is unknown", set(2, [member("a"), member("b"), member("c", { state: "unknown" })]), 0],
  ["too few already", set(2, [member("a"), member("b", { state: "down" })]), -1],
  ["the heaviest goes first", set(3, [member("a", { votes: 3 }), member("b"), member("c")]), 0],
  ["one that no host takes along stays", set(1, [member("a"), member("b", { host: undefined as never })]), 1],
  [
    "a data brick must stay beside the arbiter",
    set(
      1,
      ["a", "b", "c"].map((n) => member(n)),
      ["a", "b"],
    ),
    1,
  ],
  ["no data brick is up", set(1, [member("a", { state: "down" }), member("c")], ["a"]), -1],
])("%s", (_what, members, margin) => {
  expect(marginOf(members)).toBe(margin);
});
