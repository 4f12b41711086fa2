import { type Run, reportOf, stepInHand } from "@slipway/controller/internals";
import { naturalCompare } from "@slipway/shared";
import type { LogLine, World } from "../world.ts";

/** Marks of the first column: the run's own log has none. */
const marks: Record<string, string> = {
  run: " ",
  operator: ">",
  script: "!",
  fault: "!",
  host: "!",
  hook: ".",
  guest: "*",
  warn: "w",
  error: "w",
  controller: "!",
  violation: "X",
};
const onHosts: ReadonlySet<string> = new Set(["hook", "guest", "host", "warn", "error"]);

const seconds = (ms: number) => (ms / 1000).toFixed(2);

/** A line of the log of a world: what kind it is, when by the world's clock, who and what. */
export function logLine({ at, kind, subject, text }: LogLine, clock: (ms: number) => string = seconds): string {
  const who = onHosts.has(kind) ? `on ${subject}` : kind === "operator" ? "operator" : subject;
  return `${marks[kind] ?? "?"} ${clock(at).padStart(8)} ${who}: ${kind === "operator" ? `${subject}: ${text}` : text}`;
}

/** Host -> what is on it, in words, whatever anybody's log says. */
export function whereabouts(world: World): Map<string, string[]> {
  const found = [...world.hosts.keys()].map((host): [string, string[]] => {
    const all = world.guests.has(host) ? world.guests.instances(host) : [];
    const names = all.map((i) =>
      i.state === "running" ? i.name : `${i.name} (${i.state === "shutoff" ? "off" : i.state})`,
    );
    return [host, names.sort(naturalCompare)];
  });
  return new Map(found);
}

/** What an operator finds afterwards: outcome, hosts, open ledger entries. */
export function endOf(run: Run, world: World): string[] {
  const report = reportOf(run);
  const waits = world.controller.coordinator?.waits(run.spec.run) ?? [];
  const rows = report.hosts.map((h) => [h.name, h.outcome, h.reason] as const);
  const state = run.state === "ended" ? `${report.outcome}, success ${report.success}` : run.state;
  const why = run.held === undefined ? "" : `; holds: ${run.held.text}`;
  const hand = run.hosts.flatMap((h) => stepInHand(h)?.step ?? []);
  return [
    `run ${run.spec.run}: ${state}${report.details === "" ? "" : ` (${report.details})`}${why}`,
    ...(run.state === "ended"
      ? []
      : [`in hand: ${hand.join(", ") || "nothing"}`, ...waits.map((w) => `waits: ${w.reason.text}; ${w.reason.fix}`)]),
    ...rows.map(([name, outcome, reason]) => `  ${name.padEnd(5)} ${outcome.padEnd(10)} ${reason}`.trimEnd()),
    ...run.hosts.flatMap((h) => h.notes.map((n) => `note on ${h.name}: ${n.text}${n.fix && `; ${n.fix}`}`)),
    ...(report.ledger.length === 0
      ? ["open ledger entries: none"]
      : [
          "open ledger entries:",
          ...report.ledger.map((l) => `  ${l.id}: ${l.change} ${l.name || l.host}, undone by ${l.undo}`),
        ]),
  ];
}
