import { accessSync, constants, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { SUBJECT_PATTERN } from "@slipway/shared";
import { fail } from "../answer.ts";

/** Where a site puts its own probes, unless told otherwise. */
export const PROBES_DIR = "/etc/slipway/probes.d";
const WRITABLE_BY_OTHERS = 0o022;

/**
 * The script of this name, if it can be trusted as hooks are: it and its directory belong to root or to the user the agent
 * runs as, and nobody else may write them. Unreadable otherwise.
 */
export function trustedScript(name: string, dir: string, uid = process.getuid?.() ?? 0): string {
  if (!SUBJECT_PATTERN.test(name)) fail(`setting name is ${JSON.stringify(name)}; give the name of a file in ${dir}`);
  const file = join(dir, name);
  trusted(dir, uid, (stat) => stat.isDirectory() || fail(`${dir}: is not a directory`));
  trusted(file, uid, (stat) => stat.isFile() || fail(`${file}: is not a file`));
  try {
    accessSync(file, constants.X_OK);
  } catch {
    fail(`${file}: is not executable; run chmod +x ${file}`);
  }
  return file;
}

function trusted(path: string, uid: number, check: (stat: Stats) => void): void {
  const stat = statOf(path);
  check(stat);
  if (stat.uid !== 0 && stat.uid !== uid) fail(`${path}: belongs to uid ${stat.uid}; run chown root ${path}`);
  if ((stat.mode & WRITABLE_BY_OTHERS) !== 0) fail(`${path}: writable by group or others; run chmod go-w ${path}`);
}

function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    return fail(`${path}: ${code === "ENOENT" ? "does not exist on this host" : `cannot be read (${code})`}`);
  }
}
