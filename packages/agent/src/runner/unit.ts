// What a runner that is the main process of a systemd unit has to know about it.
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";

const ASK_DEADLINE_MS = 2_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** systemd counts from before this process began to count for itself. */
const HEAD_START_MS = 1_000;

/** Why systemd sent TERM: the unit's deadline, the host going down, or somebody's `systemctl stop`. */
export type StopCause = "timeout" | "shutdown" | "outside";

/** Asks systemd. It still answers in a shutdown, when this is most wanted. */
export async function stopCause(unit: string, timeoutMs: number): Promise<StopCause> {
  const [system, result] = await Promise.all([
    // Exit status 1 for every state but "running"; the word counts.
    ask(["is-system-running"]),
    ask(["show", "--property=Result", "--value", unit]),
  ]);
  return causeOf(system, result, performance.now() + HEAD_START_MS >= timeoutMs);
}

/** Whether the host is on its way down. */
export async function isGoingDown(): Promise<boolean> {
  return (await ask(["is-system-running"])) === "stopping";
}

/** The rule behind `stopCause`; an answer that could not be had is empty. */
export function causeOf(system: string, result: string, isDue: boolean): StopCause {
  if (result === "timeout" || (result === "" && isDue)) return "timeout";
  return system === "stopping" ? "shutdown" : "outside";
}

function ask(args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const options = { timeout: ASK_DEADLINE_MS, maxBuffer: MAX_ANSWER_BYTES, encoding: "utf8" } as const;
    execFile("systemctl", args, options, (_error, stdout) => resolve(stdout.trim()));
  });
}

/** When the memory limit is reached, the hook's processes go first: somebody has to be left to say so. */
export function outliveMemory(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "-900");
  } catch {
    // Not root, or no such file: the kernel chooses.
  }
}
