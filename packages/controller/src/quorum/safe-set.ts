import { naturalCompare } from "@slipway/shared";
import { mayGoOut } from "./gate.ts";
import type { System } from "./system.ts";

/** Above this many sets looked at, the best one found so far is taken. */
const MAX_LOOKS = 20_000;

/**
 * Which of these hosts could go out together, with those already out? The largest such set; of several the one that comes first
 * by the order given. Every subset of a safe set is safe, so hosts that may not even go alone are left out at once and the rest is
 * searched with a bound. Exact up to about 20 hosts; beyond that it is a good one, and never an unsafe one.
 * Systems that answer for themselves have to be asked again about the result.
 */
export function largestSafeSet(
  systems: readonly System[],
  candidates: readonly string[],
  out: readonly string[],
): string[] {
  const plain = systems.map(({ own: _own, ...system }) => system);
  const isSafe = (going: readonly string[]) => {
    const { verdict } = mayGoOut(plain, { going, out });
    return verdict === "ok" || verdict === "tight";
  };
  const alone = candidates.filter((host) => isSafe([host]));
  let best = greedy(alone, isSafe);
  let looks = 0;
  const search = (chosen: readonly string[], from: number): void => {
    if (chosen.length > best.length) best = [...chosen];
    for (let i = from; i < alone.length; i++) {
      if (chosen.length + alone.length - i <= best.length || ++looks > MAX_LOOKS) return;
      const next = [...chosen, alone[i] as string];
      if (isSafe(next)) search(next, i + 1);
    }
  };
  search([], 0);
  return best;
}

function greedy(candidates: readonly string[], isSafe: (going: readonly string[]) => boolean): string[] {
  const chosen: string[] = [];
  for (const host of candidates) if (isSafe([...chosen, host])) chosen.push(host);
  return chosen;
}

/** What `slipway check` says of one host: could it go now? */
export function standing(
  systems: readonly System[],
  host: string,
  out: readonly string[],
): ReturnType<typeof mayGoOut> {
  return mayGoOut(systems, { going: [host], out: out.filter((o) => o !== host) });
}

/** Why a host that has come back has not healed: systems it has members of and that are not whole. Empty: it has. */
export function notHealed(systems: readonly System[], host: string, out: readonly string[]): string[] {
  const reasons: string[] = [];
  const away = new Set(out.filter((o) => o !== host));
  for (const system of systems) {
    const members = system.sets.flatMap((s) => s.members);
    if (system.sets.length > 0 && !members.some((m) => m.host === host)) continue;
    if (system.state === "healthy") continue;
    // Others that are out keep it from being whole; then this host's own members must be up at least.
    const others = members.filter((m) => m.state !== "up" && m.host !== undefined && away.has(m.host));
    const mine = members.filter((m) => m.host === host && m.state !== "up");
    if (system.state === "degraded" && others.length > 0 && mine.length === 0) continue;
    const named = mine.map((m) => m.name).sort(naturalCompare);
    reasons.push(
      `${system.name} ${system.state === "unknown" ? "cannot be read" : "is not whole"}: ${
        [...(named.length > 0 ? [`${named.join(", ")} not up`] : []), ...system.reasons].join("; ") || "no reason given"
      }`,
    );
  }
  return reasons;
}
