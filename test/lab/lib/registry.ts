import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { labsWithGroups, removeGroups } from "./cgroups.ts";
import { LabError, startOf } from "./system.ts";

// What a lab leaves outside of its namespaces: one directory with its keeper's pid, its control socket and its log.

const DIR = "/run/slipway-lab";

/** Short, because it is part of paths and of control groups. */
const NAME = /^[a-z][a-z0-9-]{0,19}$/;

export interface Entry {
  readonly keeper: number;
  /** With the pid a name that is never used twice. */
  readonly keeperStart: string;
  /** PID 1 of the lab's pid namespace, as this machine counts; 0 until it runs. */
  readonly init: number;
  readonly hosts: readonly string[];
}

export function labDir(name: string): string {
  if (!NAME.test(name)) throw new LabError(`lab name "${name}": use up to 20 small letters, digits and dashes`);
  return join(DIR, name);
}

export const controlSocket = (name: string) => join(labDir(name), "control");
export const logFile = (name: string) => join(labDir(name), "log");

export function readEntry(name: string): Entry | undefined {
  try {
    return JSON.parse(readFileSync(join(labDir(name), "lab.json"), "utf8")) as Entry;
  } catch {
    return undefined;
  }
}

export function writeEntry(name: string, entry: Entry): void {
  writeFileSync(join(labDir(name), "lab.json"), JSON.stringify(entry), { mode: 0o600 });
}

export function isAlive(entry: Entry): boolean {
  return startOf(entry.keeper) === entry.keeperStart;
}

/** Takes the name; a dead lab of that name is cleared away first. */
export function claim(name: string): void {
  const dir = labDir(name);
  clearDead();
  for (;;) {
    mkdirSync(DIR, { recursive: true, mode: 0o700 });
    try {
      mkdirSync(dir, { mode: 0o700 });
      return;
    } catch (thrown) {
      // The last lab has just ended, and taken the directory of all labs with it.
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") continue;
      throw new LabError(
        `lab ${name} is up already; npm run lab -- down --name ${name} ends it, --name makes another one`,
      );
    }
  }
}

/** Removes what a lab left: its directory and its control groups. Its processes and mounts went with its namespaces. */
export function clear(name: string): void {
  removeGroups(name);
  rmSync(labDir(name), { recursive: true, force: true });
  try {
    rmdirSync(DIR);
  } catch {
    // Not empty: there are other labs.
  }
}

/** A lab that is being claimed has no entry yet; it gets this much time, milliseconds. */
const CLAIMING_MS = 10_000;

/** Clears away every lab whose keeper was killed before it could. */
export function clearDead(): void {
  for (const name of labs()) {
    const entry = readEntry(name);
    if (entry === undefined ? ageMs(name) > CLAIMING_MS : !isAlive(entry)) clear(name);
  }
  const there = labs();
  for (const name of labsWithGroups()) if (!there.includes(name)) removeGroups(name);
}

export function labs(): string[] {
  try {
    return readdirSync(DIR).filter((name) => NAME.test(name));
  } catch {
    return [];
  }
}

function ageMs(name: string): number {
  try {
    return Date.now() - statSync(labDir(name)).mtimeMs;
  } catch {
    return 0;
  }
}
