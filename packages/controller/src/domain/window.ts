import { nearest, SlipwayError } from "@slipway/shared";
// The rules of time zones; the coming standard's own interface, which takes them from the runtime. Nothing of it here reads a clock.
import { Temporal } from "temporal-polyfill";

const DAY_MS = 86_400_000;
/** Openings are laid out from this many days before a moment to this many after it: a weekly one is among them twice. */
const BACK_DAYS = 2;
const AHEAD_DAYS = 15;
/** What does not close for longer than this is always open. */
const ENDLESS_MS = 8 * DAY_MS;

const dayNames = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;
const longNames = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/** One range of every week, in the time of a zone. */
interface WeeklyRange {
  /** Days on which it begins; 1 is Monday. */
  readonly days: readonly number[];
  /** Minutes of the day; `to` up to 1440. An end that is not after the begin is on the day after. */
  readonly from: number;
  readonly to: number;
  readonly zone: string;
}

/** From `opensMs` up to, but without, `closesMs`; milliseconds since the epoch. */
interface Span {
  readonly opensMs: number;
  readonly closesMs: number;
  readonly zone: string;
}

/** How windows stand at a moment. `zone` is the one in which people read the times. */
export type WindowState =
  | { readonly isOpen: true; readonly zone: string /** Absent: it never closes. */; readonly closesMs?: number }
  | { readonly isOpen: false; readonly zone: string; readonly opensMs: number; readonly closesMs: number };

/** When hosts may go out. Made by `parseWindows`; a moment is asked about, no clock is read. */
export class Windows {
  /** The same in one spelling, each window with its zone. */
  readonly text: string;
  readonly #ranges: readonly WeeklyRange[];
  #laidOut: { readonly fromMs: number; readonly spans: readonly Span[] } | undefined;

  constructor(ranges: readonly WeeklyRange[]) {
    this.#ranges = ranges;
    this.text = ranges.map(textOf).join("; ");
  }

  /**
   * Is it open at this wall clock time (milliseconds since the epoch), and until or from when? Windows that touch or overlap are
   * one. An end that the zone's clock jumps over is the moment of the jump; of one that it shows twice, the first counts.
   */
  at(wallMs: number): WindowState {
    const spans = this.#spans(wallMs);
    const now = spans.find((s) => s.opensMs <= wallMs && wallMs < s.closesMs);
    if (now)
      return now.closesMs - wallMs > ENDLESS_MS
        ? { isOpen: true, zone: now.zone }
        : { isOpen: true, zone: now.zone, closesMs: now.closesMs };
    const next = spans.find((s) => s.opensMs > wallMs);
    if (next === undefined) throw new Error(`window ${this.text}: does not open within ${AHEAD_DAYS} days`);
    return { isOpen: false, ...next };
  }

  /** The longest that it is open at once in the two weeks from then on, in milliseconds; infinite when it never closes. */
  longestMs(wallMs: number): number {
    const lengths = this.#spans(wallMs).map((s) => s.closesMs - s.opensMs);
    const longest = Math.max(...lengths);
    return longest > ENDLESS_MS ? Number.POSITIVE_INFINITY : longest;
  }

  #spans(wallMs: number): readonly Span[] {
    const known = this.#laidOut;
    if (known && known.fromMs <= wallMs && wallMs < known.fromMs + DAY_MS) return known.spans;
    const spans = merged(this.#ranges.flatMap((r) => spansOf(r, wallMs)));
    this.#laidOut = { fromMs: wallMs, spans };
    return spans;
  }
}

/**
 * Reads "Sat 22:00-04:00 Europe/Paris": days (none: every day; "Mon-Fri", "Mon,Wed"), a range that may go over midnight, and the zone;
 * several such are separated by ";". A zone at the very end is that of every window that states none; without any, `defaultZone`
 * counts where an operator has laid one down. There is no zone that is taken silently. Errors: `bad-input` naming the part.
 */
export function parseWindows(text: string, defaultZone = ""): Windows {
  const parts = text
    .split(";")
    .map((p) => p.trim())
    .filter((p) => p !== "");
  if (parts.length === 0) throw bad(text, "nothing is given", 'write for example "Sat 22:00-04:00 Europe/Paris"');
  const read = parts.map((part) => readPart(part));
  const shared = read.every((r, i) => r.zone === "" || i === read.length - 1) ? read.at(-1)?.zone : "";
  const zone = shared || (defaultZone && zoneOf(defaultZone, "the default zone"));
  return new Windows(
    read.map((range, i) => {
      if (range.zone !== "" || zone) return { ...range, zone: range.zone || zone };
      throw bad(parts[i] ?? "", "it states no time zone", "add one such as Europe/Paris or UTC at its end");
    }),
  );
}

/** "Sun 2026-03-29 04:00 Europe/Paris": a moment for people. Milliseconds since the epoch. */
export function momentText(ms: number, zone: string): string {
  const at = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone);
  const [date, time] = at.toPlainDateTime().toString({ smallestUnit: "minute" }).split("T");
  return `${dayNames[at.dayOfWeek - 1]} ${date} ${time} ${zone}`;
}

