import { createHash } from "node:crypto";
import { stages } from "./words.ts";

/**
 * Bounds of a pushed hooks directory. One message carries it whole, and the controller takes messages of up to 4 MiB;
 * hooks are scripts, what is larger belongs into a package.
 */
export const hookSetLimits = {
  files: 64,
  /** Bytes of one file. */
  fileBytes: 1024 * 1024,
  /** Bytes of all files together. */
  totalBytes: 3 * 1024 * 1024,
} as const;

/** A file of a hooks directory. */
export interface HookFile {
  readonly name: string;
  readonly content: Uint8Array;
  readonly executable: boolean;
}

/** Something about a set of hook files that would be refused; `file` is empty when it is about all of them. */
export interface HookSetProblem {
  readonly file: string;
  /** One sentence with the way out. */
  readonly text: string;
}

/** Neither a path nor hidden, and nothing that a terminal or a shell would take for something else. */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.+@=-]{0,127}$/;

/** May a file of this name lie in a hooks directory that is pushed? */
export function isPlainFileName(name: string): boolean {
  return PLAIN_NAME.test(name);
}

/** CloudStack's names of a stage's hook: the stage itself, or with one of these endings. */
export const hookSuffixes = ["", ".sh", ".py"] as const;

const hookNames = new Set(stages.flatMap((stage) => hookSuffixes.map((suffix) => `${stage}${suffix}`)));

/** Is this the name of a stage's hook, rather than of a file that hooks use? */
export function isHookName(name: string): boolean {
  return hookNames.has(name);
}

/**
 * Identity of a hooks directory: SHA-256, lower-case hex, over one line `<sha256 of the content> <x or -> <name>\n` for each
 * file, sorted by name. Owner, times and other mode bits do not count.
 */
export function hookSetHash(files: readonly HookFile[]): string {
  const lines = files
    .map(({ name, content, executable }) => ({ name, line: `${sha256(content)} ${executable ? "x" : "-"} ${name}\n` }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return sha256(lines.map(({ line }) => line).join(""));
}

export function sha256(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

/**
 * What would be refused of a set of hook files, before anything is sent and again where it arrives. What only the host can
 * know (owner, whether an interpreter is there) is not looked at here.
 */
export function hookSetProblems(files: readonly HookFile[]): HookSetProblem[] {
  const { files: maxFiles, fileBytes, totalBytes } = hookSetLimits;
  const problems: HookSetProblem[] = [];
  const add = (file: string, text: string) => problems.push({ file, text });
  if (files.length > maxFiles) add("", `there are ${files.length} files; at most ${maxFiles} can be pushed`);
  const total = files.reduce((sum, file) => sum + file.content.length, 0);
  if (total > totalBytes) add("", `the files have ${total} bytes; at most ${totalBytes} together can be pushed`);
  if (!files.some((file) => isHookName(file.name)))
    add("", `there is no hook among the files; name one after its stage (${stages.join(", ")})`);
  const seen = new Set<string>();
  for (const { name, content, executable } of files) {
    const shown = isPlainFileName(name) ? name : JSON.stringify(name.slice(0, 80));
    if (!isPlainFileName(name)) add(shown, "is no plain file name; use letters, digits and _ . + @ = -");
    if (seen.has(name)) add(shown, "is there twice");
    seen.add(name);
    if (content.length > fileBytes) add(shown, `has ${content.length} bytes; at most ${fileBytes} can be pushed`);
    if (!isHookName(name)) continue;
    if (content.length === 0) add(name, "is empty; write the hook, or leave the file out");
    else if (!executable) add(name, `is not executable; run chmod +x ${name}`);
    const problem = interpreterOf(content).problem;
    if (problem !== "") add(name, problem);
  }
  return problems;
}

/**
 * The interpreter that a script names in its first line; empty when it names none, and then runs under sh. `problem` says
 * what is wrong with the line wherever the script runs.
 */
export function interpreterOf(content: Uint8Array): { readonly interpreter: string; readonly problem: string } {
  if (content[0] !== 0x23 || content[1] !== 0x21) return { interpreter: "", problem: "" };
  const newline = content.indexOf(0x0a);
  const end = newline < 0 ? Math.min(content.length, 4096) : newline;
  const line = Buffer.from(content.buffer, content.byteOffset, content.length).toString("utf8", 2, end);
  if (line.endsWith("\r"))
    return {
      interpreter: "",
      problem:
        "its first line ends in CR LF, so the system looks for an interpreter with a carriage return in its name; convert it with sed -i 's/\\r$//'",
    };
  const interpreter = line.trim().split(/[ \t]/)[0] ?? "";
  if (interpreter === "")
    return { interpreter, problem: "its first line names no interpreter after #!; write for example #!/bin/sh" };
  return { interpreter, problem: "" };
}
