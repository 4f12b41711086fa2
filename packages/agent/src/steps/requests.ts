import type { Progress } from "./ports.ts";
import type { HookRequests } from "./types.ts";
import { noRequests } from "./verdict.ts";

/** Longest `message=` and `skip=` text that is passed on, in characters. */
const MAX_TEXT = 1000;

/**
 * Reads the `key=value` lines that a hook appended to SLIPWAY_OUTPUT. The last line of a key wins, unknown keys and
 * malformed lines are ignored: a hook written for a later Slipway must run under this one.
 */
export function parseRequests(text: string): { requests: HookRequests; progress: Progress } {
  let { rebootRequired, rerunAfterReboot, skip, message } = noRequests;
  let percent: number | undefined;
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at < 0) continue;
    const value = clean(line.slice(at + 1));
    switch (line.slice(0, at).trim()) {
      case "reboot":
        rebootRequired = value === "required";
        break;
      case "rerun":
        rerunAfterReboot = value === "after-reboot";
        break;
      case "skip":
        skip = value;
        break;
      case "message":
        message = value;
        break;
      case "progress":
        if (/^\d{1,3}%?$/.test(value)) percent = Math.min(100, Number.parseInt(value, 10));
        break;
    }
  }
  return {
    requests: { rebootRequired, rerunAfterReboot, skip, message },
    progress: percent === undefined ? { message } : { percent, message },
  };
}

/** One line without control characters: it is printed on terminals. */
function clean(value: string): string {
  return value
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, MAX_TEXT)
    .toWellFormed();
}
