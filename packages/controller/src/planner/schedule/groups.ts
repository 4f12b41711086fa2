import type { QuorumGroup } from "../rolling/index.ts";
import type { ScheduleInput } from "./input.ts";
import type { Names } from "./names.ts";

/**
 * Groups of the pool file as the planner counts them. A member that this schedule has nothing to do with stays as it is: it is up
 * unless its host is closed or nobody knows it. What is not well just now is the gate's business at each host's turn.
 */
export function groupsOf(
  { quorum, labels, closed }: ScheduleInput,
  hosts: ReadonlySet<string>,
  names: Names,
): QuorumGroup[] {
  return (quorum?.groups ?? []).flatMap((group) => {
    const members: string[] = [];
    let minUp = group.needed;
    for (const { kind, name } of group.members) {
      const own = kind === "host" ? (hosts.has(name) ? name : undefined) : names.find(name);
      if (own !== undefined) members.push(own);
      else if (kind === "instance" || (labels(name) !== undefined && !closed(name))) minUp--;
    }
    return members.length === 0 ? [] : [{ name: group.name, members, minUp }];
  });
}
