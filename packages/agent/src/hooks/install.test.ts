import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HookFile, hookSetHash } from "@slipway/shared/node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HooksDirectory } from "./directory.ts";
import { finishInstall } from "./install.ts";

let parent: string;
let dir: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "slipway-push-"));
  dir = join(parent, "hooks.d");
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const set = (text: string): HookFile[] => [
  { name: "Maintenance", content: Buffer.from(`#!/bin/sh\necho ${text}\n`), executable: true },
  { name: "lib.sh", content: Buffer.from(`x=${text}\n`), executable: false },
];
const push = (files: HookFile[]) => new HooksDirectory(dir, true).replace(hookSetHash(files), files);
const versions = () => readdirSync(join(parent, ".hooks.d.versions"));

describe("a pushed set", () => {
  it("takes the place of a directory, which is kept aside", () => {
    mkdirSync(dir);
    writeFileSync(join(dir, "PreFlight"), "mine");
    mkdirSync(join(dir, "notes"));
    const { problem, changed, replaced } = push(set("one"));
    expect([problem, changed]).toEqual(["", true]);
    expect(readdirSync(dir).toSorted()).toEqual(["Maintenance", "lib.sh"]);
    expect(replaced).toMatch(/hooks\.d\.replaced-\d{8}T\d{6}Z-/);
    expect(readFileSync(join(replaced, "PreFlight"), "utf8")).toBe("mine");
    expect(readdirSync(replaced).toSorted()).toEqual(["PreFlight", "notes"]);
  });

  it("takes the place of an empty directory without a trace of it", () => {
    mkdirSync(dir);
    expect(push(set("one"))).toEqual({ problem: "", changed: true, replaced: "" });
    expect(readdirSync(parent).toSorted()).toEqual([".hooks.d.versions", "hooks.d"]);
  });

  it("has the modes of its files whatever the umask, and the hash it came with", () => {
    const before = process.umask(0o077);
    try {
      push(set("one"));
    } finally {
      process.umask(before);
    }
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, "Maintenance")).mode & 0o777).toBe(0o755);
    expect(statSync(join(dir, "lib.sh")).mode & 0o777).toBe(0o644);
    expect(new HooksDirectory(dir).inventory()).toMatchObject({
      problem: "",
      hash: hookSetHash(set("one")),
      push: false,
    });
    expect(new HooksDirectory(dir).find("Maintenance")).toMatchObject({ state: "found" });
  });

  it("replaces the set before by one rename; that one and no older is kept", () => {
    push(set("one"));
    const first = readlinkSync(dir);
    const { replaced } = push(set("two"));
    expect(replaced).toBe(join(parent, first));
    expect(readFileSync(join(replaced, "lib.sh"), "utf8")).toBe("x=one\n");
    push(set("three"));
    expect(versions()).toHaveLength(2);
    expect(readFileSync(join(dir, "lib.sh"), "utf8")).toBe("x=three\n");
    expect(readdirSync(parent).toSorted()).toEqual([".hooks.d.versions", "hooks.d"]);
  });

  it("changes nothing when it is there already", () => {
    push(set("one"));
    const before = readlinkSync(dir);
    expect(push(set("one"))).toEqual({ problem: "", changed: false, replaced: "" });
    expect(readlinkSync(dir)).toBe(before);
  });

  it("is put there anew when somebody has changed what is there, also into a file that would not run", () => {
    push(set("one"));
    writeFileSync(join(dir, "lib.sh"), "by hand");
    expect(push(set("one"))).toMatchObject({ problem: "", changed: true });
    expect(readFileSync(join(dir, "lib.sh"), "utf8")).toBe("x=one\n");
  });

  it("takes the place of a link of the operator's own, whose target is left alone", () => {
    const mine = join(parent, "mine");
    mkdirSync(mine);
    writeFileSync(join(mine, "PreFlight"), "mine");
    symlinkSync(mine, dir);
    expect(push(set("one"))).toMatchObject({ problem: "", changed: true, replaced: mine });
    expect(readFileSync(join(mine, "PreFlight"), "utf8")).toBe("mine");
  });

  it("also works with a slash at the end of the directory's name", () => {
    push(set("one"));
    expect(new HooksDirectory(`${dir}/`, true).replace(hookSetHash(set("two")), set("two"))).toMatchObject({
      problem: "",
    });
    expect(lstatSync(dir).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(dir, "lib.sh"), "utf8")).toBe("x=two\n");
  });
});

