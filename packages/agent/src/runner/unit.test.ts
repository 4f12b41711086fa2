import { describe, expect, it } from "vitest";
import { causeOf } from "./unit.ts";

describe("why systemd sent TERM", () => {
  it.each([
    ["running", "timeout", false, "timeout"],
    ["stopping", "timeout", false, "timeout"],
    ["stopping", "success", false, "shutdown"],
    ["running", "success", true, "outside"],
    ["degraded", "success", false, "outside"],
    // Nobody answers: its own clock is all that is left.
    ["", "", true, "timeout"],
    ["", "", false, "outside"],
    ["stopping", "", false, "shutdown"],
  ])("system %j, result %j, due %s: %s", (system, result, isDue, cause) => {
    expect(causeOf(system, result, isDue)).toBe(cause);
  });
});
