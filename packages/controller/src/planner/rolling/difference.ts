import type { PlannedMove, RollingPlan } from "./result.ts";

/** What a new plan does otherwise than the one that was accepted. Times do not count. */
export interface PlanDifference {
  readonly movesAdded: readonly PlannedMove[];
  readonly movesDropped: readonly PlannedMove[];
  /** Hosts whose wave is another one. */
  readonly hostsShifted: readonly string[];
  /** A plan that needs new consents must be approved again. */
  readonly consentsAdded: readonly string[];
  readonly consentsDropped: readonly string[];
}

export function differenceOf(before: RollingPlan, after: RollingPlan): PlanDifference {
  // Plans that came from each other agree for long stretches: these are skipped without looking anything up.
  const old: PlannedMove[] = [];
  const made: PlannedMove[] = [];
  let [i, j] = [0, 0];
  while (i < before.moves.length || j < after.moves.length) {
    const [was, is] = [before.moves[i], after.moves[j]];
    if (isSame(was, is)) {
      i++;
      j++;
      continue;
    }
    const isAdded = isSame(was, after.moves[j + 1]);
    const isDropped = !isAdded && isSame(before.moves[i + 1], is);
    if (was && !isAdded) old.push(was);
    if (is && !isDropped) made.push(is);
    if (!isAdded) i++;
    if (!isDropped) j++;
  }
  const oldKeys = new Set(old.map(keyOf));
  const newKeys = new Set(made.map(keyOf));
  const waveOf = new Map(before.turns.map((turn) => [turn.host, turn.wave]));
  return {
    movesAdded: made.filter((move) => !oldKeys.has(keyOf(move))),
    movesDropped: old.filter((move) => !newKeys.has(keyOf(move))),
    hostsShifted: after.turns.filter((turn) => waveOf.get(turn.host) !== turn.wave).map((turn) => turn.host),
    consentsAdded: after.consentsNeeded.filter((name) => !before.consentsNeeded.includes(name)),
    consentsDropped: before.consentsNeeded.filter((name) => !after.consentsNeeded.includes(name)),
  };
}

function isSame(a: PlannedMove | undefined, b: PlannedMove | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.instance === b.instance &&
    a.from === b.from &&
    a.to === b.to &&
    a.wave === b.wave &&
    a.kind === b.kind
  );
}

function keyOf(move: PlannedMove): string {
  return `${move.instance}\0${move.from}\0${move.to}\0${move.wave}\0${move.kind}`;
}
