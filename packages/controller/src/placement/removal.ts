import { type Arranger, bigger, type Leaver } from "./arrange.ts";

/** Combinations tried in search of a smallest set, after which a merely minimal one is taken. */
const MAX_TRIES = 600;

/**
 * The smallest set of leavers without which all others can be placed; empty when they all can. What an operator consented to stop is
 * taken before anything else. Exact where the combinations are few, beyond that minimal: none of the set could be placed in addition.
 */
export function smallestRemoval(
  leavers: readonly Leaver[],
  consented: (l: Leaver) => boolean,
  arranger: Arranger,
): readonly Leaver[] {
  const placeable = (all: readonly Leaver[], without: readonly Leaver[]) =>
    arranger.arrange(all.filter((l) => !without.includes(l))) !== undefined;
  if (placeable(leavers, [])) return [];

  // What cannot be placed even alone has to go in any case.
  const hopeless = leavers.filter((l) => arranger.arrange([l]) === undefined);
  const rest = leavers.filter((l) => !hopeless.includes(l));
  const mayGo = rest.filter(consented).sort(bigger);
  const mustStay = rest.filter((l) => !mayGo.includes(l)).sort(bigger);
  // Where consent is not enough, all of it is taken as used while the others are looked for.
  const blockers = fewest(mustStay, arranger, (removed) => placeable(mustStay, removed));
  const settled = rest.filter((l) => !blockers.includes(l));
  const stopped = fewest(mayGo, arranger, (removed) => placeable(settled, removed));
  return leavers.filter((l) => hopeless.includes(l) || blockers.includes(l) || stopped.includes(l));
}

/** The fewest of these that are enough; with all of them it is. */
function fewest(
  items: readonly Leaver[],
  arranger: Arranger,
  enough: (chosen: readonly Leaver[]) => boolean,
): readonly Leaver[] {
  if (enough([])) return [];
  let tries = 0;
  for (let k = 1; k < items.length && tries <= MAX_TRIES && !arranger.tired; k++) {
    const found = choose(items, k, 0, [], (chosen) => ++tries > MAX_TRIES || arranger.tired || enough(chosen));
    if (found && enough(found)) return found;
  }
  // All of them, less each that is not needed; the last, which is the smallest, is let off first.
  let removed = items;
  for (const item of [...items].reverse()) {
    const fewer = removed.filter((l) => l !== item);
    if (enough(fewer)) removed = fewer;
  }
  return removed;
}

/** The first choice of `k` items, in their order, that is good. */
function choose(
  items: readonly Leaver[],
  k: number,
  from: number,
  chosen: readonly Leaver[],
  good: (chosen: readonly Leaver[]) => boolean,
): readonly Leaver[] | undefined {
  if (chosen.length === k) return good(chosen) ? chosen : undefined;
  for (const [i, item] of items.entries()) {
    if (i < from) continue;
    const found = choose(items, k, i + 1, [...chosen, item], good);
    if (found) return found;
  }
  return undefined;
}
