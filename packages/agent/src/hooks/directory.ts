import { createHash } from "node:crypto";
import { accessSync, constants, lstatSync, readFileSync, type Stats, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { type Stage, stages } from "@slipway/shared";
import type { FoundHook, Hooks } from "../steps/ports.ts";
import type { Hook, HookInventory } from "../steps/types.ts";

/** CloudStack's names of a stage's hook, in its order: the first regular file wins. */
const suffixes = ["", ".sh", ".py"] as const;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/** The operator's hooks. Looked at anew each time: hooks are installed and repaired while the agent runs. */
export class HooksDirectory implements Hooks {
  readonly #dir: string;
  readonly #uid: number;

  /** `dir` is empty when the operator has set none; `uid` is the user the agent runs as. */
  constructor(dir: string, uid: number = process.getuid?.() ?? 0) {
    this.#dir = dir;
    this.#uid = uid;
  }

  inventory(): HookInventory {
    const problem = this.#dirProblem();
    const hooks: Hook[] = [];
    if (problem === "") {
      for (const stage of stages) {
        const found = this.#findStage(stage);
        if (found.state === "absent") continue;
        const { file, sha256 } = found;
        hooks.push({ stage, file, sha256, problem: found.state === "problem" ? found.reason : "" });
      }
    }
    return { dir: this.#dir, problem, hooks };
  }

  find(stage: Stage): FoundHook {
    const problem = this.#dirProblem();
    if (problem !== "") return { state: "problem", file: "", sha256: "", reason: problem };
    return this.#findStage(stage);
  }

  /** Without a usable directory nobody can tell whether there is a hook: that is a problem, never "no hook". */
  #dirProblem(): string {
    const dir = this.#dir;
    if (dir === "") return "rolling.maintenance.hooks.dir is not set; set it in agent.properties";
    if (!isAbsolute(dir)) return `rolling.maintenance.hooks.dir is ${dir}; give an absolute path`;
    let stat: Stats;
    try {
      stat = statSync(dir);
      accessSync(dir, constants.R_OK | constants.X_OK);
    } catch (thrown) {
      return `${dir}: ${cannot(thrown, "does not exist; create it, or mount it before the agent starts")}`;
    }
    if (!stat.isDirectory()) return `${dir}: is not a directory; set rolling.maintenance.hooks.dir to one`;
    if ((stat.mode & WRITABLE_BY_OTHERS) !== 0 && (stat.mode & STICKY) === 0)
      return `${dir}: writable by group or others (mode ${mode(stat)}); run chmod go-w ${dir}`;
    if (!this.#isTrusted(stat)) return `${dir}: belongs to uid ${stat.uid}; run chown ${this.#owner()} ${dir}`;
    return "";
  }

  #findStage(stage: Stage): FoundHook {
    let notAFile: FoundHook | undefined;
    for (const suffix of suffixes) {
      const file = join(this.#dir, `${stage}${suffix}`);
      const problem = (reason: string, sha256 = ""): FoundHook => ({
        state: "problem",
        file,
        sha256,
        reason: `${file}: ${reason}`,
      });
      let stat: Stats;
      try {
        stat = statSync(file);
      } catch (thrown) {
        const link = lstatSync(file, { throwIfNoEntry: false });
        if (link === undefined) continue;
        const why = link.isSymbolicLink()
          ? cannot(thrown, "is a link to nothing; repair or remove it")
          : cannot(thrown, "vanished");
        notAFile ??= problem(why);
        continue;
      }
      if (!stat.isFile()) {
        notAFile ??= problem(`is ${kind(stat)}; put the hook itself there, as a file`);
        continue;
      }
      let content: Buffer;
      try {
        content = readFileSync(file);
      } catch (thrown) {
        return problem(cannot(thrown, "vanished"));
      }
      const sha256 = createHash("sha256").update(content).digest("hex");
      const reason = this.#fileProblem(file, stat, content);
      return reason === "" ? { state: "found", file, sha256 } : problem(reason, sha256);
    }
    return notAFile ?? { state: "absent" };
  }

  #fileProblem(file: string, stat: Stats, content: Buffer): string {
    if (content.length === 0) return "is empty; write the hook, or remove the file";
    if (!this.#isTrusted(stat)) return `belongs to uid ${stat.uid}; run chown ${this.#owner()} ${file}`;
    if ((stat.mode & WRITABLE_BY_OTHERS) !== 0)
      return `writable by group or others (mode ${mode(stat)}); run chmod go-w ${file}`;
    try {
      accessSync(file, constants.X_OK);
    } catch {
      return `is not executable (mode ${mode(stat)}); run chmod +x ${file}`;
    }
    return interpreterProblem(content);
  }

  #isTrusted(stat: Stats): boolean {
    return stat.uid === 0 || stat.uid === this.#uid;
  }

  #owner(): string {
    return this.#uid === 0 ? "root" : String(this.#uid);
  }
}

/** What is wrong with the first line that names an interpreter; a file without one runs under sh. */
function interpreterProblem(content: Buffer): string {
  if (content[0] !== 0x23 || content[1] !== 0x21) return "";
  const newline = content.indexOf(0x0a);
  const line = content.toString("utf8", 2, newline < 0 ? Math.min(content.length, 4096) : newline);
  if (line.endsWith("\r"))
    return "its first line ends in CR LF, so the system looks for an interpreter with a carriage return in its name; convert it with sed -i 's/\\r$//'";
  const interpreter = line.trim().split(/[ \t]/)[0] ?? "";
  if (interpreter === "") return "its first line names no interpreter after #!; write for example #!/bin/sh";
  try {
    accessSync(interpreter, constants.X_OK);
    if (statSync(interpreter).isDirectory())
      return `its interpreter ${interpreter} is a directory; correct its first line`;
    return "";
  } catch {
    return `its interpreter ${interpreter} is not there or not executable; install it or correct the first line`;
  }
}

function cannot(thrown: unknown, whenMissing: string): string {
  const { code, message } = thrown as NodeJS.ErrnoException;
  if (code === "ENOENT") return whenMissing;
  if (code === "EACCES") return "may not be read by the agent; correct its mode, or that of a directory above it";
  if (code === "ELOOP") return "is a link to itself; repair or remove it";
  return `cannot be read (${code ?? message})`;
}

function kind(stat: Stats): string {
  if (stat.isDirectory()) return "a directory";
  if (stat.isSocket()) return "a socket";
  if (stat.isFIFO()) return "a pipe";
  return "a device";
}

function mode(stat: Stats): string {
  return (stat.mode & 0o7777).toString(8).padStart(4, "0");
}
