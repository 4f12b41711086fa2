import { wrongUse } from "../io.ts";

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Far above every real wait, and exact as a number of milliseconds. */
const MAX_MS = 30 * 86_400_000;

/** "90", "500ms", "30s", "10m", "2h", "1d"; a plain number is seconds, as in CloudStack. Returns milliseconds above 0. */
export function parseDuration(name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim());
  const ms = match === null ? Number.NaN : Math.round(Number(match[1]) * (UNITS[match[2] ?? "s"] ?? Number.NaN));
  if (!(ms > 0) || ms > MAX_MS)
    throw wrongUse(
      `${name}: "${text}" is no duration between 1ms and 30d`,
      "write seconds, or a number with ms, s, m, h or d, such as 90 or 10m",
    );
  return ms;
}

/** The shortest form that `parseDuration` reads back: "10m", "90s", "500ms". */
export function durationFlag(ms: number): string {
  for (const unit of ["d", "h", "m", "s"]) {
    const size = UNITS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}
