import { durationText } from "@slipway/shared";
import type { Schedule } from "../domain/schedule.ts";
import type { Windows } from "../domain/window.ts";
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
