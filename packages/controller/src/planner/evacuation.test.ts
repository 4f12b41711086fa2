import { expect, test } from "vitest";
import { defaultOptions } from "../domain/words.ts";
import { host, instance, poolOf } from "../testing/instances.ts";
import { rehearseRun } from "./evacuation.ts";

test("a consent is unknown only when no cluster of the run has the instance, and that is said once", () => {
  const pictures: Record<string, ReturnType<typeof host>[]> = {
    c1: [host("a1", [instance("web")]), host("a2")],
    c2: [host("b1"), host("b2")],
  };
  const hosts = [
    { name: "a1", cluster: "c1", wave: 1 },
    { name: "b1", cluster: "c2", wave: 2 },
  ];
  const warnings = (...consentStop: string[]) =>
    rehearseRun(
      hosts,
      { ...defaultOptions, consentStop },
      { inventories: (cluster) => pictures[cluster] ?? [], pool: poolOf(), nowT: 0 },
      () => undefined,
    ).warnings.map((w) => w.subject);
  expect(warnings("web")).toEqual([]);
  expect(warnings("wbe", "web")).toEqual(["wbe"]);
});
