import { execFile } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SlipwayError } from "@slipway/shared";

/** A program and the words that come before its own arguments. */
export interface Program {
  readonly file: string;
  readonly words: readonly string[];
}

const NEEDED_NODE = 24;

/** The Node that runs controller and agents: this one, else the one that the checkout brings as a package. */
export function findNode(version = process.versions.node): string {
  if (Number(version.split(".")[0]) >= NEEDED_NODE) return process.execPath;
  const name = `node-linux-${process.arch}`;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const binary = join(dirname(manifest), "bin", "node");
    if (existsSync(binary)) return binary;
  } catch {
    // Said below, once for both ways of not being there.
  }
  throw new SlipwayError("bad-input", `dev: controller and agents need Node ${NEEDED_NODE}, this is ${version}`, {
    fix: "start it with `npx slipway dev ...` in the checkout (it brings Node 24), or install a newer Node",
  });
}

/** `slipway-controller` or `slipway-agent`: of the workspace, else in PATH. */
export function findProgram(kind: "controller" | "agent", env: NodeJS.ProcessEnv): Program {
  const script = inWorkspace(kind);
  if (script !== undefined) return { file: findNode(), words: [script] };
  const found = (env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, `slipway-${kind}`))
    .find(isExecutable);
  if (found !== undefined) return { file: found, words: [] };
  throw new SlipwayError("bad-input", `dev: slipway-${kind} is neither beside this program nor in PATH`, {
    fix: "run dev from a checkout, or install it",
  });
}

function inWorkspace(kind: string): string | undefined {
  try {
    const path = fileURLToPath(import.meta.resolve(`@slipway/${kind}/bin`));
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs a short command of a program to its end; its one line of complaint becomes ours. */
export async function runProgram(program: Program, args: readonly string[], timeoutMs = 60_000): Promise<void> {
  try {
    await promisify(execFile)(program.file, [...program.words, ...args], {
      timeout: timeoutMs,
      maxBuffer: 1024 * 1024,
    });
  } catch (cause) {
    const stderr = String((cause as { stderr?: unknown }).stderr ?? "").trim();
    const line = stderr.split("\n").at(-1) || (cause as Error).message.split("\n")[0];
    throw new SlipwayError("refused", `dev: \`slipway-controller ${args[0]}\` failed: ${line}`, { cause });
  }
}
