import type { Reason, RunOptions } from "../domain/words.ts";
import { clusterOf, type KnownHost } from "./scope.ts";

/** What the hooks of the hosts of a run stand for or against. */
export interface HookFindings {
  readonly skipped: readonly Reason[];
  readonly blockers: readonly Reason[];
  readonly warnings: readonly Reason[];
}

/** Has the host a hook for this stage? */
export function hasHook(host: KnownHost, stage: string): boolean {
  return host.hooks.some((h) => h.stage === stage);
}

/** Who cannot be reached, whose hooks are not usable, who has none for the work, and whose are others than their neighbours'. */
export function hookFindings(hosts: readonly KnownHost[], { op }: RunOptions): HookFindings {
  const skipped: Reason[] = [];
  const blockers: Reason[] = [];
  const needsHooks = op === "hooks" || op === "reboot";
  for (const host of hosts) {
    if (!host.connected)
      blockers.push({
        rule: "unreachable",
        subject: host.name,
        text: `${host.name}: its agent is not connected (${host.lastSeen})`,
        fix: `start slipway-agent on ${host.name}, or leave it out`,
      });
    else if (host.hooksProblem !== "" && needsHooks)
      blockers.push({
        rule: "hooks-dir",
        subject: host.name,
        text: `${host.name}: ${host.hooksProblem}`,
        fix: "set rolling.maintenance.hooks.dir",
      });
    for (const hook of needsHooks ? host.hooks.filter((h) => h.problem !== "") : [])
      blockers.push({
        rule: "invalid-hook",
        subject: host.name,
        text: `${host.name}: ${hook.stage} hook: ${hook.problem}`,
        fix: "",
      });
    if (op === "hooks" && host.connected && host.hooksProblem === "" && !hasHook(host, "Maintenance"))
      skipped.push({
        rule: "no-maintenance-hook",
        subject: host.name,
        text: `${host.name}: there is no Maintenance hook on the host`,
        fix: `put one into ${host.hooksDir || "its hooks directory"}`,
      });
  }
  return { skipped, blockers, warnings: needsHooks ? differingHooks(hosts) : [] };
}

/** Hosts of one cluster whose hooks are not the same usually are so by mistake. */
function differingHooks(hosts: readonly KnownHost[]): Reason[] {
  const out: Reason[] = [];
  const groups = Map.groupBy(
    hosts.filter((h) => h.connected),
    (h) => clusterOf(h.labels),
  );
  for (const [cluster, members] of groups) {
    for (const stage of new Set(members.flatMap((m) => m.hooks.map((h) => h.stage)))) {
      const hashes = Map.groupBy(members, (m) => m.hooks.find((h) => h.stage === stage)?.sha256 ?? "none");
      if (hashes.size < 2) continue;
      const odd = [...hashes.values()].sort((a, b) => a.length - b.length)[0] ?? [];
      out.push({
        rule: "hooks-differ",
        subject: cluster,
        text: `${stage} hooks differ within cluster ${cluster}: ${odd.map((h) => h.name).join(", ")} ${odd.length === 1 ? "has" : "have"} another one than the rest`,
        fix: `see slipway hooks diff --cluster ${cluster}`,
      });
    }
  }
  return out;
}
