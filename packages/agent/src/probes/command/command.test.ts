import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Answer } from "../answer.ts";
import { runCommand } from "../commands.ts";
import { SettingsReader } from "../settings.ts";
import { commandProbe, parseCommand } from "./probe.ts";
import { trustedScript } from "./script.ts";

const ended = (exitCode: number | undefined, stdout = "", stderr = ""): Answer => ({
  stdout,
  stderr,
  ...(exitCode === undefined ? {} : { exitCode }),
  timedOut: false,
  problem: "",
});
const set = {
  name: "disks",
  needed: 1,
  members: [
    { name: "a", host: "h1", state: "up" },
    { name: "b", host: "h2", state: "down", votes: 2, note: "gone" },
  ],
};

describe("a site's own probe", () => {
  it.each([
    [0, "", "", "healthy", []],
    [0, "all fine\n", "", "healthy", []],
    [1, "disk 3 is rebuilding\n", "", "degraded", ["disk 3 is rebuilding"]],
    [1, "", "cannot say more\n", "degraded", ["cannot say more"]],
    [1, "", "", "degraded", ["own: ended with 1"]],
    [2, "usage: own", "", "unknown", ["usage: own"]],
    [127, "", "sh: mdadm: not found", "unknown", ["sh: mdadm: not found"]],
    [undefined, "", "", "unknown", ["own: ended with a signal"]],
    [0, "{}", "", "healthy", []],
    [0, '{"state":"degraded","reasons":["slow"]}', "", "degraded", ["slow"]],
    [0, '{"state":"unknown"}', "", "unknown", ["own: ended with 0"]],
    [1, '{"state":"healthy"}', "", "degraded", ["own: ended with 1"]],
    [2, '{"state":"healthy"}', "", "unknown", ["own: ended with 2"]],
  ])("exit %j with %j and %j is %s", (code, stdout, stderr, state, reasons) => {
    expect(parseCommand("own", ended(code, stdout, stderr))).toMatchObject({ system: "command", state, reasons });
  });
  it("can tell of sets and answer for itself", () => {
    const report = { sets: [set], identity: "x", goingVerdict: "deny", goingReasons: ["no spare"] };
    expect(parseCommand("own", ended(0, JSON.stringify(report)))).toMatchObject({
      state: "healthy",
      identity: "x",
      goingVerdict: "deny",
      goingReasons: ["no spare"],
      sets: [
        {
          name: "disks",
          needed: 1,
          oneOf: [],
          members: [
            { name: "a", host: "h1", votes: 1, state: "up" },
            { name: "b", host: "h2", votes: 2, state: "down", note: "gone" },
          ],
        },
      ],
    });
  });
  it.each([
    ["cut", '{"sets":[{"na'],
    ["a state that there is not", '{"state":"fine"}'],
    ["a key that there is not", '{"stat":"healthy"}'],
    ["needed as a text", JSON.stringify({ sets: [{ ...set, needed: "1" }] })],
    ["a member twice", JSON.stringify({ sets: [{ ...set, members: [set.members[0], set.members[0]] }] })],
    ["oneOf a stranger", JSON.stringify({ sets: [{ ...set, oneOf: ["c"] }] })],
  ])("whose report is damaged is unknown: %s", (_name, stdout) => {
    expect(parseCommand("own", ended(0, stdout)).state).toBe("unknown");
  });
});

describe("its script", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "slipway-probes-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const script = (name: string, body: string, mode = 0o755) => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(dir, name), mode);
  };
  const ask = (settings: Record<string, string>, timeoutMs = 5_000) =>
    commandProbe((name) => trustedScript(name, dir))
      .ask({
        settings: new SettingsReader(settings, "h1"),
        going: ["h2", "h3"],
        host: "h1",
        run: (argv, options = {}) => runCommand(argv, { timeoutMs, ...options }),
        request: () => Promise.reject(new Error("asks nobody")),
        pause: () => Promise.resolve(false),
      })
      .catch((thrown: Error) => ({ state: "unknown", reasons: [thrown.message] }));

  it("is told what it needs to know, and nothing of the agent's own environment", async () => {
    script("own", 'echo "$SLIPWAY_HOST/$SLIPWAY_GOING/$SLIPWAY_SETTING_DISK_SET/$LC_ALL/$VITEST"; exit 1');
    expect(await ask({ name: "own", "disk-set": "a; b" })).toMatchObject({ reasons: ["h1/h2 h3/a; b/C/"] });
  });
  it("is killed with its children at the deadline", async () => {
    script("slow", "sleep 60 & sleep 60");
    expect(await ask({ name: "slow" }, 200)).toMatchObject({ state: "unknown", reasons: ["slow: no answer in time"] });
  });
  it("may not say more than anybody reads", async () => {
    script("loud", "yes");
    expect(await ask({ name: "loud" })).toMatchObject({
      state: "unknown",
      reasons: [expect.stringMatching(/bytes of answer/)],
    });
  });
  it.each([
    ["is not there", "none", 0, /does not exist on this host/],
    ["others may write", "own", 0o757, /writable by group or others; run chmod go-w/],
    ["cannot be executed", "own", 0o644, /is not executable/],
    ["has a name with a way out", "../own", 0o755, /give the name of a file/],
  ])("is not run when it %s", async (_name, name, mode, reason) => {
    if (mode !== 0) script("own", "exit 0", mode);
    expect((await ask({ name })).reasons[0]).toMatch(reason);
  });
  it("is not run out of a directory that others may write", async () => {
    script("own", "exit 0");
    chmodSync(dir, 0o777);
    expect((await ask({ name: "own" })).reasons[0]).toMatch(/writable by group or others/);
  });
  it.runIf(process.getuid?.() === 0)("is not run when somebody else owns it", () => {
    script("own", "exit 0");
    chownSync(join(dir, "own"), 4242, 0);
    expect(() => trustedScript("own", dir)).toThrow(/belongs to uid 4242; run chown root/);
  });
});
