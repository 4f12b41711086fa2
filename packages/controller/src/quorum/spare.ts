import type { GroupConfig } from "../domain/quorum.ts";
import type { MemberSet, System } from "./system.ts";

/**
 * What was read of systems as the planner counts groups: which hosts carry members, and how many of those hosts may be out at once,
 * whichever they are. So a plan does not take out together what the gates would let go only one after the other. One host may always be
 * planned beside those that are out now (`out`): whether it may really go is the gate's business. Sets that can spare every host are no
 * groups.
 */
export function spareGroups(systems: readonly System[], out: readonly string[]): GroupConfig[] {
  return systems.flatMap(({ name, sets }) =>
    sets.flatMap((set) => {
      const called = set.name === "" || set.name === "members" ? name : `${name}, ${set.name}`;
      const some = set.members.filter((m) => set.oneOf.includes(m.name));
      return [
        ...groupOf(called, hostsOf(set.members), surplus(set), out),
        ...groupOf(
          `${called}: one of ${set.oneOf.join(", ")}`,
          hostsOf(some.map((m) => ({ ...m, votes: 1 }))),
          some.length - 1,
          out,
        ),
      ];
    }),
  );
}

/** Votes beyond those needed, if all members were up. */
function surplus({ members, needed }: MemberSet): number {
  return members.reduce((sum, m) => sum + m.votes, 0) - needed;
}

/** Host -> votes of its members. */
function hostsOf(members: MemberSet["members"]): Map<string, number> {
  const votes = new Map<string, number>();
  for (const { host, votes: own } of members) if (host !== undefined) votes.set(host, (votes.get(host) ?? 0) + own);
  return votes;
}

function groupOf(
  name: string,
  votes: ReadonlyMap<string, number>,
  free: number,
  out: readonly string[],
): GroupConfig[] {
  let [left, spare] = [free, 0];
  for (const most of [...votes.values()].sort((a, b) => b - a)) {
    left -= most;
    if (left < 0) break;
    spare++;
  }
  const hosts = [...votes.keys()];
  const planned = Math.max(spare, hosts.filter((h) => out.includes(h)).length + 1);
  if (hosts.length < 2 || planned >= hosts.length) return [];
  const members = hosts.map((host) => ({ kind: "host", name: host }) as const);
  return [{ name, members, needed: hosts.length - planned }];
}
