import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** The command line of a running process; undefined when there is none (or no /proc). */
export function commandOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    // A zombie has an empty command line.
    return text === "" ? undefined : text.replaceAll("\0", " ").trim();
  } catch {
    return undefined;
  }
}

export function readPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, "utf8").trim());
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
}

/**
 * Ends processes whose command line has `mark` in it: TERM, then KILL after `graceMs`. The number of a dead process may
 * belong to a stranger by now; the command line tells.
 */
export async function endLeftovers(pids: readonly number[], mark: string, graceMs = 5000): Promise<number> {
  const mine = (pid: number) => commandOf(pid)?.includes(mark) === true;
  const found = pids.filter(mine);
  for (const pid of found) signal(pid, "SIGTERM");
  const end = performance.now() + graceMs;
  while (found.some(mine) && performance.now() < end) await sleep(50);
  for (const pid of found.filter(mine)) signal(pid, "SIGKILL");
  while (found.some(mine) && performance.now() < end + 2000) await sleep(20);
  return found.length;
}
