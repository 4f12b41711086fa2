import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** A refusal in one line: what cannot be done and what would help. */
export class LabError extends Error {}

/** No command of the lab's own machinery takes longer than this, milliseconds. */
const COMMAND_MS = 60_000;
const OUTPUT_BYTES = 4 * 1024 * 1024;

/** Runs a command to its end; a failure is an error that carries what it said. */
export function run(command: string, args: readonly string[], input?: string): string {
  const done = spawnSync(command, args, {
    encoding: "utf8",
    timeout: COMMAND_MS,
    maxBuffer: OUTPUT_BYTES,
    ...(input === undefined ? {} : { input }),
  });
  if (done.error !== undefined || done.status !== 0) {
    const why = done.error?.message ?? (done.stderr.trim() || done.stdout.trim() || `status ${done.status}`);
    throw new LabError(`${command} ${args.slice(0, 6).join(" ")}: ${why.replace(/\s+/g, " ").slice(-500)}`);
  }
  return done.stdout;
}

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, whatever that is. `limitMs`: then it is killed and the status is -1. */
export function attempt(command: string, args: readonly string[], limitMs = COMMAND_MS, input = ""): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], timeout: limitMs, killSignal: "SIGKILL" });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (stdout.length < OUTPUT_BYTES) stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (stderr.length < OUTPUT_BYTES) stderr += text;
    });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    const ended = (done: Ended) => {
      clearInterval(goOn);
      resolve(done);
    };
    // A host that shuts down stops all its processes for a moment. nsenter then stops as well, and stays so when they are gone.
    const goOn = setInterval(() => child.kill("SIGCONT"), 250);
    child.once("error", (error) => ended({ status: -1, stdout, stderr: error.message }));
    child.once("close", (status) => ended({ status: status ?? -1, stdout, stderr }));
  });
}

/** When a process began, in clock ticks since boot: with its pid a name that is never used twice. Undefined: it is gone. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** The children of a process, oldest first. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Waits for something to become true. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 60_000,
  pauseMs = 50,
): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > limit) throw new LabError(`waited ${Math.round(limitMs / 1000)} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
