import { SlipwayError } from "@slipway/shared";
import { askAtTerminal } from "./ask.ts";

/** The outside of the command, as far as it prints: tests replace it. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Whether stdout is a terminal: decides between live tree and plain lines. */
  readonly isTerminal: boolean;
  columns(): number;
  rows(): number;
  readonly env: NodeJS.ProcessEnv;
  /** Wall clock in milliseconds; for people only. */
  now(): number;
  /** Asks whoever sits at the terminal, `hidden` without showing the answer; absent where nobody does. */
  readonly ask?: (question: string, hidden: boolean) => Promise<string>;
}

export function processIo(): Io {
  // A reader that goes away (`slipway list | head`) is no error worth a trace.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
  process.stderr.on("error", () => {});
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    isTerminal: process.stdout.isTTY === true,
    columns: () => process.stdout.columns ?? 80,
    rows: () => process.stdout.rows ?? 24,
    env: process.env,
    now: Date.now,
    ...(process.stdin.isTTY && process.stderr.isTTY ? { ask: askAtTerminal } : {}),
  };
}

/** What went wrong without the way out, which `fix` carries. */
export function problemOf(error: SlipwayError): { code: string; text: string; fix: string } {
  if (error.fix !== "" && error.message.endsWith(`; ${error.fix}`))
    return { code: error.code, text: error.message.slice(0, -error.fix.length - 2), fix: error.fix };
  // Over the wire both arrive as one line, way out last.
  const at = error.message.lastIndexOf("; ");
  if (at < 0) return { code: error.code, text: error.message, fix: "" };
  return { code: error.code, text: error.message.slice(0, at), fix: error.message.slice(at + 2) };
}

/** Shorthand for wrong use of the command: exit status 2. */
export function wrongUse(text: string, fix = ""): SlipwayError {
  return new SlipwayError("bad-input", text, fix === "" ? {} : { fix });
}
