import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HooksDirectory } from "./directory.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-hooks-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const GOOD = "#!/bin/sh\nexit 0\n";
function put(name: string, content: string = GOOD, mode = 0o755): string {
  const file = join(dir, name);
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}
function reason(stage: "PreFlight" | "Maintenance" = "Maintenance"): string {
  const found = new HooksDirectory(dir).find(stage);
  expect(found.state).toBe("problem");
  return found.state === "problem" ? found.reason : "";
}

describe("finding a hook", () => {
  it("takes CloudStack's names in CloudStack's order", () => {
    const hooks = new HooksDirectory(dir);
    expect(hooks.find("Maintenance")).toEqual({ state: "absent" });
    for (const name of ["Maintenance.py", "Maintenance.sh", "Maintenance"]) {
      const file = put(name);
      const sha256 = createHash("sha256").update(GOOD).digest("hex");
      expect(hooks.find("Maintenance")).toEqual({ state: "found", file, sha256 });
    }
    put("preflight");
    expect(hooks.find("PreFlight")).toEqual({ state: "absent" });
  });
  it("passes over a directory when a file of a later name exists", () => {
    mkdirSync(join(dir, "Maintenance"));
    const file = put("Maintenance.sh");
    expect(new HooksDirectory(dir).find("Maintenance")).toMatchObject({ state: "found", file });
  });
  it("follows links", () => {
    symlinkSync(put("real"), join(dir, "Maintenance"));
    expect(new HooksDirectory(dir).find("Maintenance")).toMatchObject({ state: "found" });
  });
  it("takes a file without a first line for an interpreter", () => {
    put("Maintenance", "echo plain\n");
    expect(new HooksDirectory(dir).find("Maintenance")).toMatchObject({ state: "found" });
  });
});

describe("refusing a hook", () => {
  it.each<[string, () => void, string]>([
    ["directory", () => mkdirSync(join(dir, "Maintenance")), "is a directory; put the hook itself there, as a file"],
    [
      "pipe",
      () => execFileSync("mkfifo", [join(dir, "Maintenance")]),
      "is a pipe; put the hook itself there, as a file",
    ],
    [
      "dangling link",
      () => symlinkSync("/no/such", join(dir, "Maintenance")),
      "is a link to nothing; repair or remove it",
    ],
    [
      "link to itself",
      () => symlinkSync("Maintenance", join(dir, "Maintenance")),
      "is a link to itself; repair or remove it",
    ],
    ["not executable", () => put("Maintenance", GOOD, 0o644), "is not executable (mode 0644); run chmod +x "],
    [
      "group-writable",
      () => put("Maintenance", GOOD, 0o775),
      "writable by group or others (mode 0775); run chmod go-w ",
    ],
    [
      "world-writable",
      () => put("Maintenance", GOOD, 0o757),
      "writable by group or others (mode 0757); run chmod go-w ",
    ],
    ["empty", () => put("Maintenance", ""), "is empty; write the hook, or remove the file"],
    ["CRLF", () => put("Maintenance", "#!/bin/sh\r\nexit 0\r\n"), "its first line ends in CR LF"],
    ["no interpreter", () => put("Maintenance", "#!\nexit 0\n"), "its first line names no interpreter"],
    [
      "interpreter missing",
      () => put("Maintenance", "#!/no/such/python3 -u\n"),
      "its interpreter /no/such/python3 is not there",
    ],
  ])("%s", (_name, prepare, expected) => {
    prepare();
    expect(reason()).toContain(`${join(dir, "Maintenance")}: ${expected}`);
    expect(new HooksDirectory(dir).inventory().hooks).toHaveLength(1);
  });
  it.runIf(process.getuid?.() === 0)("of another user", () => {
    chownSync(put("Maintenance"), 12345, 12345);
    expect(reason()).toContain("belongs to uid 12345; run chown root ");
  });
});

describe("refusing a directory", () => {
  it.each<[string, () => string, string]>([
    ["unset", () => "", "rolling.maintenance.hooks.dir is not set; set it in agent.properties"],
    ["relative", () => "hooks.d", "rolling.maintenance.hooks.dir is hooks.d; give an absolute path"],
    ["missing", () => join(dir, "no"), "does not exist; create it"],
    ["a file", () => put("file"), "is not a directory"],
    [
      "writable by others",
      () => {
        chmodSync(dir, 0o777);
        return dir;
      },
      "writable by group or others (mode 0777); run chmod go-w",
    ],
  ])("%s", (_name, prepare, expected) => {
    const hooks = new HooksDirectory(prepare());
    expect(hooks.inventory()).toMatchObject({ problem: expect.stringContaining(expected), hooks: [] });
    expect(hooks.find("Maintenance")).toMatchObject({ state: "problem", reason: hooks.inventory().problem });
  });
});
