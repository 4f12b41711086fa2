import type { operatorWire } from "@slipway/shared/wire";
import { clean, count, type Paint, plainPaint, reasonText, table, width, wrap } from "./text.ts";

type Health = Pick<operatorWire.CheckHealthResponse, "systems" | "hosts" | "safeSet">;

/** Is every system healthy? */
export function isWell({ systems }: Pick<Health, "systems">): boolean {
  return systems.every((s) => s.state === "healthy");
}

/** The health page: systems with their members, then hosts, then who could go together. */
export function renderHealth(health: Health, paint: Paint = plainPaint, columns = 100): string[] {
  const { systems, hosts, safeSet } = health;
  if (systems.length === 0)
    return ["there is no system to look at; see slipway pool discover, or name groups under quorum in the pool file"];
  const lines = systems.flatMap((system) => [...systemLines(system, paint, columns), ""]);
  lines.push(...hostLines(hosts, paint, columns));
  lines.push("", ...together(hosts, safeSet, columns));
  const ill = systems.filter((s) => s.state !== "healthy");
  lines.push(
    ill.length === 0
      ? paint.green(`${count(systems.length, "system")}, all healthy`)
      : `${paint.red(`${ill.length} of ${count(systems.length, "system")} not healthy:`)} ${ill.map((s) => clean(s.name)).join(", ")}`,
  );
  return lines;
}

function systemLines(system: operatorWire.SystemCheck, paint: Paint, columns: number): string[] {
  const kind = clean(system.kind);
  const named = clean(system.name);
  const about = kind === "group" || kind === named ? named : `${named} (${kind})`;
  const seen = system.seenFrom.length > 0 ? `, seen from ${system.seenFrom.map(clean).join(", ")}` : "";
  const [head = "", ...more] = wrap(`${about}: ${system.state}${seen}`.split(" "), columns);
  const lines = [paint.bold(head.replace(system.state, stateOf(system.state, paint))), ...more.map((l) => `  ${l}`)];
  for (const reason of system.reasons) lines.push(...folded(clean(reason), "  ! ", columns));
  for (const set of system.sets) lines.push(...setLines(set, paint, columns));
  for (const view of system.views) lines.push(...viewLines(view, paint, columns));
  return lines;
}

function setLines(set: operatorWire.SetCheck, paint: Paint, columns: number): string[] {
  const votes = set.members.some((m) => m.votes !== 1);
  const sum = set.members.reduce((n, m) => n + m.votes, 0);
  const parts = [
    `${set.up} of ${sum} ${votes ? "votes " : ""}up, ${set.needed} needed`,
    // A live migration takes no member down.
    set.members.every((m) => m.host === "") && set.margin >= 0 ? "none goes with its host" : marginText(set.margin),
    ...(set.repairing === "" ? [] : [clean(set.repairing)]),
  ];
  const text = `${clean(set.name)}: ${parts.join(", ")}`;
  const colour =
    set.margin < 0 ? paint.red : set.margin === 0 || set.repairing !== "" ? paint.yellow : (t: string) => t;
  const heads = folded(text, "  ", columns).map(colour);
  const about = set.members.map((m) =>
    [...m.roles.map(clean), ...(m.votes === 1 ? [] : [`${m.votes} votes`])].join(", "),
  );
  const hasRoles = about.some((text) => text !== "");
  const rows = set.members.map((m, n) => [
    `    ${clean(m.name)}`,
    clean(m.host) || "-",
    m.state,
    ...(hasRoles ? [about[n] || "-"] : []),
  ]);
  const notes = set.members.map((m) => clean(m.note));
  // The last column is the only one that may be long.
  return [...heads, ...noted(rows, notes, columns, paint)];
}

/** Rows as columns, each with its note behind it, which wraps. */
function noted(rows: readonly string[][], notes: readonly string[], columns: number, paint: Paint): string[] {
  const aligned = table([[], ...rows]).slice(1);
  const at = Math.max(0, ...aligned.map(width)) + 2;
  return aligned.flatMap((line, n) => {
    const state = rows[n]?.[2] ?? "";
    const shown = line.replace(` ${state} `, ` ${stateOf(state, paint)} `);
    const note = notes[n] ?? "";
    if (note === "") return [shown.trimEnd()];
    const [first = "", ...more] = wrap(note.split(" "), Math.max(20, columns - at));
    const gap = " ".repeat(Math.max(2, at - width(line)));
    return [`${shown}${gap}${first}`, ...more.map((l) => `${" ".repeat(at)}${l}`)];
  });
}

