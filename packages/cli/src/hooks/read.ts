import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type HookFile, hookSetHash, hookSetLimits, hookSetProblems } from "@slipway/shared/node";
import { wrongUse } from "../io.ts";
import { reasonOf } from "../options/run.ts";
import { clean } from "../render/text.ts";

/** A hooks directory of this machine, good to be sent. */
export interface HookDir {
  readonly dir: string;
  readonly files: readonly HookFile[];
  readonly hash: string;
  /** Hidden entries, which stay here. */
  readonly leftOut: readonly string[];
}

/** Problems named in one refusal; a wrong directory has hundreds. */
const MAX_NAMED = 5;

/** Reads and checks a directory. Errors: `bad-input` that names everything a host would refuse. */
export function readHookDir(dir: string): HookDir {
  const files: HookFile[] = [];
  const leftOut: string[] = [];
  const problems: string[] = [];
  for (const name of entriesOf(dir)) {
    if (name.startsWith(".")) {
      leftOut.push(name);
      continue;
    }
    const path = join(dir, name);
    try {
      const stat = statSync(path);
      if (!stat.isFile()) problems.push(`${clean(name)} is no plain file; move it elsewhere`);
      else if (stat.size > hookSetLimits.totalBytes || files.length > hookSetLimits.files)
        problems.push(`${clean(name)} is too much; at most ${hookSetLimits.files} files and 3 MiB can be pushed`);
      else files.push({ name, content: readFileSync(path), executable: (stat.mode & 0o100) !== 0 });
    } catch (cause) {
      problems.push(`${clean(name)} ${reasonOf(cause)}`);
    }
  }
  for (const { file, text } of hookSetProblems(files)) problems.push(file === "" ? text : `${file} ${text}`);
  if (problems.length > 0) {
    const more = problems.length > MAX_NAMED ? ` (and ${problems.length - MAX_NAMED} more)` : "";
    throw wrongUse(`hooks ${dir}: ${problems.slice(0, MAX_NAMED).join("; ")}${more}`);
  }
  return { dir, files, hash: hookSetHash(files), leftOut };
}

function entriesOf(dir: string): string[] {
  try {
    return readdirSync(dir).toSorted();
  } catch (cause) {
    const reason = (cause as { code?: unknown }).code === "ENOTDIR" ? "is no directory" : reasonOf(cause);
    throw wrongUse(`hooks ${dir}: ${reason}`, "name a directory with files named after the stages");
  }
}