function readPart(part: string): WeeklyRange {
  const words = part
    .replaceAll(/\s+-\s+/g, "-")
    .replaceAll(/\s*,\s*/g, ",")
    .split(/\s+/);
  const days = /^[\p{L}]/u.test(words[0] ?? "") ? daysOf(words.shift() ?? "", part) : [1, 2, 3, 4, 5, 6, 7];
  const range = words.shift();
  if (range === undefined) throw bad(part, "it has no times", "write for example 22:00-04:00");
  const ends = range.split("-");
  const [from, to] = ends;
  if (from === undefined || to === undefined || ends.length !== 2)
    throw bad(part, `${JSON.stringify(range)} is no range of times`, "write for example 22:00-04:00");
  const [begin, end] = [minutesOf(from, part), minutesOf(to, part)];
  if (begin === 1440) throw bad(part, '"24:00" cannot be a begin', "write 00:00 and the day after");
  if (begin === end) throw bad(part, `${JSON.stringify(range)} has no length`, "for whole days write 00:00-24:00");
  const zone = words.shift();
  if (words.length > 0)
    throw bad(part, `${JSON.stringify(words.join(" "))} is too much`, "write days, times and a zone, in this order");
  return { days, from: begin, to: end, zone: zone === undefined ? "" : zoneOf(zone, JSON.stringify(part)) };
}

function daysOf(word: string, part: string): number[] {
  const days = word.split(",").flatMap((piece) => {
    const ends = piece.split("-");
    const [first, last] = [dayOf(ends[0] ?? "", part), dayOf(ends.at(-1) ?? "", part)];
    if (ends.length > 2) throw bad(part, `${JSON.stringify(piece)} is no range of days`, "write for example Mon-Fri");
    return Array.from({ length: ((last - first + 7) % 7) + 1 }, (_, i) => ((first - 1 + i) % 7) + 1);
  });
  return [...new Set(days)].sort((a, b) => a - b);
}

function dayOf(word: string, part: string): number {
  const lower = word.toLowerCase();
  const at = longNames.findIndex((long) => long === lower || long.slice(0, 3) === lower);
  if (at < 0) throw bad(part, `${JSON.stringify(word)} is no day`, `write ${dayNames.join(", ")}`);
  return at + 1;
}

function minutesOf(word: string, part: string): number {
  const [, hours, minutes] = /^(\d{1,2}):(\d{2})$/.exec(word) ?? [];
  const at = Number(hours) * 60 + Number(minutes);
  if (!(at <= 1440 && Number(minutes) < 60))
    throw bad(part, `${JSON.stringify(word)} is no time of day`, "write 00:00 to 24:00");
  return at;
}

/** The zone's own spelling. Abbreviations are refused: EST, for one, has no summer time. */
function zoneOf(word: string, where: string): string {
  if (/^[A-Z]{2,5}(?:\d[A-Z]*)?$/.test(word) && word !== "UTC" && word !== "GMT")
    throw unknownZone(word, where, "write a place, such as Europe/Paris or America/New_York, or UTC");
  try {
    return Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(word).timeZoneId;
  } catch {
    const near = nearest(word, Intl.supportedValuesOf("timeZone"));
    throw unknownZone(word, where, near ? `did you mean ${near}?` : "write for example Europe/Paris or UTC");
  }
}

function unknownZone(word: string, where: string, fix: string): SlipwayError {
  return new SlipwayError("bad-input", `window: ${where}: ${JSON.stringify(word)} is no time zone`, { fix });
}

function bad(part: string, what: string, fix: string): SlipwayError {
  return new SlipwayError("bad-input", `window: ${JSON.stringify(part)}: ${what}`, { fix });
}

function textOf({ days, from, to, zone }: WeeklyRange): string {
  const clock = (m: number) => `${String(Math.floor(m / 60)).padStart(2, "0")}:${String(m % 60).padStart(2, "0")}`;
  const names = days.length === 7 ? "" : `${days.map((d) => dayNames[d - 1]).join(",")} `;
  return `${names}${clock(from)}-${clock(to)} ${zone}`;
}

function spansOf({ days, from, to, zone }: WeeklyRange, wallMs: number): Span[] {
  const today = Temporal.Instant.fromEpochMilliseconds(wallMs).toZonedDateTimeISO(zone).toPlainDate();
  const spans: Span[] = [];
  for (let d = -BACK_DAYS; d <= AHEAD_DAYS; d++) {
    const date = today.add({ days: d });
    if (!days.includes(date.dayOfWeek)) continue;
    const opensMs = momentOf(date, from, zone);
    const closesMs = momentOf(date, to > from ? to : to + 1440, zone);
    // One that falls wholly into an hour that does not exist is not there that day.
    if (opensMs < closesMs) spans.push({ opensMs, closesMs, zone });
  }
  return spans;
}

function momentOf(date: Temporal.PlainDate, minutes: number, zone: string): number {
  const day = date.add({ days: Math.floor(minutes / 1440) });
  const local = day.toPlainDateTime({ hour: Math.floor(minutes / 60) % 24, minute: minutes % 60 });
  const found = local.toZonedDateTime(zone, { disambiguation: "earlier" });
  if (found.toPlainDateTime().equals(local)) return found.epochMilliseconds;
  // The clock jumps over it; what was found lies before the jump by as much as the clock skips.
  return (found.getTimeZoneTransition("next") ?? found).epochMilliseconds;
}

function merged(spans: readonly Span[]): Span[] {
  const out: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.opensMs - b.opensMs)) {
    const last = out.at(-1);
    if (last && span.opensMs <= last.closesMs)
      out[out.length - 1] = span.closesMs > last.closesMs ? { ...span, opensMs: last.opensMs } : last;
    else out.push(span);
  }
  return out;
}
