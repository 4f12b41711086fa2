import { expect, test } from "vitest";
import type { Run } from "../../domain/run.ts";
import { host } from "../../testing/instances.ts";
import { instance, uuidOf } from "../../testing/pool.ts";
import { comingTo } from "./coming.ts";

const settled = { uuid: uuidOf(1), name: "vm1", purpose: "drain", outcome: "moved", to: "hv2", t: 10_000 };
const run = { hosts: [{ name: "hv1", actions: [], settled: [settled] }] } as unknown as Run;

test.each([
  ["before it came", 9_000, true],
  ["as it came: nobody can say which was first", 10_400, true],
  ["well after it came, and it has gone since", 11_000, false],
])("a host to which an instance has come is not empty by a picture read %s", (_, readT, isWaitedFor) => {
  expect(comingTo(run, "hv2", host("hv2", [], {}, { readT })) !== undefined).toBe(isWaitedFor);
  expect(comingTo(run, "hv2", host("hv2", [instance(1)], {}, { readT }))).toBeUndefined();
});
