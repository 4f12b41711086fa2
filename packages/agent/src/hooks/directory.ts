import { accessSync, constants, lstatSync, readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { SlipwayError, type Stage, stages } from "@slipway/shared";
import {
  type HookFile,
  hookSetHash,
  hookSetLimits,
  hookSetProblems,
  hookSuffixes,
  interpreterOf,
  isHookName,
  sha256 as sha256Of,
} from "@slipway/shared/node";
import type { FoundHook, Hooks, ReplacedHooks } from "../steps/ports.ts";
import type { Hook, HookInventory } from "../steps/types.ts";
import { installHooks } from "./install.ts";

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/** The operator's hooks. Looked at anew each time: hooks are installed and repaired while the agent runs. */
export class HooksDirectory implements Hooks {
  readonly #dir: string;
  readonly #uid: number;
  readonly #push: boolean;
  /** The directory's hash, and what its files looked like when it was computed. */
  #hash = { of: "", value: "" };

  /**
   * `dir` is empty when the operator has set none; `push` allows it to be replaced by a pushed one; `uid` is the user the agent
   * runs as.
   */
  constructor(dir: string, push = false, uid: number = process.getuid?.() ?? 0) {
    this.#dir = dir;
    this.#push = push;
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
    return { dir: this.#dir, problem, hooks, hash: problem === "" ? this.#setHash() : "", push: this.#push };
  }

  replace(hash: string, files: readonly HookFile[]): ReplacedHooks {
    const refused = (problem: string): ReplacedHooks => ({ problem, changed: false, replaced: "" });
    if (!this.#push)
      return refused(
        "slipway.hooks.push is not true on this host; set it in its agent.properties and restart slipway-agent",
      );
    if (!isAbsolute(this.#dir)) return refused(this.#dirProblem());
    if (hookSetHash(files) !== hash) return refused("the files do not have the hash they came with; push them again");
    const problem = setProblem(files);
    if (problem !== "") return refused(problem);
    const now = this.inventory();
    if (now.hash === hash && now.problem === "" && now.hooks.every((hook) => hook.problem === ""))
      return { problem: "", changed: false, replaced: "" };
    try {
      return { problem: "", changed: true, replaced: installHooks(this.#dir, files) };
    } catch (thrown) {
      return refused(`${this.#dir}: cannot be replaced (${installProblem(thrown)})`);
    }
  }

  /**
   * Hash of the plain files of the directory, as they would be pushed; empty when they cannot be read or are too many or too
   * large for that. Read anew only when one of them has changed: it is asked for before every plan.
   */
  #setHash(): string {
    try {
      const names = readdirSync(this.#dir).filter((name) => !name.startsWith("."));
      const stats = names.map((name) => ({
        name,
        stat: statSync(join(this.#dir, name), { throwIfNoEntry: false, bigint: true }),
      }));
      const files = stats.flatMap(({ name, stat }) => (stat?.isFile() ? [{ name, stat }] : []));
      const total = files.reduce((sum, { stat }) => sum + stat.size, 0n);
      if (files.length > hookSetLimits.files || total > BigInt(hookSetLimits.totalBytes)) return "";
      const of = files
        .map(({ name, stat: s }) => `${name}/${s.dev}:${s.ino}:${s.size}:${s.mtimeNs}:${s.ctimeNs}:${s.mode}`)
        .join("/");
      if (of !== this.#hash.of || of === "") {
        const read = files.map(({ name, stat }) => ({
          name,
          content: readFileSync(join(this.#dir, name)),
          executable: (stat.mode & 0o100n) !== 0n,
        }));
        this.#hash = { of, value: hookSetHash(read) };
      }
      return this.#hash.value;
    } catch {
      return "";
    }
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
    for (const suffix of hookSuffixes) {
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
      const sha256 = sha256Of(content);
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
function interpreterProblem(content: Uint8Array): string {
  const { interpreter, problem } = interpreterOf(content);
  if (problem !== "" || interpreter === "") return problem;
  try {
    accessSync(interpreter, constants.X_OK);
    if (statSync(interpreter).isDirectory())
      return `its interpreter ${interpreter} is a directory; correct its first line`;
    return "";
  } catch {
    return `its interpreter ${interpreter} is not there or not executable; install it or correct the first line`;
  }
}

/** Why this host would refuse to run a set of files; empty when it would not. */
function setProblem(files: readonly HookFile[]): string {
  const [problem] = hookSetProblems(files);
  if (problem !== undefined) return `${problem.file} ${problem.text}`.trim();
  for (const { name, content } of files) {
    const why = isHookName(name) ? interpreterProblem(content) : "";
    if (why !== "") return `${name}: ${why}`;
  }
  return "";
}

function installProblem(thrown: unknown): string {
  if (thrown instanceof SlipwayError) return thrown.message;
  const { code, syscall, path } = thrown as NodeJS.ErrnoException;
  if (code === "EROFS") return `the agent may not write beside it: ${path}`;
  if (code === "EBUSY") return "it is a mount point; mount its parent instead, or push to none";
  if (code === undefined) return SlipwayError.from(thrown).message;
  return `${syscall} ${path ?? ""}: ${code}`;
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
