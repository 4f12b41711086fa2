import { type ChildProcess, type ForkOptions, fork, type SpawnOptions, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long a process may take to leave when it is asked to, in milliseconds. */
const LEAVE_MS = 5_000;

/** Everything that a bench starts and writes. `end` leaves none of it behind, however the bench ended. */
export class Scratch {
  readonly dir: string;
  readonly #children = new Set<ChildProcess>();

  /** `parent`: where the files go. Default: the directory for temporary files. */
  constructor(parent = tmpdir()) {
    mkdirSync(parent, { recursive: true });
    this.dir = mkdtempSync(join(parent, "slipway-bench-"));
  }

  /** A directory of that name below the scratch directory; empty. */
  fresh(name: string): string {
    const dir = join(this.dir, name);
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return dir;
  }

  spawn(program: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    return this.#keep(spawn(program, args, { stdio: "ignore", ...options }));
  }

  /** A program of bench/ with a message channel. It leaves by itself when the channel closes, so it cannot outlive us. */
  fork(module: string, args: readonly string[] = [], options: ForkOptions = {}): ChildProcess {
    return this.#keep(fork(module, args, { serialization: "advanced", ...options }));
  }

  /** Ends a process and waits until it is gone; a forked one by closing its channel, unless a signal is given. */
  async stop(child: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
    if (!isOver(child)) {
      const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      if (signal === undefined && child.connected) child.disconnect();
      else child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), LEAVE_MS);
      await gone;
      clearTimeout(timer);
    }
    this.#children.delete(child);
  }

  async end(): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.stop(child, "SIGKILL")));
    // What a peer put into the background is no child of ours; the scratch directory in its command line tells it.
    for (const pid of mentioning(this.dir)) kill(pid);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  #keep(child: ChildProcess): ChildProcess {
    this.#children.add(child);
    child.on("error", (error) => process.stderr.write(`bench: ${child.spawnfile}: ${error.message}\n`));
    child.once("exit", () => this.#children.delete(child));
    return child;
  }
}

function isOver(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** Processes other than this one with `text` in their command line. */
export function mentioning(text: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text) ? [pid] : [];
    } catch {
      return [];
    }
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}
