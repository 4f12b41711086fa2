import { durationText } from "@slipway/shared";
import { type Estimate, estimateOf, type StepKind } from "../../domain/durations.ts";
import type { FleetView } from "../../domain/fleet.ts";
import type { HostRun, Run } from "../../domain/run.ts";
import { momentText, parseWindows, type Windows } from "../../domain/window.ts";
import type { Reason } from "../../domain/words.ts";
import { isOut } from "./fold.ts";

/** A wall clock may be set at any time, so a window is looked at again after at most this long, in milliseconds. */
const LOOK_AGAIN_MS = 60_000;
const MAX_KNOWN = 100;

/**
 * Why the window of the run does not let `host` go out now; undefined when it does, when there is none, or when the host is out already:
 * what is in hand is always finished. It has to be open, and what the turn takes at its 95th percentile has to fit before it closes.
 * Asked when a turn begins and again before the host goes out. Whether it is due again tells `windowWakeT`.
 */
export function windowWait(run: Run, host: HostRun, fleet: FleetView): Reason | undefined {
  const { window, op } = run.spec.options;
  if (window === "" || op === "restore" || op === "move" || run.abort || host.directed || isOut(host)) return undefined;
  const windows = windowsOf(window);
  const { wallT } = fleet;
  if (windows === undefined || wallT === undefined) {
    const why = windows ? "the time of day is not known" : "it cannot be read";
    return reason(host, `${host.name} does not go out: its window is ${window}, and ${why}`, "");
  }
  const state = windows.at(wallT);
  const need = turnOf(run, host, fleet);
  const takes = `its turn may take ${durationText(need.p95Ms)} (${need.basis})`;
  const longest = windows.longestMs(wallT);
  if (need.p95Ms > longest)
    return reason(
      host,
      `${host.name} cannot go out: ${takes}, and the window ${windows.text} is never open for longer than ${durationText(longest)}`,
      `start the rest of the run with a longer --window, or settle the host: slipway run skip ${run.spec.run} ${host.name}`,
    );
  if (!state.isOpen)
    return reason(
      host,
      `${host.name} waits for the window ${windows.text}: it opens at ${momentText(state.opensMs, state.zone)}`,
      "it goes on by itself then",
    );
  if (state.closesMs === undefined || wallT + need.p95Ms <= state.closesMs) return undefined;
  const next = windows.at(state.closesMs);
  const again = next.isOpen ? "" : `; it opens again at ${momentText(next.opensMs, next.zone)}`;
  return reason(
    host,
    `${host.name} does not go out any more: ${takes}, and the window closes at ${momentText(state.closesMs, state.zone)}${again}`,
    "it goes on by itself then",
  );
}

/** Engine time at which a host that waits for the window of the run is to be looked at again. */
export function windowWakeT(run: Run, fleet: FleetView, now: number): number {
  const { wallT } = fleet;
  const state = wallT === undefined ? undefined : windowsOf(run.spec.options.window)?.at(wallT);
  if (wallT === undefined || state === undefined) return now + LOOK_AGAIN_MS;
  const next = (state.isOpen ? state.closesMs : state.opensMs) ?? Number.POSITIVE_INFINITY;
  return now + Math.min(LOOK_AGAIN_MS, Math.max(1, next - wallT));
}

/**
 * What a turn takes: the longer of what the schedule of the run has for it and what has been measured of drains and turns, for a schedule may
 * rest on a guess that the run itself has proved wrong. The guess counts only where there is nothing else.
 */
function turnOf(run: Run, host: HostRun, fleet: FleetView): Pick<Estimate, "p95Ms" | "basis"> {
  const { op } = run.spec.options;
  const estimate = (kind: StepKind) => estimateOf(fleet.usual, host.name, kind, host.cluster);
  const drain = estimate("drain");
  const away = op === "drain" ? undefined : estimate(op === "reboot" ? "away-reboot" : "away");
  const p95Ms = drain.p95Ms + (away?.p95Ms ?? 0);
  const scheduled = run.schedule?.turns.find((t) => t.host === host.name);
  const isGuess = drain.isAssumed || away?.isAssumed === true;
  if (scheduled && (isGuess || scheduled.p95Ms >= p95Ms)) {
    const measured = isGuess ? "not all of that has been measured yet" : `measured by now: ${durationText(p95Ms)}`;
    return { p95Ms: scheduled.p95Ms, basis: `as planned; ${measured}` };
  }
  return { p95Ms, basis: away ? `drain: ${drain.basis}; away: ${away.basis}` : drain.basis };
}

function reason(host: HostRun, text: string, fix: string): Reason {
  return { rule: "window", subject: host.name, text, fix };
}

const known = new Map<string, Windows>();

/** Undefined when it cannot be read, which its run should never have been started with. */
function windowsOf(text: string): Windows | undefined {
  const found = known.get(text);
  if (found) return found;
  try {
    const windows = parseWindows(text);
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(text, windows);
    return windows;
  } catch {
    return undefined;
  }
}
