import { durationText } from "@slipway/shared";
import type { Schedule } from "../domain/schedule.ts";
import { momentText, type Windows } from "../domain/window.ts";
import type { Reason } from "../domain/words.ts";

/** Hosts that would never be let out: the window is not open for as long as their turn may take. */
export function tooLongForWindow({ turns }: Schedule, windows: Windows, wallMs: number): Reason[] {
  const longest = windows.longestMs(wallMs);
  return turns
    .filter((turn) => turn.p95Ms > longest)
    .map(({ host, p95Ms }) => ({
      rule: "window",
      subject: host,
      text: `${host}: its turn may take ${durationText(p95Ms)} (95 of 100 end by then), and the window ${windows.text} is never open for longer than ${durationText(longest)}`,
      fix: `give a longer window, or leave ${host} out: --exclude ${host}`,
    }));
}

/** When a run that is started now goes, and how far it comes in the first opening if every turn takes its 95th percentile. */
export function windowOutlook({ turns, expectedMs, p95Ms }: Schedule, windows: Windows, wallMs: number): Reason[] {
  const state = windows.at(wallMs);
  if (state.closesMs === undefined || turns.length === 0) return [];
  const fromMs = state.isOpen ? wallMs : state.opensMs;
  const length = state.closesMs - fromMs;
  // When all are slow, turns begin later in the same proportion.
  const stretch = expectedMs > 0 ? Math.max(1, p95Ms / expectedMs) : 1;
  const fitting = turns.filter((t) => t.startMs * stretch + t.p95Ms <= length).length;
  const when = state.isOpen
    ? `it is open, and closes at ${momentText(state.closesMs, state.zone)}`
    : `it opens at ${momentText(state.opensMs, state.zone)}`;
  const far =
    fitting === turns.length
      ? "all turns fit into that opening"
      : `${fitting} of ${turns.length} turns fit into that opening if each takes its 95th percentile; the rest waits for the next one`;
  return [{ rule: "window-outlook", subject: "window", text: `window ${windows.text}: ${when}; ${far}`, fix: "" }];
}
