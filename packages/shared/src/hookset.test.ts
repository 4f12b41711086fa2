import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { type HookFile, hookSetHash, hookSetLimits, hookSetProblems, interpreterOf } from "./hookset.ts";

function file(name: string, content = "#!/bin/sh\nexit 0\n", executable = true): HookFile {
  return { name, content: Buffer.from(content), executable };
}
const texts = (files: readonly HookFile[]) => hookSetProblems(files).map(({ file, text }) => `${file}: ${text}`);

test("the hash is over sorted lines of content hash, execute bit and name", () => {
  const sha = (text: string) => createHash("sha256").update(text).digest("hex");
  const expected = sha(`${sha("b")} x Maintenance\n${sha("a")} - lib.sh\n`);
  expect(hookSetHash([file("lib.sh", "a", false), file("Maintenance", "b")])).toBe(expected);
  expect(hookSetHash([file("Maintenance", "b"), file("lib.sh", "a", false)])).toBe(expected);
  expect(hookSetHash([])).toBe(sha(""));
});

test("the hash differs when content, execute bit or name does", () => {
  const base = hookSetHash([file("Maintenance", "b")]);
  for (const other of [file("Maintenance", "c"), file("Maintenance", "b", false), file("PreFlight", "b")])
    expect(hookSetHash([other])).not.toBe(base);
});

test("takes a directory of good hooks and what they need", () => {
  expect(
    texts([file("PreFlight"), file("Maintenance.py", "#!/usr/bin/env python3\n"), file("lib.sh", "", false)]),
  ).toEqual([]);
});

test("refuses names that are paths, hidden or odd", () => {
  for (const name of [
    "../Maintenance",
    "a/b",
    "/etc/passwd",
    ".hidden",
    "",
    ".",
    "..",
    "a b",
    "-rf",
    "a\nb",
    "x".repeat(200),
  ])
    expect(texts([file("Maintenance"), file(name)]), name).toEqual([expect.stringMatching(/is no plain file name/)]);
});

test("refuses two files of one name", () => {
  expect(texts([file("Maintenance"), file("Maintenance", "other")])).toEqual(["Maintenance: is there twice"]);
});

test("refuses what is too many or too much", () => {
  const { files, fileBytes, totalBytes } = hookSetLimits;
  const many = Array.from({ length: files + 1 }, (_, i) => file(i === 0 ? "Maintenance" : `f${i}`));
  expect(texts(many)).toEqual([`: there are ${files + 1} files; at most ${files} can be pushed`]);
  expect(texts([file("Maintenance"), file("big", "x".repeat(fileBytes + 1))])).toEqual([
    `big: has ${fileBytes + 1} bytes; at most ${fileBytes} can be pushed`,
  ]);
  const parts = Array.from({ length: 4 }, (_, i) => file(`f${i}`, "x".repeat(fileBytes)));
  expect(texts([file("Maintenance"), ...parts])).toEqual([
    expect.stringMatching(`at most ${totalBytes} together can be pushed`),
  ]);
});

test("refuses hooks that no host would run", () => {
  expect(texts([file("lib.sh")])).toEqual([expect.stringMatching(/there is no hook among the files/)]);
  expect(texts([file("Maintenance", "")])).toEqual(["Maintenance: is empty; write the hook, or leave the file out"]);
  expect(texts([file("Maintenance.sh", "x", false)])).toEqual([
    "Maintenance.sh: is not executable; run chmod +x Maintenance.sh",
  ]);
  expect(texts([file("PreFlight", "#!/bin/sh\r\nexit\r\n")])).toEqual([expect.stringMatching(/^PreFlight: .*CR LF/)]);
  expect(texts([file("PreFlight", "#!\n")])).toEqual([expect.stringMatching(/names no interpreter/)]);
});

test("reads the interpreter of a view into a larger buffer", () => {
  const whole = Buffer.from("....#!/bin/bash -e\nexit\n");
  expect(interpreterOf(whole.subarray(4))).toEqual({ interpreter: "/bin/bash", problem: "" });
  expect(interpreterOf(Buffer.from("exit 0"))).toEqual({ interpreter: "", problem: "" });
});
