import { durationText } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { actionTally, renderActions } from "./actions.ts";
import {
  age,
  clean,
  clock,
  count,
  dateTime,
  doneCodes,
  elapsed,
  outcomeWord,
  type Paint,
  plainPaint,
  table,
  wrap,
} from "./text.ts";
import { stageTime } from "./tree.ts";

/** Last lines of a failed stage's output that are worth showing here; the report as JSON has all that was kept. */
const OUTPUT_LINES = 8;
/** A reason of more characters does not go into a column. */
const LONG = 120;

/** The end of a run as text: per host, then the sums, then what is still changed and how to clear it. Long reasons wrap at `columns`. */
export function renderReport(
  report: operatorWire.Report,
  nowMs: number,
  paint: Paint = plainPaint,
  columns = Number.POSITIVE_INFINITY,
): string[] {
  const from = Date.parse(report.startedAt);
  const to = Date.parse(report.endedAt);
  const colour = { succeeded: paint.green, failed: paint.red, aborted: paint.red }[report.outcome] ?? paint.yellow;
  const times = [
    from > 0 ? `started ${dateTime(from)}` : "",
    report.startedBy === "" ? "" : `by ${clean(report.startedBy)}`,
    from > 0 && to > 0 ? `took ${elapsed(from, to)}` : "",
  ].filter((part) => part !== "");
  const lines = [
    `${paint.bold(`run ${report.run}`)}: ${colour(report.outcome || "not ended yet")}  ${times.join(", ")}`,
  ];
  const long = report.hosts.filter((host) => clean(host.reason).length > LONG);
  // What is said beneath in full is not said twice.
  if (report.details !== "" && !long.some((host) => report.details.includes(host.reason)))
    lines.push(clean(report.details));

  const isExpected = report.hosts.some((host) => host.expectedMs > 0n);
  const rows = report.hosts.map((host) => {
    const reason = long.includes(host) ? "see below" : clean(host.reason);
    const out = isExpected ? [outTime(host)] : [];
    return [clean(host.name), clean(outcomeWord(host)) || "-", stageTime(host.stages) || "-", ...out, reason];
  });
  const out = isExpected ? ["OUT (EXPECTED)"] : [];
  if (rows.length > 0) lines.push("", ...table([["HOST", "OUTCOME", "TOOK", ...out, "REASON"], ...rows], paint));
  for (const host of long) {
    const text = wrap(clean(host.reason).split(" "), columns - 2).map((line) => `  ${line}`);
    lines.push("", paint.red(`${clean(host.name)} ${host.outcome}`), ...text);
  }

  for (const host of report.hosts.filter((h) => h.outcome === "failed")) lines.push(...failedStages(host, paint));

  lines.push(...renderActions(report.hosts, paint));

  const outcomes = ["updated", "skipped", "failed", "untouched"]
    .flatMap((outcome) => {
      const those = Map.groupBy(
        report.hosts.filter((h) => h.outcome === outcome),
        outcomeWord,
      );
      return those.size === 0
        ? [`0 ${clean(outcomeWord({ outcome, reasonCode: doneCodes[report.op] ?? "" }))}`]
        : [...those].map(([word, list]) => `${list.length} ${clean(word)}`);
    })
    .join(", ");
  lines.push("", `${count(report.hosts.length, "host")}: ${outcomes}`);
  const actions = actionTally(report.hosts);
  if (actions !== "") lines.push(`instances: ${actions}`);
  const standing = report.ledger.filter((entry) => entry.closedAtMs === 0n);
  if (standing.length > 0) lines.push("", paint.yellow("still changed"), ...renderStanding(standing, nowMs));
  return lines;
}

/** "14m 02s (12m 00s)", with a word where it was later than 95 of 100. */
function outTime({ outMs, expectedMs, p95Ms }: operatorWire.HostReport): string {
  const expected = expectedMs > 0n ? ` (${durationText(Number(expectedMs))})` : "";
  const late = expectedMs > 0n && outMs > p95Ms ? `, late: 95 of 100 within ${durationText(Number(p95Ms))}` : "";
  return `${outMs > 0n ? durationText(Number(outMs)) : "-"}${expected}${late}`;
}

function failedStages(host: operatorWire.HostReport, paint: Paint): string[] {
  const lines: string[] = [];
  for (const stage of host.stages.filter((s) => !["ok", "avoid", "no-hook", "running"].includes(s.verdict))) {
    lines.push("", `${paint.red(`${clean(host.name)} ${stage.stage}`)}: ${verdictText(stage)}`);
    const output = stage.output.split("\n").map((line) => clean(line));
    while (output.at(-1) === "") output.pop();
    if (output.length > OUTPUT_LINES) lines.push(paint.dim(`  (last ${OUTPUT_LINES} of ${output.length} lines)`));
    lines.push(...output.slice(-OUTPUT_LINES).map((line) => `  | ${line}`));
  }
  return lines;
}

/** Every stage of every host, in order. */
export function renderStages(
  hosts: readonly Pick<operatorWire.HostReport, "name" | "stages">[],
  paint: Paint,
): string[] {
  const rows = hosts.flatMap((host) =>
    host.stages.map((stage) => {
      const at = Date.parse(stage.startedAt);
      return [clean(host.name), clean(stage.stage), at > 0 ? clock(at) : "-", verdictText(stage)];
    }),
  );
  return rows.length === 0 ? [] : ["", ...table([["HOST", "STAGE", "STARTED", "VERDICT"], ...rows], paint)];
}

/** "failed, exit status 3, 12 s (its reason)". */
export function verdictText(stage: operatorWire.StageRecord): string {
  const parts = [stage.verdict];
  if (stage.exitCode !== undefined && stage.exitCode !== 0) parts.push(`exit status ${stage.exitCode}`);
  if (stage.signal !== "") parts.push(`signal ${stage.signal}`);
  if (stage.attempt > 1) parts.push(`attempt ${stage.attempt}`);
  if (stage.endedAt !== "" && stage.verdict !== "no-hook") parts.push(elapsed(1, 1 + Number(stage.durationMs)));
  return `${parts.join(", ")}${stage.reason === "" ? "" : ` (${clean(stage.reason)})`}`;
}

/** Open ledger entries, each with the command that clears it. */
export function renderStanding(entries: readonly operatorWire.LedgerEntry[], nowMs: number): string[] {
  return table(
    entries.map((entry) => [
      `  ${clean(entry.host)}`,
      changeText(entry),
      age(Number(entry.openedAtMs), nowMs),
      `clear with: ${clearCommand(entry)}`,
      clean(entry.note),
    ]),
  );
}

/** "cordon", "stop db-1". */
export function changeText(entry: Pick<operatorWire.LedgerEntry, "change" | "instance">): string {
  const change = clean(entry.change);
  return entry.instance === "" || change.includes(entry.instance) ? change : `${change} ${clean(entry.instance)}`;
}

/** The command that undoes a change. What a drain stopped is started by the restore of its host, which puts the host back too. */
export function clearCommand(entry: Pick<operatorWire.LedgerEntry, "undo" | "host" | "kind" | "note">): string {
  const host = clean(entry.host);
  const restore = `slipway restore ${host}`;
  if (entry.kind === "instance" || entry.kind === "service" || entry.note.includes(restore)) return restore;
  return entry.undo.startsWith("uncordon") ? `slipway uncordon ${host}` : clean(entry.undo);
}
