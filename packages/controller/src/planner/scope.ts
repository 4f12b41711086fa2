import { naturalCompare, nearest, SlipwayError } from "@slipway/shared";
import type { RunOptions, Scope } from "../domain/words.ts";

/** What the planner knows of a host of the fleet. */
export interface KnownHost {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly connected: boolean;
  /** For people: "last seen ..." or "never seen". */
  readonly lastSeen: string;
  readonly hooksDir: string;
  readonly hooksProblem: string;
  readonly hooks: readonly { stage: string; file: string; sha256: string; problem: string }[];
  readonly cordonedBy: readonly string[];
}

/** Cluster of a host that carries no such label. */
export const NO_CLUSTER = "default";

export function clusterOf(labels: Readonly<Record<string, string>>): string {
  return labels["cluster"] || NO_CLUSTER;
}

/** The scope that a request means. Errors: `bad-input` unless exactly one kind is given. */
export function scopeOf(given: {
  hosts: readonly string[];
  clusters: readonly string[];
  pods: readonly string[];
  zones: readonly string[];
}): Scope {
  const kinds = (["hosts", "clusters", "pods", "zones"] as const).filter((kind) => given[kind].length > 0);
  const kind = kinds[0];
  if (kind === undefined)
    throw new SlipwayError("bad-input", "scope: nothing is chosen", {
      fix: "give one of --hosts, --cluster, --pod, --zone",
    });
  if (kinds.length > 1) {
    const both = kinds.map((k) => `${k} ${given[k].join(",")}`).join(" and ");
    throw new SlipwayError("bad-input", `scope: ${both} were given`, { fix: "choose exactly one kind" });
  }
  return { kind, names: [...new Set(given[kind])] };
}

/** The hosts that a scope means, in the order of a run. Errors: `not-found` with the nearest name. */
export function hostsOf(fleet: readonly KnownHost[], scope: Scope): string[] {
  return byCluster(resolve(fleet, scope)).flatMap(([, hosts]) => hosts.map((h) => h.name));
}

export function byCluster(hosts: readonly KnownHost[]): [string, KnownHost[]][] {
  return [...Map.groupBy(hosts, (h) => clusterOf(h.labels))];
}

/** The hosts of a scope in the order of the run: grouped by cluster, in the given order, else sorted naturally by name. */
export function resolve(fleet: readonly KnownHost[], scope: Scope): KnownHost[] {
  const sorted = [...fleet].sort((a, b) => naturalCompare(a.name, b.name));
  const label = { hosts: "", clusters: "cluster", pods: "pod", zones: "zone" }[scope.kind];
  const nameOf = (h: KnownHost) =>
    scope.kind === "hosts" ? h.name : scope.kind === "clusters" ? clusterOf(h.labels) : (h.labels[label] ?? "");
  const chosen: KnownHost[] = [];
  for (const name of scope.names) {
    const found = sorted.filter((h) => nameOf(h) === name);
    if (found.length === 0) {
      const kind = scope.kind.slice(0, -1);
      const near = nearest(name, new Set(sorted.map(nameOf).filter((n) => n !== "")));
      throw new SlipwayError("not-found", `${kind} ${JSON.stringify(name)}: there is none of that name`, {
        fix: near
          ? `did you mean ${near}?`
          : fleet.length === 0
            ? "no host has ever connected"
            : "see slipway host list",
      });
    }
    chosen.push(...found.filter((h) => !chosen.includes(h)));
  }
  if (scope.kind === "pods" || scope.kind === "zones")
    chosen.sort((a, b) => naturalCompare(clusterOf(a.labels), clusterOf(b.labels)) || naturalCompare(a.name, b.name));
  return chosen;
}

/** Do the options name only what is there? Errors: `not-found` with the nearest name, `bad-input` for what is not of the scope. */
export function checkNames(fleet: readonly KnownHost[], chosen: readonly KnownHost[], options: RunOptions): void {
  const known = new Set(fleet.map((h) => h.name));
  const inScope = new Set(chosen.map((h) => h.name));
  const check = (flag: string, name: string) => {
    if (inScope.has(name)) return;
    if (known.has(name))
      throw new SlipwayError("bad-input", `${flag}: ${name} is not in the scope of this run`, {
        fix: `name one of its hosts: ${shortList([...inScope])}`,
      });
    const near = nearest(name, inScope) ?? nearest(name, known);
    throw new SlipwayError("not-found", `${flag}: there is no host ${JSON.stringify(name)}`, {
      fix: near ? `did you mean ${near}?` : "see slipway host list",
    });
  };
  for (const name of options.exclude) check("exclude", name);
  if (options.canary !== "") check("canary", options.canary);
  if (chosen.length > 0 && chosen.every((h) => options.exclude.includes(h.name)))
    throw new SlipwayError("bad-input", "exclude: every host of the scope is excluded", { fix: "leave some in" });
  for (const { label } of options.domainLimits)
    if (!chosen.some((h) => (h.labels[label] ?? "") !== "")) {
      const near = nearest(label, new Set(chosen.flatMap((h) => Object.keys(h.labels))));
      throw new SlipwayError("not-found", `max-out-per: no host of the scope has a label ${JSON.stringify(label)}`, {
        fix: near ? `did you mean ${near}?` : `set it: slipway host label HOST ${label}=VALUE`,
      });
    }
}

/** How many names a message lists. */
const MOST_NAMES = 6;

function shortList(names: readonly string[]): string {
  const rest = names.length - MOST_NAMES;
  return rest > 0 ? `${names.slice(0, MOST_NAMES).join(", ")} and ${rest} more` : names.join(", ");
}
