import type { Member, MemberSet, System, View, Whereabouts } from "./system.ts";

/**
 * One picture out of what several hosts saw. Views may differ (a cut between two of them, a daemon that answers from memory), so a
 * member is up only where all see it up, and every contradiction is named. No view at all, a view that cannot be read and
 * answers from two different systems are unknown.
 */
export function mergeViews(name: string, views: readonly View[], where: Whereabouts): System {
  const reasons: string[] = [];
  const unknown = (): System => ({ name, state: "unknown", reasons, sets: [] });
  if (views.length === 0) {
    reasons.push(`${name}: no host could be asked`);
    return unknown();
  }
  for (const { from, health } of views)
    if (health.state === "unknown")
      reasons.push(
        ...(health.reasons.length > 0 ? health.reasons : ["no reason given"]).map((r) => `seen from ${from}: ${r}`),
      );
  const legible = views.filter((v) => v.health.state === "healthy" || v.health.state === "degraded");
  for (const { from, health } of views)
    if (!legible.some((v) => v.from === from) && health.state !== "unknown")
      reasons.push(`seen from ${from}: state ${JSON.stringify(health.state)} is not known`);
  const identities = new Map(legible.filter((v) => v.health.identity !== "").map((v) => [v.health.identity, v.from]));
  if (identities.size > 1)
    reasons.push(
      `${[...identities].map(([identity, from]) => `${from} is answered by ${identity}`).join(", ")}: these are different systems`,
    );
  const sets = mergeSets(legible, where, reasons);
  if (reasons.length > 0) return { name, state: "unknown", reasons, sets };
  const degraded = new Set(legible.filter((v) => v.health.state === "degraded").flatMap((v) => v.health.reasons));
  const isDegraded = legible.some((v) => v.health.state === "degraded");
  return { name, state: isDegraded ? "degraded" : "healthy", reasons: [...degraded], sets };
}

/** Contradictions and members that cannot be placed are added to `reasons`. */
function mergeSets(views: readonly View[], where: Whereabouts, reasons: string[]): MemberSet[] {
  const names = [...new Set(views.flatMap((v) => v.health.sets.map((s) => s.name)))];
  return names.map((setName) => {
    const seen = views.flatMap(({ from, health }) => {
      const set = health.sets.find((s) => s.name === setName);
      if (!set) reasons.push(`${from} does not know of ${setName}`);
      return set ? [{ from, set }] : [];
    });
    const needs = new Set(seen.map((s) => s.set.needed));
    if (needs.size > 1)
      reasons.push(`${setName}: ${seen.map((s) => `${s.from} says that ${s.set.needed} are needed`).join(", ")}`);
    const memberNames = [...new Set(seen.flatMap((s) => s.set.members.map((m) => m.name)))];
    const members = memberNames.map((memberName): Member => {
      const sightings = seen.flatMap(({ from, set }) => {
        const member = set.members.find((m) => m.name === memberName);
        if (!member) reasons.push(`${setName}: ${from} does not list ${memberName}`);
        return member ? [{ from, member }] : [];
      });
      const states = new Set(sightings.map((s) => s.member.state));
      if (states.size > 1)
        reasons.push(
          `${setName}: ${sightings.map((s) => `${s.from} sees ${memberName} ${s.member.state}`).join(", ")}`,
        );
      const first = sightings[0]?.member;
      const address = first?.host ?? "";
      const host = where.hostOf(address);
      const isUnplaced = host === undefined && !where.outside.includes(address);
      if (isUnplaced)
        reasons.push(
          `${setName}: ${memberName} runs on ${address === "" ? "an unnamed host" : address}, which is no host of the pool; list it under "outside" if that is right`,
        );
      return {
        name: memberName,
        ...(host === undefined ? {} : { host }),
        ...(isUnplaced ? { isUnplaced } : {}),
        votes: Math.min(...sightings.map((s) => s.member.votes)),
        state: states.has("down") ? "down" : states.size === 1 && states.has("up") ? "up" : "unknown",
        roles: [...new Set(sightings.flatMap((s) => s.member.roles))],
        note: first?.note ?? "",
      };
    });
    return {
      name: setName,
      needed: Math.max(...seen.map((s) => s.set.needed)),
      members,
      oneOf: [...new Set(seen.flatMap((s) => s.set.oneOf))],
      repairing: seen.find((s) => s.set.repairing !== "")?.set.repairing ?? "",
    };
  });
}
