import { naturalCompare } from "@slipway/shared";
import { marginOf, votesUp } from "./margin.ts";
import type { MemberSet, System } from "./system.ts";

/** Sets of one system that are told one by one. */
const MAX_SETS = 3;

/**
 * What a question of the gate found a system to be, in one line for the log: "etcd: healthy, 3 of 3 up (2 needed), seen from hv2 and
 * hv3". Of many sets those with the least to spare. `from`: nobody for groups without checks.
 */
export function seenText({ name, state, sets }: System, from: readonly string[]): string {
  const scarce = [...sets].sort((a, b) => marginOf(a) - marginOf(b) || naturalCompare(a.name, b.name));
  const told = scarce.slice(0, MAX_SETS).map(setText);
  const more = sets.length > MAX_SETS ? [`${sets.length - MAX_SETS} more`] : [];
  const hosts = [...from].sort(naturalCompare);
  const last = hosts.pop();
  const seen = last === undefined ? [] : [`seen from ${hosts.length > 0 ? `${hosts.join(", ")} and ${last}` : last}`];
  return `${name}: ${[state, ...told, ...more, ...seen].join(", ")}`;
}

function setText(set: MemberSet): string {
  const all = set.members.reduce((sum, m) => sum + m.votes, 0);
  const what = set.name === "" || set.name === "members" ? "" : `${set.name} `;
  return `${what}${votesUp(set)} of ${all} up (${set.needed} needed)${set.repairing === "" ? "" : `, ${set.repairing}`}`;
}
