import { describe, expect, test } from "vitest";
import { durationFlag, parseDuration } from "./duration.ts";
import { startCommand } from "./run.ts";
import { parseScope, scopeText } from "./scope.ts";

describe("durations", () => {
  test.each([
    ["90", 90_000],
    ["0.5", 500],
    ["500ms", 500],
    ["30s", 30_000],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration("--timeout", text)).toBe(ms);
    expect(parseDuration("--timeout", durationFlag(ms))).toBe(ms);
  });
  test.each(["", "0", "-1", "1w", "1m30s", "10 m", "1e3", "NaN", "99d", "0.0001ms"])("%j is refused", (text) => {
    expect(() => parseDuration("--grace", text)).toThrow(/^--grace: ".*" is no duration/);
  });
});

describe("scope", () => {
  test("keeps the given order; aliases and repetitions add up", () => {
    expect(parseScope({ hosts: ["h3,h1"], host: ["h2"] }).hosts).toEqual(["h2", "h3", "h1"]);
    expect(scopeText(parseScope({ pod: ["p1"] }))).toBe("pod p1");
    expect(scopeText(parseScope({ cluster: ["c1,c2"] }))).toBe("clusters c1, c2");
  });
  test("three kinds are all named", () => {
    expect(() => parseScope({ hosts: ["a"], pod: ["p"], zones: ["z"] })).toThrow(
      /^scope: hosts a and pod p and zone z are 3 kinds; a run has exactly one/,
    );
  });
});

test("the command that starts a plan can be pasted into a shell", () => {
  const flags = { timeout: "90", payload: "it\\'s $HOME; x", forced: true, maxOut: "2", onFailure: "uncordon" };
  const scope = parseScope({ cluster: ["c1,c 2"] });
  expect(startCommand(scope, flags)).toBe(
    `slipway start --cluster 'c1,c 2' --forced --timeout 90s --max-out 2 --on-failure uncordon --payload 'it\\'\\''s $HOME; x'`,
  );
});
