import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LabError } from "./system.ts";

export const checkout = fileURLToPath(new URL("../../..", import.meta.url));

const names = ["slipway-runtime", "slipway-agent", "slipway-controller", "slipway-cli"] as const;
type Name = (typeof names)[number];
/** Everything but the runtime is built in seconds. */
const light: readonly Name[] = names.slice(1);
/** What the light packages are made of. */
const sources = ["packages", "packaging", "systemd", "proto", "scripts/package.mjs", "package.json"];
const BUILD_MS = 300_000;

/** The newest package of a name in a directory. */
function newest(dir: string, name: Name): string | undefined {
  if (!existsSync(dir)) return undefined;
  const files = readdirSync(dir).filter((file) => file.startsWith(`${name}_`) && file.endsWith(".deb"));
  return files.map((file) => join(dir, file)).sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}

/** The packages of a directory, one of each name. */
export function packagesIn(dir: string): string[] {
  return names.map((name) => {
    const file = newest(dir, name);
    if (file === undefined) throw new LabError(`${dir}: no ${name}_*.deb; npm run package builds it`);
    return file;
  });
}

/** Packages of the sources as they are: those of build/packages, built first where they are missing or older. */
export function currentPackages(say: (line: string) => void): string[] {
  const dir = join(checkout, "build/packages");
  const changed = Math.max(...sources.map((path) => lastChange(join(checkout, path))));
  const stale = light.filter((name) => {
    const file = newest(dir, name);
    return file === undefined || statSync(file).mtimeMs < changed;
  });
  const missing = newest(dir, "slipway-runtime") === undefined ? [names[0], ...stale] : stale;
  if (missing.length > 0) {
    say(`building ${missing.join(", ")} ...`);
    build(missing, ["--out", dir]);
  }
  return packagesIn(dir);
}

/** A package of the same sources with another version, in a directory of its own; `remove` deletes it. */
export function packageOfVersion(name: Name, version: string): { file: string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), "slipway-lab-package-"));
  build([name], ["--out", dir, "--version", version]);
  const file = newest(dir, name);
  if (file === undefined) throw new LabError(`npm run package did not build ${name} ${version}`);
  return { file, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

function build(wanted: readonly Name[], words: readonly string[]): void {
  const only = wanted.map((name) => name.replace("slipway-", "")).join(",");
  const args = [
    join(checkout, "scripts/package.mjs"),
    "--fast",
    "--arch",
    debianArchitecture(),
    "--only",
    only,
    ...words,
  ];
  const done = spawnSync(process.execPath, args, { cwd: checkout, encoding: "utf8", timeout: BUILD_MS });
  if (done.status !== 0)
    throw new LabError(`npm run package -- --only ${only}: ${(done.stderr || done.stdout).trim().split("\n").pop()}`);
}

function debianArchitecture(): string {
  return process.arch === "arm64" ? "arm64" : "amd64";
}

/** When the youngest file below a path was written, milliseconds. */
function lastChange(path: string): number {
  const entry = statSync(path, { throwIfNoEntry: false });
  if (entry === undefined) return 0;
  if (!entry.isDirectory()) return path.endsWith(".test.ts") ? 0 : entry.mtimeMs;
  const inside = readdirSync(path).filter((name) => !["dist", "node_modules"].includes(name));
  return Math.max(0, ...inside.map((name) => lastChange(join(path, name))));
}