function marginText(margin: number): string {
  if (margin < 0) return "too few are up";
  return margin === 0 ? "no more may go" : `${margin} more may go`;
}

function viewLines(view: operatorWire.ViewCheck, paint: Paint, columns: number): string[] {
  const version = view.version === "" ? "" : `, ${clean(view.version)}`;
  const lines = [`  ${paint.bold(`seen from ${clean(view.from)}`)}: ${stateOf(view.state, paint)}${version}`];
  for (const reason of view.reasons) lines.push(...folded(clean(reason), "    ! ", columns));
  for (const { asked, exitCode, answer } of view.evidence) {
    lines.push(...folded(`$ ${clean(asked)}`, "    ", columns).map(paint.cyan));
    for (const line of answer.split("\n").filter((l) => l.trim() !== ""))
      lines.push(...pieces(line.replaceAll("\t", "  "), columns - 6).map((piece) => paint.dim(`      ${piece}`)));
    lines.push(paint.dim(`      (${exitCode === undefined ? "no status" : `status ${exitCode}`})`));
  }
  return lines;
}

/** Output keeps its own columns: it is cut where the line ends, not between words. */
function pieces(line: string, columns: number): string[] {
  // clean() would take away how it is set in.
  const indent = /^ */.exec(line)?.[0] ?? "";
  const text = `${indent}${clean(line)}`;
  if (!Number.isFinite(columns) || width(text) <= columns) return [text];
  const out: string[] = [];
  for (let at = 0; at < text.length; at += columns) out.push(text.slice(at, at + columns));
  return out;
}

const verdicts: Readonly<Record<string, string>> = {
  ok: "could go",
  tight: "could go, then none",
  deny: "must stay",
  unknown: "not known: stays",
  out: "is out",
};

function hostLines(hosts: readonly operatorWire.HostStanding[], paint: Paint, columns: number): string[] {
  if (hosts.length === 0) return [];
  const rows = hosts.map((h) => ["  ", clean(h.host), verdicts[h.verdict] ?? clean(h.verdict)]);
  const names = Math.max(...rows.map((r) => width(r[1] ?? "")));
  const words = Math.max(...rows.map((r) => width(r[2] ?? "")));
  const at = 2 + names + 2 + words + 2;
  const lines = [paint.bold("could it go down now?")];
  for (const [n, h] of hosts.entries()) {
    const word = rows[n]?.[2] ?? "";
    // Beside a no it does not matter that there is no margin.
    const telling = h.reasons.filter((r) => h.verdict === "tight" || r.rule !== "quorum-tight");
    const said = telling.flatMap((r) => {
      const [first = "", ...more] = wrap(briefly(r).split(" "), Math.max(20, columns - at - 2));
      return [first, ...more.map((l) => `  ${l}`)];
    });
    const head = `  ${clean(h.host).padEnd(names)}  ${verdictOf(h.verdict, word, paint)}${" ".repeat(Math.max(0, words - width(word)))}`;
    lines.push(`${head}  ${said[0] ?? ""}`.trimEnd(), ...said.slice(1).map((l) => `${" ".repeat(at)}${l}`));
  }
  return lines;
}

/** What the page says of a system above its hosts need not say again. */
function briefly(reason: operatorWire.Reason): string {
  const subject = clean(reason.subject);
  for (const start of [`${subject} cannot be read`, `${subject} is not whole`])
    if (clean(reason.text).startsWith(`${start}: `)) return start;
  return reasonText(reason);
}

function together(hosts: readonly operatorWire.HostStanding[], safeSet: readonly string[], columns: number): string[] {
  if (hosts.length < 2) return [];
  if (safeSet.length === 0) return ["no host could go now"];
  return folded(`together could go: ${safeSet.map(clean).join(", ")}`, "", columns);
}

/** Words set in, following lines a little more. */
function folded(text: string, indent: string, columns: number): string[] {
  const deep = " ".repeat(indent.length + 2);
  return wrap(text.split(" "), columns - deep.length).map((line, n) => `${n === 0 ? indent : deep}${line}`);
}

function stateOf(state: string, paint: Paint): string {
  if (state === "healthy" || state === "up") return paint.green(state);
  return state === "degraded" || state === "down" ? paint.red(clean(state)) : paint.yellow(clean(state));
}

function verdictOf(verdict: string, word: string, paint: Paint): string {
  if (verdict === "ok") return paint.green(word);
  return verdict === "tight" || verdict === "out" ? paint.yellow(word) : paint.red(word);
}
