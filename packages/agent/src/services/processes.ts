import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export interface ProcessFacts {
  readonly pid: number;
  /** Command line, word by word. */
  readonly argv: readonly string[];
}

export interface Holder {
  readonly pid: number;
  readonly command: string;
}

/** What is read of the host's processes; tests make a directory like it. */
export class Proc {
  readonly #dir: string;

  constructor(dir = "/proc") {
    this.#dir = dir;
  }

  /** Processes of this host; not those of containers on it, which have process namespaces of their own. */
  list(): ProcessFacts[] {
    const own = this.#link("self/ns/pid");
    return this.#pids().flatMap((pid) => {
      const argv = this.#read(`${pid}/cmdline`).split("\0").slice(0, -1);
      return argv.length > 0 && this.#link(`${pid}/ns/pid`) === own ? [{ pid, argv }] : [];
    });
  }

  isAlive(pid: number): boolean {
    const stat = this.#read(`${pid}/stat`);
    // Its name may hold anything, so the state is looked for after the last bracket.
    return stat !== "" && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  }

  /** Who has something open below a path: directories, programs, files, mapped files. */
  holders(path: string): Holder[] {
    const isBelow = (at: string) => at === path || at.startsWith(`${path}/`);
    return this.#pids().flatMap((pid) => {
      const links = ["cwd", "root", "exe", ...this.#names(`${pid}/fd`).map((fd) => `fd/${fd}`)];
      const isHolder =
        links.some((link) => isBelow(this.#link(`${pid}/${link}`).replace(/ \(deleted\)$/, ""))) ||
        this.#read(`${pid}/maps`)
          .split("\n")
          .some((line) => isBelow(line.slice(line.indexOf("/"))));
      return isHolder ? [{ pid, command: this.#read(`${pid}/comm`).trim() }] : [];
    });
  }

  /** Mounted file systems of one type, in the order in which they were mounted. */
  mounts(type: string): { readonly source: string; readonly target: string; readonly isReadOnly: boolean }[] {
    return this.#read("self/mountinfo")
      .split("\n")
      .flatMap((line) => {
        // proc(5): id parent major:minor root target options [tags] - type source super-options
        const [before = "", after = ""] = line.split(" - ");
        const [found = "", source = ""] = after.split(" ");
        const [, , , , target = "", options = ""] = before.split(" ");
        const isReadOnly = options.split(",").includes("ro");
        return found === type ? [{ source: unescaped(source), target: unescaped(target), isReadOnly }] : [];
      });
  }

  #pids(): number[] {
    return this.#names("")
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  }

  #names(path: string): string[] {
    try {
      return readdirSync(join(this.#dir, path));
    } catch {
      return [];
    }
  }

  #read(path: string): string {
    try {
      return readFileSync(join(this.#dir, path), "utf8");
    } catch {
      return "";
    }
  }

  #link(path: string): string {
    try {
      return readlinkSync(join(this.#dir, path));
    } catch {
      return "";
    }
  }
}

/** Blanks and backslashes are written as octal numbers. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}