describe("a refused set changes nothing", () => {
  const cases: [string, () => { problem: string }, RegExp][] = [
    [
      "where it is not allowed",
      () => new HooksDirectory(dir).replace(hookSetHash(set("two")), set("two")),
      /slipway\.hooks\.push is not true on this host; set it/,
    ],
    ["with another hash", () => new HooksDirectory(dir, true).replace("00", set("two")), /do not have the hash/],
    [
      "with a name that is a path",
      () => push([...set("two"), { name: "../cron.d/x", content: Buffer.from("x"), executable: true }]),
      /"\.\.\/cron\.d\/x" is no plain file name/,
    ],
    [
      "with a hook in CR LF",
      () => push([{ name: "PreFlight", content: Buffer.from("#!/bin/sh\r\n"), executable: true }]),
      /PreFlight its first line ends in CR LF/,
    ],
    [
      "with an interpreter that this host has not",
      () => push([{ name: "PreFlight", content: Buffer.from("#!/opt/none/perl\n"), executable: true }]),
      /PreFlight: its interpreter \/opt\/none\/perl is not there/,
    ],
  ];
  it.each(cases)("%s", (_name, attempt, expected) => {
    push(set("one"));
    const before = readlinkSync(dir);
    expect(attempt()).toMatchObject({ problem: expect.stringMatching(expected), changed: false });
    expect(readlinkSync(dir)).toBe(before);
    expect(versions()).toHaveLength(1);
  });

  it("where the place is taken by a file", () => {
    writeFileSync(dir, "");
    expect(push(set("one")).problem).toMatch(/is neither a directory nor a link to one; remove it/);
    expect(lstatSync(dir).isFile()).toBe(true);
  });

  it("where others could write to the versions", () => {
    mkdirSync(join(parent, "elsewhere"));
    symlinkSync("elsewhere", join(parent, ".hooks.d.versions"));
    expect(push(set("one")).problem).toMatch(/is not a directory of this agent/);
    expect(existsSync(dir)).toBe(false);
  });

  it("where no directory is set", () => {
    const files = set("one");
    expect(new HooksDirectory("", true).replace(hookSetHash(files), files).problem).toMatch(/is not set/);
  });
});

describe("a swap that was cut off", () => {
  it("is ended at the next start when the place is empty", () => {
    mkdirSync(dir);
    writeFileSync(join(dir, "PreFlight"), "old");
    push(set("one"));
    // As it is after the old directory made room and before the link took its place.
    renameSync(dir, join(parent, ".hooks.d.next"));
    expect(new HooksDirectory(dir).find("PreFlight")).toMatchObject({ state: "problem" });
    finishInstall(dir);
    expect(new HooksDirectory(dir).inventory().hash).toBe(hookSetHash(set("one")));
    expect(existsSync(join(parent, ".hooks.d.next"))).toBe(false);
  });

  it("is ended also when somebody has made an empty directory in the place", () => {
    push(set("one"));
    renameSync(dir, join(parent, ".hooks.d.next"));
    mkdirSync(dir);
    expect(finishInstall(dir)).toBe("");
    expect(new HooksDirectory(dir).inventory().hash).toBe(hookSetHash(set("one")));
  });

  it("is taken back when the old set is still in place", () => {
    push(set("one"));
    symlinkSync(".hooks.d.versions/half", join(parent, ".hooks.d.next"));
    finishInstall(dir);
    expect(readFileSync(join(dir, "lib.sh"), "utf8")).toBe("x=one\n");
    expect(lstatSync(join(parent, ".hooks.d.next"), { throwIfNoEntry: false })).toBeUndefined();
  });
});

describe("the hash of a directory", () => {
  it("is of its plain files, and follows every change", () => {
    mkdirSync(join(dir, "__pycache__"), { recursive: true });
    const hooks = new HooksDirectory(dir);
    const put = (file: HookFile) =>
      writeFileSync(join(dir, file.name), file.content, { mode: file.executable ? 0o755 : 0o644 });
    for (const text of ["one", "two", "one"]) {
      for (const file of set(text)) put(file);
      writeFileSync(join(dir, ".hidden"), text);
      expect(hooks.inventory().hash).toBe(hookSetHash(set(text)));
    }
  });

  it("is empty when there is more than can be pushed", () => {
    mkdirSync(dir);
    for (let i = 0; i < 65; i++) writeFileSync(join(dir, `f${i}`), "");
    expect(new HooksDirectory(dir).inventory().hash).toBe("");
  });
});
