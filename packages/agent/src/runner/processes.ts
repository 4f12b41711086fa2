import { readdirSync, readFileSync } from "node:fs";
import type { Started } from "./files.ts";

/** Fields of /proc/PID/stat (proc(5)). A pid alone can be reused; together with the start time it names one process. */
export interface ProcessStat {
  readonly pid: number;
  readonly state: string;
  readonly session: number;
  /** In clock ticks since boot, as text. */
  readonly startTime: string;
}

export function processStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The command's name is in parentheses and may contain anything, also parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { pid, state: fields[0] ?? "", session: Number(fields[3]), startTime: fields[19] ?? "" };
}

/** Whether that very process still runs; a zombie does not. */
export function isAlive(pid: number, startTime: string): boolean {
  const stat = processStat(pid);
  return stat !== undefined && stat.startTime === startTime && stat.state !== "Z" && stat.state !== "X";
}

/** Live processes whose environment has `variable=value`, or that are in the session of `leader`. Never this process. */
export function processesOf(variable: string, value: string, leader?: Started): number[] {
  const wanted = Buffer.from(`${variable}=${value}\0`);
  // A session's number is its leader's pid: if that pid belongs to somebody else by now, so does the session.
  const leaderNow = leader === undefined ? undefined : processStat(leader.pid);
  const ownSession = leader !== undefined && (leaderNow === undefined || leaderNow.startTime === leader.startTime);
  const found: number[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const stat = processStat(pid);
    if (stat === undefined || stat.state === "Z" || stat.state === "X") continue;
    if ((ownSession && stat.session === leader.pid) || hasInEnvironment(pid, wanted)) found.push(pid);
  }
  return found;
}

function hasInEnvironment(pid: number, wanted: Buffer): boolean {
  try {
    const environ = readFileSync(`/proc/${pid}/environ`);
    const at = environ.indexOf(wanted);
    return at === 0 || (at > 0 && environ[at - 1] === 0);
  } catch {
    return false;
  }
}

/** Sends a signal to a process, or with a negative pid to a group; one that is gone is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone, or not ours: the next look tells.
  }
}
