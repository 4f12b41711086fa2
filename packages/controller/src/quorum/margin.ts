import type { MemberSet } from "./system.ts";

/** Votes of the members that are up. */
export function votesUp(set: MemberSet): number {
  return set.members.filter((m) => m.state === "up").reduce((sum, m) => sum + m.votes, 0);
}

/**
 * How many more members may go, whichever they are, before the set falls below what it needs; members on no host of the pool do not go.
 * -1: too few are up already.
 */
export function marginOf(set: MemberSet): number {
  const up = set.members.filter((m) => m.state === "up");
  const votes = up
    .filter((m) => m.host !== undefined)
    .map((m) => m.votes)
    .sort((a, b) => b - a);
  let left = votesUp(set) - set.needed;
  if (left < 0) return -1;
  let margin = 0;
  for (const one of votes) {
    left -= one;
    if (left < 0) break;
    margin++;
  }
  if (set.oneOf.length === 0) return margin;
  const chosen = up.filter((m) => set.oneOf.includes(m.name));
  // One that no host takes along stays.
  return chosen.some((m) => m.host === undefined) ? margin : Math.min(margin, chosen.length - 1);
}
