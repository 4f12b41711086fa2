import { durationText } from "@slipway/shared";

/** Colours only underline what a word says already. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

const same = (text: string) => text;
export const plainPaint: Paint = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

const sgr = (on: number, off: number) => (text: string) => (text === "" ? "" : `\x1b[${on}m${text}\x1b[${off}m`);
export const ansiPaint: Paint = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
  cyan: sgr(36, 39),
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: our own colours, to be skipped when measuring
const ANSI = /\x1b\[[0-9;]*m/g;

/** Text of hooks, hosts and operators on one line: a terminal must never be told what to do by it. */
export function clean(text: string): string {
  return text.replace(CONTROL, " ").trim();
}

/** Columns that a text takes, colours not counted. East Asian wide characters count two. */
export function width(text: string): number {
  let columns = 0;
  for (const c of text.replace(ANSI, "")) columns += wide(c.codePointAt(0) ?? 0) ? 2 : 1;
  return columns;
}

function wide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0x1f300 && code <= 0x1faff)
  );
}

export function pad(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - width(text)));
}

/** Cuts a line to `columns`, ending in "..." and with colours closed. */
export function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  if (columns <= 3) return ".".repeat(Math.max(0, columns));
  let out = "";
  let room = columns - 3;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: our own colours take no room
  for (const piece of text.split(/(\x1b\[[0-9;]*m)/)) {
    if (piece.startsWith("\x1b[")) {
      out += piece;
      continue;
    }
    for (const c of piece) {
      const w = width(c);
      if (room < w) return `${out}...${out.includes("\x1b[") ? "\x1b[0m" : ""}`;
      room -= w;
      out += c;
    }
  }
  return out;
}

/** Words in lines of at most so many columns; a word that is longer has a line of its own. */
export function wrap(words: readonly string[], columns: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || width(last) + 1 + width(word) > columns) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** Rows as aligned columns, two blanks apart; the first row is the head. */
export function table(rows: readonly (readonly string[])[], paint: Paint = plainPaint): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, width(cell));
    });
  return rows.map((row, r) => {
    const line = row
      .map((cell, i) => (i === row.length - 1 ? cell : pad(cell, widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
    return r === 0 ? paint.bold(line) : line;
  });
}

/** Local time of day. */
export function clock(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}

/** Local date and time, without zone. */
export function dateTime(ms: number): string {
  const d = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(ms)}`;
}

/** "3s ago", "5m ago", "2h ago", "4d ago"; "-" for a time that never was. */
export function age(atMs: number, nowMs: number): string {
  if (atMs <= 0) return "-";
  const s = Math.max(0, Math.floor((nowMs - atMs) / 1000));
  if (s < 60) return `${s}s ago`;
  if (s < 3600) return `${Math.floor(s / 60)}m ago`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)}h ago`;
  return `${Math.floor(s / 86_400)}d ago`;
}

/** Elapsed time; a clock that differs from ours never makes it negative. */
export function elapsed(fromMs: number, toMs: number): string {
  return fromMs <= 0 ? "" : durationText(Math.max(0, toMs - fromMs));
}

/** "1 host", "3 hosts". */
export function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

/** A reason with what it is about in front, unless its sentence says that already. */
export function aboutText(reason: { subject: string; text: string; fix: string; rule: string }): string {
  const subject = clean(reason.subject);
  const name = subject.split(" ").at(-1) ?? "";
  return subject === "" || reason.text.includes(name) ? reasonText(reason) : `${subject}: ${reasonText(reason)}`;
}

/** By what was asked of a host: the code of having done it, which is a word as well. */
export const doneCodes: Readonly<Record<string, string>> = { drain: "drained", restore: "restored", move: "moved" };
const doneWords: ReadonlySet<string> = new Set(Object.values(doneCodes));

/** What became of a host: who only drained it, brought it back or moved instances has updated nothing. */
export function outcomeWord({ outcome, reasonCode }: { outcome: string; reasonCode: string }): string {
  return outcome === "updated" && doneWords.has(reasonCode) ? reasonCode : outcome;
}

/** A reason with its way out. */
export function reasonText(reason: { text: string; fix: string; rule: string } | undefined): string {
  if (reason === undefined) return "";
  const text = clean(reason.text) || clean(reason.rule);
  const fix = clean(reason.fix);
  // Some sentences carry their way out already.
  return fix === "" || text.endsWith(fix) ? text : `${text}; ${fix}`;
}
