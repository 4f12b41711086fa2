import { durationText } from "@slipway/shared";
import type { Summary } from "@slipway/simulator";
import { titled } from "./schedule.ts";
import { clean, count, type Paint, plainPaint, wrap } from "./text.ts";

/** Time since the start of a simulated run: "0:12:31". */
export function simulatedTime(ms: number): string {
  const s = Math.floor(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** A line of the log, wrapped below its words: mark and time stand alone. */
export function logLines(line: string, columns: number): string[] {
  const [, head = "", words = line] = /^(. +[\d:]+ )(.*)$/.exec(line) ?? [];
  return wrap(words.split(" "), columns - head.length).map(
    (part, n) => `${n === 0 ? head : " ".repeat(head.length)}${part}`,
  );
}

/** What became of a simulated run, as text; longer lines than `columns` wrap. */
export function renderSummary(
  summary: Summary,
  { faults, seed }: { readonly faults: readonly string[]; readonly seed: number | null },
  paint: Paint = plainPaint,
  columns = 100,
): string[] {
  const lines: string[] = [];
  const say = (title: string, words: readonly string[]) => lines.push(...titled(title, words.map(clean), columns));
  const { outcome, details, success, hosts, duration, moves, deviations } = summary;
  const colour = success ? paint.green : paint.red;
  const [head = "", ...more] =
    outcome === "waiting"
      ? titled("waits for an operator", [clean(details)], columns)
      : titled(success ? "ended well" : "did not end well", [outcome, `(${clean(details)})`], columns);
  lines.push(colour(head), ...more);
  for (const [word, of] of Map.groupBy(hosts, (h) => h.outcome)) {
    const reasons = of.filter((h) => h.reason !== "");
    if (reasons.length < of.length)
      say(word, [
        of
          .filter((h) => h.reason === "")
          .map((h) => h.host)
          .join(", "),
      ]);
    for (const { host, reason } of reasons) say(word, [host, `(${clean(reason)})`]);
  }
  const { plannedMs, p95Ms, simulatedMs } = duration;
  const drawn = seed === null ? "" : `; turns and moves take what seed ${seed} draws`;
  say("time", [
    `${durationText(simulatedMs)}, planned ${durationText(plannedMs)} (p95 ${durationText(p95Ms)})${drawn}`,
  ]);
  say("moves", [`${moves.made} made, ${moves.planned} planned`]);
  if (deviations.length === 0) say("as planned", ["order, waves, moves and targets"]);
  else {
    lines.push(`otherwise than planned${faults.length > 0 ? ", with these faults" : ""}:`);
    lines.push(...listed(deviations, columns));
  }
  if (summary.planDifferences.length > 0) {
    lines.push(paint.yellow("the simulated controller would have planned otherwise; the run went by the plan:"));
    lines.push(...listed(summary.planDifferences, columns));
  }
  if (summary.blockers.length > 0) {
    lines.push(paint.yellow("it sees in the way of the plan:"), ...listed(summary.blockers, columns));
  }
  if (summary.faultsUnmet.length > 0) {
    lines.push(paint.yellow("faults whose moment never came:"), ...listed(summary.faultsUnmet, columns));
  }
  lines.push("instances at the end:");
  for (const [host, names] of Object.entries(summary.instances))
    lines.push(...titled(`  ${clean(host)}`, [names.length === 0 ? "none" : names.map(clean).join(", ")], columns));
  if (summary.violations.length > 0) {
    const what = count(summary.violations.length, "invariant");
    lines.push(
      paint.red(`${what} of Slipway broken, which is an error of Slipway itself; please report it with this plan:`),
    );
    lines.push(...listed(summary.violations, columns));
  }
  return lines;
}

/** So many are shown; --json has all of them. */
const MOST = 12;

function listed(texts: readonly string[], columns: number): string[] {
  const shown = texts.slice(0, texts.length > MOST + 1 ? MOST : texts.length);
  const lines = shown.flatMap((text) =>
    wrap(clean(text).split(" "), columns - 4).map((line, n) => `${n === 0 ? "  - " : "    "}${line}`),
  );
  return shown.length < texts.length ? [...lines, `  and ${texts.length - shown.length} more (--json has all)`] : lines;
}
