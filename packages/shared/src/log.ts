import { fstatSync } from "node:fs";
import { type DestinationStream, destination, type Logger, pino } from "pino";

export type { Logger } from "pino";

/** Lines that cannot be written are kept up to this size, then dropped. */
const MAX_WAITING_BYTES = 256 * 1024;

/**
 * One line per event on stderr, synchronously: a worker thread could lose the last lines before a reboot.
 * JSON, or, where stderr is the journal of systemd, plain text that begins with its priority.
 * Level from `SLIPWAY_LOG` (trace, debug, info, warn, error), default info.
 */
export function createLogger(name: string): Logger {
  const stderr = destination({ dest: 2, sync: true, maxLength: MAX_WAITING_BYTES });
  // A log file on a full disk must not end the process: the lines wait for room, or get lost, and the work goes on.
  stderr.on("error", () => {});
  return pino(
    { name, level: process.env["SLIPWAY_LOG"] ?? "info", base: { pid: process.pid } },
    isJournal() ? journalStream(stderr) : stderr,
  );
}

/** systemd names the stream it gave us; one that was redirected since is not the journal. */
function isJournal(): boolean {
  const stream = process.env["JOURNAL_STREAM"];
  if (!stream) return false;
  try {
    const { dev, ino } = fstatSync(2);
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

function journalStream(to: DestinationStream): DestinationStream {
  return { write: (line) => to.write(journalLine(line)) };
}

/** Pino's levels as syslog's: fatal, error, warn, info, and everything below info. */
function priority(level: unknown): number {
  if (typeof level !== "number" || level < 30) return 7;
  if (level < 40) return 6;
  if (level < 50) return 4;
  return level < 60 ? 3 : 2;
}

/** One of pino's lines as the journal wants it: time, program and process are known there, the message comes first. */
export function journalLine(line: string): string {
  const { level, time: _time, pid: _pid, name: _name, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const text = typeof msg === "string" ? msg.replaceAll(/\r?\n/g, "\\n") : "";
  const fields = Object.keys(rest).length === 0 ? "" : ` ${JSON.stringify(rest)}`;
  return `<${priority(level)}>${text}${fields}\n`;
}
