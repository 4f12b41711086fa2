import type { Schedule, ScheduleDifference, ScheduledMove } from "../../domain/schedule.ts";

/** `over`: hosts whose turns are past or going on, so that what was planned for them is no difference. */
export function scheduleDifference(
  before: Schedule,
  after: Schedule,
  over: ReadonlySet<string> = new Set(),
): ScheduleDifference {
  const old = before.moves.filter((m) => !over.has(m.from));
  const [oldKeys, newKeys] = [new Set(old.map(keyOf)), new Set(after.moves.map(keyOf))];
  const inBoth = new Set(after.turns.map((t) => t.host));
  const was = new Map(before.turns.filter((t) => inBoth.has(t.host)).map((t, i) => [t.host, i]));
  let furthest = -1;
  const hostsShifted: string[] = [];
  for (const { host } of after.turns) {
    const at = was.get(host);
    if (at === undefined) continue;
    if (at < furthest) hostsShifted.push(host);
    furthest = Math.max(furthest, at);
  }
  return {
    movesAdded: after.moves.filter((m) => !oldKeys.has(keyOf(m))),
    movesDropped: old.filter((m) => !newKeys.has(keyOf(m))),
    hostsShifted,
    consentsAdded: after.consentsNeeded.filter((name) => !before.consentsNeeded.includes(name)),
    consentsDropped: before.consentsNeeded.filter((name) => !after.consentsNeeded.includes(name)),
  };
}

function keyOf({ uuid, from, to, kind }: ScheduledMove): string {
  return `${uuid}\0${from}\0${to}\0${kind}`;
}
