// Brings a checkout to the point where it runs: dependencies as locked, sources compiled. Runs on Node 20, needs nothing installed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** The Node 24 that the lockfile brings. */
export const node = join(root, "node_modules/.bin/node");

/** PATH with the locked tools first, as npm sets it. */
export const env = { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}` };

export function run(what, command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", env, ...options });
  if (error || status !== 0) {
    console.error(
      `${what} failed${error ? `: ${error.message}` : signal ? ` (${signal})` : ` (exit status ${status})`}`,
    );
    process.exit(1);
  }
}

export function prepare() {
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  const stamp = join(root, "node_modules/.slipway-lock");
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
    console.log("Installing dependencies (npm ci) ...");
    run("npm ci", "npm", ["ci", "--ignore-scripts", "--loglevel=error"]);
    writeFileSync(stamp, lock);
  }
  console.log("Compiling ...");
  run("tsc", node, [join(root, "node_modules/typescript/bin/tsc"), "-b"]);
}
