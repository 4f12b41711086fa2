import type { SystemHealth } from "@slipway/shared";
import { expect, test } from "vitest";
import { mayGoOut } from "./gate.ts";
import { mergeViews } from "./merge.ts";
import { largestSafeSet } from "./safe-set.ts";

const member = (name: string, host: string, change: object = {}) =>
  ({ name, host, votes: 1, state: "up", roles: [], note: "", ...change }) as const;

/** What the agent's probe reads from etcd 3.4 after `member add` of a fourth that nobody started: its recording `never-started`. */
const health: SystemHealth = {
  system: "etcd",
  identity: "2835b5ac8e6e0b52",
  state: "degraded",
  reasons: ["etcd member cc76a4cfd2b0cb52 (10.9.0.4) is not up: it has never started"],
  sets: [
    {
      name: "members",
      needed: 3,
      members: [
        member("n3", "10.9.0.3"),
        member("n1", "10.9.0.1", { roles: ["leader"] }),
        member("n2", "10.9.0.2"),
        member("cc76a4cfd2b0cb52", "10.9.0.4", { state: "down", note: "it has never started" }),
      ],
      oneOf: [],
      repairing: "",
    },
  ],
  goingVerdict: "",
  goingReasons: [],
  evidence: [],
  version: "3.4.23",
};

test.each([
  ["on no host that the pool knows of", [], "unknown"],
  ["outside of the pool", ["10.9.0.4"], "degraded"],
])("a member of etcd that has never started, %s, is named and keeps every host in", (_name, outside, state) => {
  const hostOf = (address: string) => /^10\.9\.0\.([123])$/.exec(address)?.[1];
  const views = ["1", "2"].map((from) => ({ from, health }));
  const system = mergeViews("etcd", views, { hostOf, outside });
  expect(system.state).toBe(state);
  for (const host of ["1", "2", "3"]) {
    const { verdict, reasons } = mayGoOut([system], { going: [host], out: [] });
    expect(verdict).toBe("deny");
    expect(reasons[0]?.text).toBe(`etcd: without n${host} 2 of 3 needed votes are left (cc76a4cfd2b0cb52 down)`);
  }
  expect(largestSafeSet([system], ["1", "2", "3"], [])).toEqual([]);
});
