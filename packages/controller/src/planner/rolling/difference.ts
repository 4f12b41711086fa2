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
  let head = 0;
  while (isSame(before.moves[head], after.moves[head])) head++;
  const old = before.moves.slice(head);
  const made = after.moves.slice(head);
  while (old.length > 0 && isSame(old.at(-1), made.at(-1))) {
    old.pop();
    made.pop();
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
