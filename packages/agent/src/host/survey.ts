import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { HostFacts } from "../steps/types.ts";
import { newerKernel } from "./kernel.ts";

/** `needs-restarting` reads the package database; on a host that is busy it takes its time. */
const ASK_DEADLINE_MS = 30_000;
const MAX_ANSWER_BYTES = 256 * 1024;
/** Answers kept: the one step in hand, and a few that wait for their journal. */
const KEPT = 8;

export interface Places {
  /** Directory of the distribution's marks; default /run. */
  readonly run: string;
  /** Default /boot. */
  readonly boot: string;
  /** Default /lib/modules. */
  readonly modules: string;
  /** EL's way to ask; default /usr/bin/needs-restarting. */
  readonly needsRestarting: string;
  readonly kernelRunning: string;
}

const real: Places = {
  run: "/run",
  boot: "/boot",
  modules: "/lib/modules",
  needsRestarting: "/usr/bin/needs-restarting",
  kernelRunning: release(),
};

type Wish = Pick<HostFacts, "rebootWanted" | "rebootUnknown">;

/** Asks the host whether it wants a reboot, and compares the running kernel with the installed ones. */
export class HostSurvey {
  readonly #places: Places;
  readonly #uptimeMs: () => number;
  /** By step; undefined while it is being asked. */
  readonly #wishes = new Map<string, Wish | undefined>();

  constructor(uptimeMs: () => number, places: Places = real) {
    this.#uptimeMs = uptimeMs;
    this.#places = places;
  }

  /** Asked once for each step, at its end; undefined until the answer is there, which is bounded. */
  facts(id: string): HostFacts | undefined {
    if (!this.#wishes.has(id)) {
      for (const old of [...this.#wishes.keys()].slice(0, Math.max(0, this.#wishes.size - KEPT + 1)))
        this.#wishes.delete(old);
      this.#wishes.set(id, undefined);
      this.#ask((wish) => this.#wishes.set(id, wish));
    }
    const wish = this.#wishes.get(id);
    if (wish === undefined) return undefined;
    const { kernelRunning } = this.#places;
    return {
      ...wish,
      kernelRunning,
      kernelNewest: newerKernel(kernelRunning, this.#installed()),
      uptimeMs: this.#uptimeMs(),
    };
  }

  #ask(answer: (wish: Wish) => void): void {
    const { run, needsRestarting } = this.#places;
    // Debian, Ubuntu and SUSE; /var/run is the same directory.
    const mark = join(run, "reboot-required");
    if (existsSync(mark)) {
      const packages = lines(`${mark}.pkgs`);
      const names = packages.length === 0 ? "" : ` (${[...new Set(packages)].slice(0, 5).join(", ")})`;
      answer({ rebootWanted: `${mark} exists${names}`, rebootUnknown: "" });
      return;
    }
    if (!existsSync(needsRestarting)) {
      answer({ rebootWanted: "", rebootUnknown: "" });
      return;
    }
    const options = {
      timeout: ASK_DEADLINE_MS,
      maxBuffer: MAX_ANSWER_BYTES,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
    };
    execFile(needsRestarting, ["-r"], options, (error, stdout) => answer(needsRestartingSays(error, String(stdout))));
  }

  /** Releases that could be booted: those that have an image. */
  #installed(): string[] {
    const { boot, modules } = this.#places;
    const images = list(boot).flatMap((name) => (name.startsWith("vmlinuz-") ? [name.slice("vmlinuz-".length)] : []));
    const withModules = list(modules).filter((name) => existsSync(join(modules, name, "vmlinuz")));
    return [...new Set([...images, ...withModules])];
  }
}

/** needs-restarting(1): 0 no, 1 yes. A fault of its own ends with 1 as well, so the words have to agree. */
export function needsRestartingSays(
  error: { code?: unknown; killed?: unknown; message: string } | null,
  stdout: string,
): Wish {
  if (error === null) return { rebootWanted: "", rebootUnknown: "" };
  if (error.killed)
    return { rebootWanted: "", rebootUnknown: `needs-restarting -r: no answer in ${ASK_DEADLINE_MS} ms` };
  if (error.code === 1 && /reboot is required/i.test(stdout))
    return { rebootWanted: "needs-restarting -r says so", rebootUnknown: "" };
  return { rebootWanted: "", rebootUnknown: `needs-restarting -r: failed (${String(error.code)})` };
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}
