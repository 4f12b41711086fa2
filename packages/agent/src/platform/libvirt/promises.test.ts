import { describe, expect, test } from "vitest";
import { Promises } from "./promises.ts";

describe("room that is promised", () => {
  let nowMs = 0;
  const needs = (uuid: string, memoryMib: number, hugepageKib = 0) => ({
    ...{ uuid, memoryMib, memoryMaxMib: 2 * memoryMib, hugepageKib },
  });
  const given = () => {
    const promises = new Promises(() => nowMs);
    promises.give(needs("a", 100));
    promises.give(needs("b", 10));
    return promises;
  };

  test("is held for all but the one that asks", () => {
    const promises = given();
    promises.give(needs("c", 8, 2_048));
    expect(promises.heldFor("z")).toEqual({ mib: 110, pages: new Map([[2_048, 8]]) });
    expect(promises.heldFor("a").mib).toBe(10);
    expect(promises.heldFor("z").mib).toBe(110);
  });

  test("ends when its instance has been seen here, though it may have left since, and not while it is on its way", () => {
    const promises = given();
    promises.seen([{ uuid: "a", state: "incoming" }]);
    expect(promises.heldFor("z").mib).toBe(110);
    promises.seen([{ uuid: "a", state: "running" }]);
    promises.seen([]);
    expect(promises.heldFor("z").mib).toBe(10);
  });

  test("ends when it is taken back, and by itself", () => {
    const promises = given();
    promises.takeBack("b");
    expect(promises.heldFor("z").mib).toBe(100);
    nowMs += 600_001;
    expect(promises.heldFor("z").mib).toBe(0);
  });
});
