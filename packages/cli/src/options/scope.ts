import { wrongUse } from "../io.ts";

const kinds = ["hosts", "clusters", "pods", "zones"] as const;
export type ScopeKind = (typeof kinds)[number];

/** As the operator writes it, for messages and for the command that would start a plan. */
export const scopeFlags: Record<ScopeKind, string> = {
  hosts: "--hosts",
  clusters: "--cluster",
  pods: "--pod",
  zones: "--zone",
};

export type ScopeLists = Record<ScopeKind, string[]>;
/** What commander collected: each flag may be repeated and holds names separated by commas. */
export type ScopeFlags = Partial<Record<ScopeKind | "host" | "cluster" | "pod" | "zone", string[]>>;

/** Has the operator named a scope at all? */
export function hasScope(flags: ScopeFlags): boolean {
  return (["host", "hosts", "cluster", "clusters", "pod", "pods", "zone", "zones"] as const).some(
    (f) => flags[f] !== undefined,
  );
}

/** Exactly one kind with at least one name; the controller checks the names. */
export function parseScope(flags: ScopeFlags): ScopeLists {
  const given: ScopeLists = {
    hosts: [...(flags.host ?? []), ...(flags.hosts ?? [])],
    clusters: [...(flags.cluster ?? []), ...(flags.clusters ?? [])],
    pods: [...(flags.pod ?? []), ...(flags.pods ?? [])],
    zones: [...(flags.zone ?? []), ...(flags.zones ?? [])],
  };
  const used = kinds.filter((kind) => given[kind].length > 0);
  if (used.length === 0)
    throw wrongUse("scope: none is given", "say one of --hosts h1,h2, --cluster c1, --pod p1, --zone z1");
  if (used.length > 1)
    throw wrongUse(
      `scope: ${used.map((kind) => `${scopeFlags[kind].slice(2)} ${given[kind].join(",")}`).join(" and ")} are ${used.length} kinds`,
      "a run has exactly one; name the hosts with --hosts if you need a mixture",
    );
  for (const kind of used) {
    const names = given[kind].flatMap((list) => list.split(",")).map((name) => name.trim());
    if (names.some((name) => name === ""))
      throw wrongUse(
        `${scopeFlags[kind]}: "${given[kind].join(",")}" has an empty name`,
        "separate names by one comma",
      );
    given[kind] = names;
  }
  return given;
}

/** "cluster c1, c2" for headers. */
export function scopeText(scope: ScopeLists | undefined): string {
  for (const kind of kinds) {
    const names = scope?.[kind] ?? [];
    if (names.length > 0) return `${names.length === 1 ? kind.slice(0, -1) : kind} ${names.join(", ")}`;
  }
  return "no scope";
}
