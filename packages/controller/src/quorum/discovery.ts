import { naturalCompare, type SystemHealth } from "@slipway/shared";
import type { Member, MemberSet } from "./system.ts";

/** What one host found. */
export interface Finding {
  readonly host: string;
  readonly cluster: string;
  readonly system: string;
  readonly health: SystemHealth;
}

/** A system that at least one host can read, as it could stand in a pool file. */
export interface Discovered {
  readonly system: string;
  readonly state: "healthy" | "degraded";
  readonly version: string;
  readonly from: readonly string[];
  readonly aliases: Readonly<Record<string, string>>;
  /** Addresses of members of which nobody can tell whose they are. */
  readonly unplaced: readonly string[];
  readonly sets: readonly MemberSet[];
}

/** What is there and cannot be read. */
export interface Unclear {
  readonly host: string;
  readonly system: string;
  readonly reason: string;
}

/** Says that there is no such system, rather than that it is in trouble: nothing to propose and nothing to tell. */
const ABSENT =
  /is not installed|does not exist|no such probe|ECONNREFUSED|refused|cannot be reached|is not connected|disconnected|setting \w+ is missing/i;

/** How members become hosts. */
export interface Directory {
  /** The host that a name or an address means to the gate without any alias. */
  hostOf(address: string): string | undefined;
  /** The host that has this address, as far as anybody told. */
  hostWith(address: string): string | undefined;
}

/** Kinds whose state counts and which have no members to count: their quorum is another system's. */
const memberless: ReadonlySet<string> = new Set(["fleet", "pacemaker"]);

/**
 * Sorts what hosts found: those who see the same system (by its own identity, else by its members, else by the cluster of the host)
 * belong together.
 */
export function discover(
  findings: readonly Finding[],
  directory: Directory,
): { systems: Discovered[]; unclear: Unclear[] } {
  const unclear: Unclear[] = [];
  const found = new Map<string, Finding[]>();
  for (const finding of findings) {
    const { host, cluster, system, health } = finding;
    if (health.state === "healthy" || health.state === "degraded") {
      // Installed, but nothing is replicated.
      const members = membersOf(health).join(",");
      if (members === "" && !memberless.has(system)) continue;
      const key = `${system} ${health.identity || members || cluster}`;
      found.set(key, [...(found.get(key) ?? []), finding]);
    } else if (!health.reasons.every((reason) => ABSENT.test(reason)))
      unclear.push({ host, system, reason: health.reasons.join("; ") });
  }
  return { systems: [...found.values()].map((seen) => proposal(seen, directory)), unclear };
}

function membersOf({ sets }: SystemHealth): string[] {
  return [...new Set(sets.flatMap((s) => s.members.map((m) => `${m.name}@${m.host}`)))].sort();
}

function proposal(seen: readonly Finding[], { hostOf, hostWith }: Directory): Discovered {
  const [first] = seen as [Finding, ...Finding[]];
  const aliases: Record<string, string> = {};
  const unplaced = new Set<string>();
  const placed = (member: { name: string; host: string }): string | undefined => {
    const direct = hostOf(member.host);
    // Members often carry their host's name where their address is only a number.
    const host = direct ?? hostOf(member.name) ?? hostWith(member.host);
    if (host === undefined) unplaced.add(member.host);
    else if (direct === undefined && member.host !== "") aliases[member.host] = host;
    return host;
  };
  const sets = first.health.sets.map((set): MemberSet => {
    const members = set.members.map(({ name, host, votes, state, roles, note }): Member => {
      const on = placed({ name, host });
      const known = state === "up" || state === "down" ? state : "unknown";
      return { name, ...(on === undefined ? {} : { host: on }), votes, state: known, roles, note };
    });
    return { name: set.name, needed: set.needed, members, oneOf: set.oneOf, repairing: set.repairing };
  });
  return {
    system: first.system,
    state: seen.some((s) => s.health.state === "degraded") ? "degraded" : "healthy",
    version: first.health.version,
    from: seen.map((s) => s.host).sort(naturalCompare),
    aliases,
    unplaced: [...unplaced],
    sets,
  };
}
