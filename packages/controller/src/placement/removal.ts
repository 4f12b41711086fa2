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
  const without = (removed: readonly Leaver[]) => leavers.filter((l) => !removed.includes(l));
  const placeable = (kept: readonly Leaver[]) => arranger.arrange(kept) !== undefined;
  if (placeable(leavers)) return [];

  // What cannot be placed even alone has to go in any case.
  const hopeless = leavers.filter((l) => !placeable([l]));
  const rest = without(hopeless);
  if (placeable(rest)) return hopeless;

  const free = rest.filter(consented).sort(bigger);
  if (free.length > 0 && placeable(rest.filter((l) => !free.includes(l)))) {
    const fewest = smallest(free, (removed) => placeable(rest.filter((l) => !removed.includes(l))));
    return inOrder(leavers, [
      ...hopeless,
      ...(fewest ?? shrink(free, (removed) => placeable(rest.filter((l) => !removed.includes(l))))),
    ]);
  }
  // Consent is not enough: all of it is used, as far as it is of use once the others are gone.
  const others = rest.filter((l) => !free.includes(l)).sort(bigger);
  const enough = (removed: readonly Leaver[]) => placeable(others.filter((l) => !removed.includes(l)));
  const blockers = smallest(others, enough) ?? shrink(others, enough);
  const stopped = shrink(free, (removed) =>
    placeable(rest.filter((l) => !removed.includes(l) && !blockers.includes(l))),
  );
  return inOrder(leavers, [...hopeless, ...blockers, ...stopped]);
}

/** By size, then in the order given; nothing when there are too many to try. */
function smallest(
  items: readonly Leaver[],
  enough: (chosen: readonly Leaver[]) => boolean,
): readonly Leaver[] | undefined {
  let tries = 0;
  for (let k = 1; k <= items.length; k++) {
    const found = choose(items, k, 0, [], (chosen) => {
      tries++;
      return tries > MAX_TRIES || enough(chosen);
    });
    if (tries > MAX_TRIES) return undefined;
    if (found) return found;
  }
  return undefined;
}

function choose(
  items: readonly Leaver[],
  k: number,
  from: number,
  chosen: readonly Leaver[],
  good: (chosen: readonly Leaver[]) => boolean,
): readonly Leaver[] | undefined {
  if (chosen.length === k) return good(chosen) ? chosen : undefined;
  for (let i = from; i <= items.length - (k - chosen.length); i++) {
    const found = choose(items, k, i + 1, [...chosen, items[i] as Leaver], good);
    if (found) return found;
  }
  return undefined;
}

/** All of them, less each that is not needed; the last, which is the smallest, is let off first. */
function shrink(items: readonly Leaver[], enough: (removed: readonly Leaver[]) => boolean): readonly Leaver[] {
  let removed = items;
  for (const item of [...items].reverse()) {
    const fewer = removed.filter((l) => l !== item);
    if (enough(fewer)) removed = fewer;
  }
  return removed;
}

function inOrder(all: readonly Leaver[], some: readonly Leaver[]): readonly Leaver[] {
  return all.filter((l) => some.includes(l));
}
