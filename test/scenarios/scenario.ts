import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Run, reportOf, stepInHand } from "@slipway/controller";
import { naturalCompare } from "@slipway/shared";
import { type LogLine, World } from "@slipway/simulator";
import { parse } from "yaml";
import { act, ScriptedChance, type Stage } from "./actions.ts";
import { duration, poolOf } from "./pool.ts";

interface ScriptEntry {
  /** When, from the beginning; or the text of a log line that sets it off, once. */
  readonly at?: string;
  readonly when?: string;
  /** How long after that line; at once when absent. */
  readonly after?: string;
  /** Which occurrence of the line; the first when absent. */
  readonly time?: number;
  readonly do: string | readonly string[];
}

/** A world without a quiet end by then is stuck. */
const LIMIT_MS = 3_600_000;

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

/** Plays the scenario of a folder; the text is its log and what is left at the end. */
export function play(folder: string): { text: string; violations: readonly string[] } {
  const pool = poolOf(parse(readFileSync(join(folder, "pool.yaml"), "utf8")));
  const script = parse(readFileSync(join(folder, "script.yaml"), "utf8")) as ScriptEntry[];
  const chance = new ScriptedChance();
  const timing = { agentTickMs: 1_000, controllerTickMs: 1_000, throughBytes: true, heartbeatMs: 15_000 };
  const world = new World(pool.hosts, chance, timing);
  world.pool = pool.pool;
  world.quorum = pool.quorum;
  for (const system of pool.systems) world.systems.add(system);
  for (const { host, instance } of pool.guests) world.place(host, instance);
  const stage: Stage = { world, chance, pool, runs: [] };
  const lines: string[] = [];
  let waiting = 0;
  const perform = (entry: ScriptEntry) => {
    for (const sentence of [entry.do].flat()) {
      if (
        !/^(start( |$)|pause|resume|approve|abort|retry|skip|mark-done|override|look$|cordon \S+$|uncordon \S+$)/.test(
          sentence,
        )
      )
        world.note("script", "world", sentence);
      act(stage, sentence);
    }
  };
  const triggers = script.filter((e) => e.when !== undefined).map((entry) => ({ entry, left: entry.time ?? 1 }));
  const fire = (entry: ScriptEntry) => {
    waiting++;
    const done = () => {
      waiting--;
      perform(entry);
    };
    // What kills does so in the very moment; an operator takes at least a moment to notice.
    const sudden = [entry.do].flat().every((s) => /^(kill|power cut|reboot|partition|reset|stop agent)/.test(s));
    if (entry.after === undefined && sudden) done();
    else world.after(duration(entry.after ?? "0s"), done);
  };
  world.onLine = (line) => {
    if (line.kind !== "hook" || pool.showHooks) lines.push(logLine(line));
    const text = `${line.subject}: ${line.text}`;
    for (const trigger of triggers)
      if (trigger.left > 0 && text.includes(trigger.entry.when ?? "") && --trigger.left === 0) fire(trigger.entry);
  };
  for (const entry of script) if (entry.at === "0s") perform(entry);
  world.start();
  for (const entry of script) {
    if (entry.at === undefined || entry.at === "0s") continue;
    waiting++;
    world.after(duration(entry.at), () => {
      waiting--;
      perform(entry);
    });
  }
  if (!script.some((e) => [e.do].flat().some((s) => /^start( |$)/.test(s) && !s.startsWith("start agent"))))
    world.after(1_000, () => act(stage, "start"));
  const over = () =>
    waiting === 0 &&
    world.disk.runs.size > 0 &&
    [...world.disk.runs.values()].every((r) => r.state === "ended") &&
    [...world.hosts.values()].every(
      (h) =>
        h.executor.running().length === 0 &&
        (!h.up || h.undelivered().length === 0) &&
        (h.process === undefined || h.mark() === world.cordonersOf(h.name)),
    );
  const quiet = world.run(LIMIT_MS, over);
  if (quiet && world.violations.length === 0) world.checker.final();
  for (const { entry, left } of triggers) if (left > 0) throw new Error(`script: "${entry.when}" never happened`);
  const ends = [...world.disk.runs.values()].map((run) => endOf(run, world));
  if (pool.guests.length > 0) ends.push(whereabouts(world));
  if (pool.quorum.services.length > 0) ends.push(["", "services:", ...world.services.rows()].join("\n"));
  return { text: `${[...lines, ...ends].join("\n")}\n`, violations: world.violations };
}

function logLine({ at, kind, subject, text }: LogLine): string {
  const who =
    kind === "hook" || kind === "guest" || kind === "host" || kind === "warn" || kind === "error"
      ? `on ${subject}`
      : subject;
  return `${marks[kind] ?? "?"} ${(at / 1000).toFixed(2).padStart(8)} ${kind === "operator" ? "operator" : who}: ${kind === "operator" ? `${subject}: ${text}` : text}`;
}

/** Where instances are in the end, whatever anybody's log says. */
function whereabouts(world: World): string {
  const rows = [...world.hosts.keys()].map((host) => {
    const all = world.guests.has(host) ? world.guests.instances(host) : [];
    const names = all.map((i) =>
      i.state === "running" ? i.name : `${i.name} (${i.state === "shutoff" ? "off" : i.state})`,
    );
    return `  ${host.padEnd(5)} ${names.sort(naturalCompare).join(", ")}`.trimEnd();
  });
  return ["", "instances:", ...rows].join("\n");
}

/** What an operator finds afterwards: outcome, hosts, open ledger entries. */
function endOf(run: Run, world: World): string {
  const report = reportOf(run);
  const waits = world.controller.coordinator?.waits(run.spec.run) ?? [];
  const rows = report.hosts.map((h) => [h.name, h.outcome, h.reason] as const);
  const state = run.state === "ended" ? `${report.outcome}, success ${report.success}` : run.state;
  const why = run.held === undefined ? "" : `; holds: ${run.held.text}`;
  const hand = run.hosts.flatMap((h) => stepInHand(h)?.step ?? []);
  return [
    "",
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
  ].join("\n");
}
