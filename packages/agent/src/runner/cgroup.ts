// The control group that a unit's runner and its hook live in. Read only: systemd owns it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/** Directories under which this process's group may be found, by the hierarchy's controller; "" is version 2. */
export function groupsOf(text: string): ReadonlyMap<string, string> {
  const groups = new Map<string, string>();
  for (const line of text.split("\n")) {
    // 0::/system.slice/a.service, or 4:memory:/..., or 9:name=systemd:/...
    const [, controllers, ...path] = line.split(":");
    if (controllers === undefined || path.length === 0) continue;
    for (const name of controllers.split(",")) groups.set(name, path.join(":"));
  }
  return groups;
}

/** Number after `oom_kill` in memory.events (version 2) or memory.oom_control (version 1). */
export function oomKillsIn(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}

function ownGroups(): ReadonlyMap<string, string> {
  try {
    return groupsOf(readFileSync("/proc/self/cgroup", "utf8"));
  } catch {
    return new Map();
  }
}

/** Processes of the kernel's "out of memory" since the group was made; 0 when it cannot be told. */
export function oomKills(): number {
  const groups = ownGroups();
  const unified = groups.get("") ?? "/";
  for (const file of [
    join(ROOT, unified, "memory.events"),
    join(ROOT, "memory", groups.get("memory") ?? "/", "memory.oom_control"),
  ]) {
    try {
      return oomKillsIn(readFileSync(file, "utf8"));
    } catch {
      // Another hierarchy, or memory is not accounted.
    }
  }
  return 0;
}

/** Everybody else in this process's group and below, whatever they made of their session and environment. */
export function groupMembers(): number[] {
  const groups = ownGroups();
  const unified = groups.get("");
  const named = groups.get("name=systemd");
  for (const dir of [
    ...(named === undefined ? [] : [join(ROOT, "systemd", named)]),
    ...(unified === undefined ? [] : [join(ROOT, unified), join(ROOT, "unified", unified)]),
  ]) {
    // The root group is everybody: that is no unit.
    if (dir.endsWith("/") || !/\.(service|scope)(\/|$)/.test(dir)) continue;
    const found = members(dir);
    if (found !== undefined) return found;
  }
  return [];
}

function members(dir: string): number[] | undefined {
  let text: string;
  try {
    text = readFileSync(join(dir, "cgroup.procs"), "utf8");
  } catch {
    return undefined;
  }
  const pids = text.split("\n").map(Number);
  const own = pids.filter((pid) => pid > 0 && pid !== process.pid);
  try {
    const below = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...own, ...below.flatMap((entry) => members(join(dir, entry.name)) ?? [])];
  } catch {
    return own;
  }
}
