import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// Each host is a control group of its own, so that the systemd in it owns a tree that no other host sees. Control groups are the
// only thing of a lab that does not vanish with its namespaces; an empty one costs nothing, and they are named by the lab.

/** On machines with the version 1 layout: the hierarchies in which a host's systemd makes groups. */
const needed = ["name=systemd", "memory", "pids", "cpu"];

interface Hierarchy {
  readonly path: string;
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
}

export function hierarchies(): Hierarchy[] {
  const found: Hierarchy[] = [];
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [, path = "", type, options = ""] = line.split(" ");
    if (type === "cgroup2") found.push({ path, version: 2, controllers: [] });
    if (type !== "cgroup") continue;
    const controllers = options.split(",").filter((option) => needed.includes(option));
    if (controllers.length > 0) found.push({ path, version: 1, controllers });
  }
  return found;
}

/** True when controllers are shared the old way, where nspawn mounts them read-only in the host. */
export function isLegacy(): boolean {
  return hierarchies().some(({ controllers }) => controllers.includes("memory"));
}

const groupName = (lab: string) => `slipway-lab.${lab}`;

/** Makes the groups of one host; returns the files into which its first process writes its pid. */
export function makeGroups(lab: string, host: string): string[] {
  return hierarchies().map(({ path, version }) => {
    const parent = join(path, groupName(lab));
    const group = join(parent, host);
    mkdirSync(group, { recursive: true });
    if (version === 2 && existsSync(join(path, "cgroup.controllers")))
      for (const dir of [path, parent]) enableControllers(dir);
    return join(group, "cgroup.procs");
  });
}

function enableControllers(dir: string): void {
  const available = readFileSync(join(dir, "cgroup.controllers"), "utf8").trim().split(" ");
  for (const controller of ["memory", "pids", "cpu"]) {
    if (!available.includes(controller)) continue;
    try {
      writeFileSync(join(dir, "cgroup.subtree_control"), `+${controller}`);
    } catch {
      // Without the controller limits are not enforced in the hosts; everything else works.
    }
  }
}

/** Removes what is left of a lab's groups; those that still have processes stay for the next attempt. */
export function removeGroups(lab: string, host?: string): boolean {
  let gone = true;
  for (const { path } of hierarchies()) gone = removeTree(join(path, groupName(lab), host ?? "")) && gone;
  return gone;
}

/** Labs that have groups, with or without anything else. */
export function labsWithGroups(): string[] {
  const prefix = groupName("");
  const names = hierarchies().flatMap(({ path }) => readdirSync(path).filter((name) => name.startsWith(prefix)));
  return [...new Set(names)].map((name) => name.slice(prefix.length));
}

function removeTree(dir: string): boolean {
  if (!existsSync(dir)) return true;
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true }))
      if (entry.isDirectory()) removeTree(join(dir, entry.name));
    rmdirSync(dir);
    return true;
  } catch {
    return false;
  }
}
