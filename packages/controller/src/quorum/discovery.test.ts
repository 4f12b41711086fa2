import type { SystemHealth } from "@slipway/shared";
import { expect, test } from "vitest";
import { discover, type Finding } from "./discovery.ts";

const members = (...hosts: (readonly [name: string, host: string])[]) =>
  hosts.map(([name, host]) => ({ name, host, votes: 1, state: "up", roles: [], note: "" }));
const health = (change: Partial<SystemHealth>): SystemHealth => ({
  ...{ system: "etcd", identity: "", state: "healthy", reasons: [], goingVerdict: "", goingReasons: [] },
  ...{ sets: [], evidence: [], version: "" },
  ...change,
});
const set = (list: ReturnType<typeof members>) => ({
  name: "members",
  needed: 2,
  members: list,
  oneOf: [],
  repairing: "",
});
const three = members(["hv1", "10.0.0.1"], ["node-b", "10.0.0.2"], ["node-c", "10.0.0.3"]);
const found = (host: string, change: Partial<SystemHealth>): Finding => ({
  host,
  cluster: "c1",
  system: "etcd",
  health: health(change),
});
const directory = {
  hostOf: (address: string) => (["hv1", "hv2", "hv3"].includes(address) ? address : undefined),
  hostWith: (address: string) => (address === "10.0.0.2" ? "hv2" : undefined),
};

test("hosts that see the same system belong to one proposal, which maps its members to hosts", () => {
  const { systems } = discover(
    ["hv10", "hv1", "hv2"].map((h) => found(h, { identity: "c-1", version: "3.4.23", sets: [set(three)] })),
    directory,
  );
  expect(systems).toMatchObject([
    {
      ...{ system: "etcd", state: "healthy", version: "3.4.23", from: ["hv1", "hv2", "hv10"] },
      ...{ aliases: { "10.0.0.1": "hv1", "10.0.0.2": "hv2" }, unplaced: ["10.0.0.3"] },
    },
  ]);
  expect(systems[0]?.sets[0]?.members.map((m) => m.host)).toEqual(["hv1", "hv2", undefined]);
});

test("two clusters are two systems, by their identity or by their members", () => {
  const other = [set(members(["hv9", "hv9"]))];
  expect(
    discover([found("hv1", { identity: "a", sets: other }), found("hv2", { identity: "b", sets: other })], directory)
      .systems,
  ).toHaveLength(2);
  expect(
    discover([found("hv1", { sets: [set(three)] }), found("hv2", { sets: other })], directory).systems,
  ).toHaveLength(2);
});

test.each([
  "etcdctl is not installed",
  "etcd member list: connection refused",
  "no such probe; this agent has etcd",
  "setting units is missing",
])("no discovery and no trouble: %s", (reason) => {
  expect(discover([found("hv1", { state: "unknown", reasons: [reason] })], directory)).toEqual({
    systems: [],
    unclear: [],
  });
});

test("what is there and cannot be read is told, and proposed by nobody", () => {
  const reasons = ["etcd member list: certificate required"];
  expect(discover([found("hv1", { state: "unknown", reasons, sets: [set(three)] })], directory)).toEqual({
    systems: [],
    unclear: [{ host: "hv1", system: "etcd", reason: reasons[0] }],
  });
});

test("a system without members has nothing to lose", () => {
  expect(discover([found("hv1", { sets: [set([])] })], directory).systems).toEqual([]);
});

test("fleet has no members of its own and counts all the same, once for each cluster", () => {
  const fleet = (host: string, cluster: string) => ({
    host,
    cluster,
    system: "fleet",
    health: health({ system: "fleet" }),
  });
  const { systems } = discover([fleet("hv1", "c1"), fleet("hv2", "c1"), fleet("hv3", "c2")], directory);
  expect(systems.map((s) => s.from)).toEqual([["hv1", "hv2"], ["hv3"]]);
});
