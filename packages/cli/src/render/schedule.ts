import { durationText } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { sizeText } from "./size.ts";
import { clean, count, type Paint, pad, width, wrap } from "./text.ts";

type Schedule = operatorWire.ScheduleView;

/** Time and limits of a plan that has a schedule, each on its line. */
export function scheduleHead(plan: operatorWire.PlanView, schedule: Schedule, columns: number): string[] {
  const [expected, slow, floor] = [schedule.expectedMs, schedule.p95Ms, schedule.floorMs].map((ms) =>
    durationText(Number(ms)),
  );
  const guesses = schedule.turns.length - schedule.turnsMeasured;
  const basis =
    guesses === 0
      ? "measured in earlier runs"
      : guesses === schedule.turns.length
        ? "guessed: no run has measured anything here yet"
        : `guessed for ${guesses} of ${count(schedule.turns.length, "host")}`;
  return [
    ...titled(
      "time",
      [`${expected} expected,`, `${slow} if every host is slow (95 of 100 are faster),`, `floor ${floor};`, basis],
      columns,
    ),
    ...titled("limits", limitsOf(plan, schedule), columns),
    ...balanceLines(schedule, columns),
  ];
}

/** Nothing where no instance moves: then it stays as it is. */
function balanceLines({ balance, moves }: Schedule, columns: number): string[] {
  if (balance === undefined || moves.length === 0) return [];
  const { meanPercent, leastPercent, mostPercent } = balance;
  const words = [
    `hosts ${meanPercent} % full on average,`,
    `the fullest ${mostPercent} %,`,
    `the emptiest ${leastPercent} %`,
  ];
  return titled("after it", words, columns);
}

function limitsOf({ options }: operatorWire.PlanView, schedule: Schedule): string[] {
  const perCluster = Map.groupBy(Object.entries(schedule.maxOut), ([, most]) => most);
  const parts = [...perCluster].map(([most, clusters]) => {
    const names = clusters.map(([name]) => clean(name));
    return `at most ${most} out in ${names.length > 1 ? "each of " : "cluster "}${names.join(", ")}`;
  });
  const perLabel = Map.groupBy(schedule.domains, (d) => `${d.label} ${d.maxHosts}`);
  for (const domains of perLabel.values())
    parts.push(`at most ${domains[0]?.maxHosts} out per ${clean(domains[0]?.label ?? "")}`);
  if (Object.keys(schedule.maxOut).length > 1)
    parts.push(schedule.maxClusters === 1 ? "one cluster at a time" : `${schedule.maxClusters} clusters at a time`);
  if (options?.canary) {
    const bake = Number(options.bakeMs);
    parts.push(`canary ${clean(options.canary)}${bake > 0 ? `, watched for ${durationText(bake)}` : ""}`);
  }
  if (options?.maxFailures) parts.push(`pauses after ${count(options.maxFailures, "failure")}`);
  if (options?.approve === "each-wave") parts.push("waits for slipway run approve before each wave");
  if (options?.approve === "after-canary") parts.push("waits for slipway run approve after the canary");
  if (options?.window) parts.push(`window ${clean(options.window)}`);
  return parts.map((part, n) => (n < parts.length - 1 ? `${part};` : part));
}

/** When a host goes and what it waits for. */
export function turnText(turn: operatorWire.ScheduledTurn | undefined): string[] {
  if (turn === undefined) return [];
  const begin = Number(turn.startMs);
  const why = clean(turn.waitsFor);
  return [
    begin === 0 ? "at once," : `at +${durationText(begin)},`,
    `for ${durationText(Number(turn.expectedMs))}`,
    `(p95 ${durationText(Number(turn.p95Ms))})${why === "" ? "" : ";"}`,
    ...(why === "" ? [] : [`waits: ${why}`]),
  ];
}

/** Moves between hosts that stay in, before a wave. */
export function makeRoomLines(
  moves: readonly operatorWire.ScheduledMove[],
  sizes: ReadonlyMap<string, number>,
  columns: number,
): string[] {
  if (moves.length === 0) return [];
  const ways = Map.groupBy(moves, (m) => `${clean(m.from)} -> ${clean(m.to)}`);
  const widest = Math.max(...[...ways.keys()].map(width));
  const lines = ["  first, to make room:"];
  for (const [way, those] of ways) {
    const mib = those.reduce((sum, m) => sum + (sizes.get(m.uuid) ?? 0), 0);
    const words = those.map((m, n) => `${clean(m.name)}${n < those.length - 1 ? "," : ""}`);
    if (mib > 0) words.push(`(${sizeText(mib)})`);
    for (const [n, line] of wrap(words, columns - widest - 6).entries())
      lines.push(`    ${pad(n === 0 ? way : "", widest)}  ${line}`);
  }
  return lines;
}

/** "steps: a, b, c" for all hosts that have the same; nothing where there is only one host. */
export function commonSteps(hosts: readonly operatorWire.PlannedHost[]): string {
  const kinds = Map.groupBy(hosts, (h) => h.steps.map(clean).join(", "));
  const [most] = [...kinds].sort((a, b) => b[1].length - a[1].length);
  return most && hosts.length > 1 && most[1].length > 1 ? most[0] : "";
}

/** A title and words after it; further lines are indented as far. */
export function titled(title: string, words: readonly string[], columns: number): string[] {
  const head = `${title}: `;
  return wrap(
    words.flatMap((w) => w.split(" ")),
    columns - head.length,
  ).map((line, n) => `${n === 0 ? head : " ".repeat(head.length)}${line}`);
}

/** What is to be stopped and nobody has agreed to, and what would make a plan possible. */
export function askedFor(plan: operatorWire.PlanView, paint: Paint): string[] {
  const lines: string[] = [];
  const consents = plan.schedule?.consentsNeeded ?? [];
  if (consents.length > 0)
    lines.push(
      "",
      paint.yellow(paint.bold("consent needed")),
      `  ${consents.map(clean).join(", ")} cannot move and would be stopped for the turn of ${consents.length === 1 ? "its host" : "their hosts"}: ${consents.map((c) => `--consent-stop ${clean(c)}`).join(" ")}`,
    );
  if (plan.relaxations.length > 0)
    lines.push(
      "",
      paint.yellow(paint.bold("what would make a plan possible")),
      ...plan.relaxations.map((r) => `  ${clean(r.text)}${r.fix === "" ? "" : `: ${clean(r.fix)}`}`),
    );
  return lines;
}
