import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runCommand } from "./commands.ts";
import { inUnit } from "./sandbox.ts";

test("a command becomes a unit with its words as they are", () => {
  expect(inUnit({ argv: ["gluster", "$HOME", "a b; c"], env: { LC_ALL: "C" }, timeoutMs: 2_500 })).toEqual([
    "systemd-run",
    ...["--quiet", "--wait", "--pipe", "--collect", "--service-type=exec"],
    "--property=RuntimeMaxSec=4",
    "--setenv=LC_ALL=C",
    "--",
    ...["gluster", "$$HOME", "a b; c"],
  ]);
});

test("a program that is not there is told as that, in the sandbox too", async () => {
  const { problem, exitCode } = await runCommand(["no-such-program"], { timeoutMs: 1_000, isSandboxed: true });
  expect(problem).toBe("no-such-program is not installed");
  expect(exitCode).toBeUndefined();
});

describe.skipIf(!existsSync("/run/systemd/system"))("where systemd runs", () => {
  test("status and both outputs come back", async () => {
    const words = ["sh", "-c", "echo out; echo $0 >&2; exit 3", "it costs $5"];
    const answer = await runCommand(words, { timeoutMs: 10_000, isSandboxed: true });
    expect(answer).toMatchObject({
      exitCode: 3,
      stdout: "out\n",
      stderr: "it costs $5\n",
      timedOut: false,
      problem: "",
    });
  });
});
