import { durationText } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import type { WhatIf } from "../commands/plan.ts";
import { aboutText, clean, count, type Paint, plainPaint, table } from "./text.ts";

type Plan = operatorWire.PlanView;

/** What a plan does otherwise than another one of the same scope; names, and moves as "vm1 hv1 -> hv2". */
export interface PlanDifference {
  readonly hostsDropped: readonly string[];
  readonly hostsAdded: readonly string[];
  readonly hostsShifted: readonly { readonly host: string; readonly before: number; readonly after: number }[];
  readonly movesDropped: readonly string[];
  readonly movesAdded: readonly string[];
  /** The same instance leaves the same host for another one: "vm1 hv1 -> hv2, not hv3". */
  readonly movesChanged: readonly string[];
  readonly stopsDropped: readonly string[];
  readonly stopsAdded: readonly string[];
  readonly blockersDropped: readonly string[];
  readonly blockersAdded: readonly string[];
}

export function planDifference(before: Plan, after: Plan): PlanDifference {
  const [was, is] = [wavesOf(before), wavesOf(after)];
  const [oldStops, newStops] = [stopsOf(before), stopsOf(after)];
  const [oldBlockers, newBlockers] = [before.blockers.map(aboutText), after.blockers.map(aboutText)];
  return {
    hostsDropped: less([...was.keys()], [...is.keys()]),
    hostsAdded: less([...is.keys()], [...was.keys()]),
    hostsShifted: [...is].flatMap(([host, wave]) => {
      const old = was.get(host);
      return old === undefined || old === wave ? [] : [{ host, before: old, after: wave }];
    }),
    ...movesBetween(before, after),
    stopsDropped: less(oldStops, newStops),
    stopsAdded: less(newStops, oldStops),
    blockersDropped: less(oldBlockers, newBlockers),
    blockersAdded: less(newBlockers, oldBlockers),
  };
}

/** Lists of one kind that a difference shows at most; --json has all. */
const MOST_LINES = 30;

export function renderWhatIf(
  { exclude, stop }: WhatIf,
  before: Plan,
  after: Plan,
  startWith: string,
  paint: Paint = plainPaint,
): string[] {
  const d = planDifference(before, after);
  const what = [
    ...(exclude.length > 0 ? [`without ${exclude.map(clean).join(", ")}`] : []),
    ...(stop.length > 0 ? [`with consent to stop ${stop.map(clean).join(", ")}`] : []),
  ];
  const row = (name: string, of: (plan: Plan) => string) => {
    const [a, b] = [of(before), of(after)];
    return [`  ${name}`, a, a === b ? "" : "->", a === b ? "" : b];
  };
  const lines = [
    paint.bold(`what if: ${what.join(" and ")}; nothing was touched`),
    ...table([
      row("hosts", (p) => String(wavesOf(p).size)),
      row("waves", (p) => String(new Set(wavesOf(p).values()).size)),
      row("moves", (p) => `${p.moves} (floor ${p.floor})`),
      row("time", (p) => (p.schedule ? durationText(Number(p.schedule.expectedMs)) : "no schedule")),
      row("if all are slow", (p) => (p.schedule ? durationText(Number(p.schedule.p95Ms)) : "no schedule")),
      row("consents needed", (p) => p.schedule?.consentsNeeded.map(clean).join(", ") || "none"),
      row("blockers", (p) => String(p.blockers.length)),
    ]),
  ];
  const list = (title: string, items: readonly string[]) => {
    if (items.length === 0) return;
    lines.push("", paint.bold(title), ...items.slice(0, MOST_LINES).map((item) => `  ${item}`));
    if (items.length > MOST_LINES) lines.push(`  and ${items.length - MOST_LINES} more (--json has all)`);
  };
  list("hosts", [
    ...d.hostsDropped.map((host) => `${host} has no turn`),
    ...d.hostsAdded.map((host) => `${host} has a turn`),
    ...d.hostsShifted.map((h) => `${h.host} goes in wave ${h.after}, not ${h.before}`),
  ]);
  list("moves", [
    ...d.movesDropped.map((m) => `- ${m}`),
    ...d.movesAdded.map((m) => `+ ${m}`),
    ...d.movesChanged.map((m) => `  ${m}`),
  ]);
  list("stops", [...d.stopsDropped.map((s) => `- ${s}`), ...d.stopsAdded.map((s) => `+ ${s}`)]);
  list("blockers that are gone", d.blockersDropped);
  list("new blockers", d.blockersAdded);
  if (lines.length === 8) lines.push("", "nothing else is different");
  lines.push(
    "",
    after.blockers.length > 0
      ? `it would still have ${count(after.blockers.length, "blocker")}`
      : `start it so with: ${startWith}`,
  );
  return lines;
}

function wavesOf(plan: Plan): Map<string, number> {
  const skipped = new Set(plan.skipped.map((h) => h.host));
  return new Map(
    plan.waves.flatMap((w) =>
      w.hosts.filter((h) => !skipped.has(h.host)).map((h) => [clean(h.host), w.number] as const),
    ),
  );
}

interface Move {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** "" for a drain. */
  readonly why: string;
}

function movesBetween(before: Plan, after: Plan) {
  const [was, is] = [movesOf(before), movesOf(after)];
  const text = ({ name, from, to, why }: Move) => `${name} ${from} -> ${to}${why}`;
  const way = ({ name, from, why }: Move) => `${name} ${from}${why}`;
  const old = new Map(was.map((m) => [way(m), m]));
  const now = new Set(is.map(way));
  return {
    movesDropped: was.filter((m) => !now.has(way(m))).map(text),
    movesAdded: is.filter((m) => !old.has(way(m))).map(text),
    movesChanged: is.flatMap((m) => {
      const other = old.get(way(m));
      return other && other.to !== m.to ? [`${text(m)}, not ${other.to}`] : [];
    }),
  };
}

function movesOf(plan: Plan): Move[] {
  const moving = new Set(["migrate", "migrate-with-storage", "return"]);
  const move = (name: string, from: string, to: string, why: string) => ({
    ...{ name: clean(name), from: clean(from), to: clean(to), why },
  });
  return plan.waves.flatMap((w) => [
    ...w.makeRoom.map((m) => move(m.name, m.from, m.to, " (makes room)")),
    ...w.hosts.flatMap((h) =>
      h.instances
        .filter((i) => moving.has(i.action))
        .map((i) =>
          i.action === "return" ? move(i.name, i.host, h.host, " (returns)") : move(i.name, h.host, i.host, ""),
        ),
    ),
  ]);
}

function stopsOf(plan: Plan): string[] {
  const stopping = new Set(["shutdown-restart", "managed-save"]);
  return plan.waves.flatMap((w) =>
    w.hosts.flatMap((h) =>
      h.instances.filter((i) => stopping.has(i.action)).map((i) => `${clean(i.name)} on ${clean(h.host)}`),
    ),
  );
}

function less(all: readonly string[], without: readonly string[]): string[] {
  const gone = new Set(without);
  return all.filter((one) => !gone.has(one));
}
