import type { HostInventory } from "../domain/inventory.ts";
import type { GroupConfig, GroupMember } from "../domain/quorum.ts";
import type { Member, System } from "./system.ts";

/** What is known of a member beyond its host: the answer of its check. */
export interface CheckAnswer {
  readonly state: "up" | "down" | "unknown";
  readonly note: string;
}

export interface GroupFacts {
  readonly inventories: readonly HostInventory[];
  /** Is this picture recent enough to act on? */
  isFresh(host: HostInventory): boolean;
  /** The answer to a member's check, if it has one. */
  checkOf(group: string, member: string): CheckAnswer | undefined;
  /** Hosts that are out of service, for whatever reason. */
  readonly out: readonly string[];
  /**
   * Instances that stop when their host goes out (their policy or a consent says so). All others are moved, and a live migration does
   * not take a member down.
   */
  stopsWith(host: string, uuid: string): boolean;
}

/** A group of the pool file as one system. An instance that nobody knows, or that two hosts claim, is unknown. */
export function groupSystem(group: GroupConfig, facts: GroupFacts): System {
  const members = group.members.map((m) =>
    m.kind === "host" ? hostMember(group, m, facts) : instanceMember(group, m, facts),
  );
  const notUp = members.filter((m) => m.state !== "up");
  return {
    name: `group ${group.name}`,
    state: notUp.length === 0 ? "healthy" : notUp.some((m) => m.state === "unknown") ? "unknown" : "degraded",
    reasons: notUp.map(
      (m) => `${m.name} ${m.state === "down" ? "is down" : "is not known to be up"}${m.note ? ` (${m.note})` : ""}`,
    ),
    sets: [{ name: "members", needed: group.needed, members, oneOf: [], repairing: "" }],
  };
}

function hostMember(group: GroupConfig, { name }: GroupMember, facts: GroupFacts): Member {
  const base = { name, host: name, votes: 1, roles: [] };
  if (facts.out.includes(name)) return { ...base, state: "down", note: "out of service" };
  const host = facts.inventories.find((h) => h.host === name);
  if (!host?.connected) return { ...base, state: "unknown", note: "its agent is not connected" };
  return { ...base, ...(facts.checkOf(group.name, name) ?? { state: "up", note: "" }) };
}

function instanceMember(group: GroupConfig, { name }: GroupMember, facts: GroupFacts): Member {
  const base = { name, votes: 1, roles: [] };
  const unknown = (note: string): Member => ({ ...base, state: "unknown", note });
  const seen = facts.inventories.flatMap((h) =>
    h.inventory.instances
      .filter((i) => (i.name === name || i.uuid === name) && (i.state === "running" || i.state === "paused"))
      .map((i) => ({ h, i })),
  );
  const [first, second] = seen;
  if (second) return unknown(`it is running on ${seen.map((s) => s.h.host).join(" and ")}`);
  if (!first) {
    // Not seen anywhere is "down" only if every host can be seen.
    const blind = facts.inventories.filter((h) => !h.connected || h.inventory.problem !== "" || !facts.isFresh(h));
    if (blind.length > 0) return unknown(`${blind.map((h) => h.host).join(", ")} cannot be seen`);
    return { ...base, state: "down", note: "it runs nowhere" };
  }
  const { h, i } = first;
  if (!h.connected || !facts.isFresh(h)) return unknown(`${h.host}, where it was, cannot be seen`);
  const host = facts.stopsWith(h.host, i.uuid) ? { host: h.host } : {};
  if (i.state === "paused") return { ...base, ...host, state: "down", note: "it is paused" };
  return { ...base, ...host, ...(facts.checkOf(group.name, name) ?? { state: "up", note: "" }) };
}
