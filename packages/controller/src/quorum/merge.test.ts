import type { SystemHealth } from "@slipway/shared";
import { expect, test } from "vitest";
import { mergeViews } from "./merge.ts";
import type { Whereabouts } from "./system.ts";

const where: Whereabouts = {
  hostOf: (address) => (/^h\d$/.test(address) ? address : undefined),
  outside: ["arbiter.example"],
};

function health(states: Record<string, "up" | "down" | "unknown">, change: Partial<SystemHealth> = {}): SystemHealth {
  const members = Object.entries(states).map(([host, state]) => ({
    name: `m-${host}`,
    host,
    votes: 1,
    state,
    roles: [],
    note: "",
  }));
  return {
    system: "etcd",
    identity: "cafe",
    state: Object.values(states).includes("down") ? "degraded" : "healthy",
    reasons: Object.values(states).includes("down") ? ["a member is down"] : [],
    sets: [{ name: "members", needed: 2, members, oneOf: [], repairing: "" }],
    goingVerdict: "",
    goingReasons: [],
    evidence: [],
    version: "",
    ...change,
  };
}
const allUp = health({ h1: "up", h2: "up", h3: "up" });
const views = (...seen: SystemHealth[]) => seen.map((h, i) => ({ from: `h${i + 1}`, health: h }));
const merge = (...seen: SystemHealth[]) => mergeViews("etcd", views(...seen), where);

test("two equal views are one picture", () => {
  const merged = merge(allUp, allUp);
  expect(merged.state).toBe("healthy");
  expect(merged.sets[0]?.members.map((m) => [m.host, m.state])).toEqual([
    ["h1", "up"],
    ["h2", "up"],
    ["h3", "up"],
  ]);
});

test("views that contradict each other are unknown, and the member counts as down", () => {
  const merged = merge(allUp, health({ h1: "up", h2: "down", h3: "up" }));
  expect(merged.state).toBe("unknown");
  expect(merged.reasons).toEqual(["members: h1 sees m-h2 up, h2 sees m-h2 down"]);
  expect(merged.sets[0]?.members[1]?.state).toBe("down");
});

test.each([
  ["nobody asked", [], "etcd: no host could be asked"],
  [
    "one cannot read it",
    [allUp, health({}, { state: "unknown", reasons: ["no answer in 5 s"], sets: [] })],
    "seen from h2: no answer in 5 s",
  ],
  ["a state of another version", [health({ h1: "up" }, { state: "fine" })], 'seen from h1: state "fine" is not known'],
  [
    "two systems",
    [allUp, { ...allUp, identity: "beef" }],
    "h1 is answered by cafe, h2 is answered by beef: these are different systems",
  ],
  ["a member that only one lists", [allUp, health({ h1: "up", h2: "up" })], "members: h2 does not list m-h3"],
  ["a set that only one knows", [allUp, { ...allUp, sets: [] }], "h2 does not know of members"],
  [
    "a member on no host of the pool",
    [health({ h1: "up", "10.0.0.9": "up" })],
    'members: m-10.0.0.9 runs on 10.0.0.9, which is no host of the pool; list it under "outside" if that is right',
  ],
] as const)("%s: unknown", (_name, seen, reason) => {
  const merged = merge(...seen);
  expect(merged.state).toBe("unknown");
  expect(merged.reasons).toContain(reason);
});

test("a member outside of the pool is known by its address and stays up", () => {
  const merged = merge(health({ h1: "up", "arbiter.example": "up" }));
  expect(merged.state).toBe("healthy");
  expect(merged.sets[0]?.members[1]?.host).toBeUndefined();
});

test("degraded as one sees it is degraded, with the reasons of all", () => {
  const healing = { ...allUp, state: "degraded", reasons: ["3 entries to heal"] };
  expect(merge(allUp, healing)).toMatchObject({ state: "degraded", reasons: ["3 entries to heal"] });
});
