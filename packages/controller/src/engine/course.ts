import type { RunEvent } from "../domain/events.ts";
import type { Run } from "../domain/run.ts";
import type { RunOutcome, RunState } from "../domain/words.ts";
import { outcomeWord } from "./result.ts";

/**
 * What becomes of the roll before any further host begins. An abort ends it; so does the first failure, unless the run goes on past
 * failures: then it pauses once there are too many. Hosts in hand are finished in each case. At most one event.
 */
export function courseOf(run: Run): RunEvent[] {
  const { state, hosts, spec, abort } = run;
  const { forced, maxFailures } = spec.options;
  if (abort && state !== "undoing") return [to("undoing", `aborted by ${abort.who}`)];
  const failed = hosts.filter((h) => h.outcome === "failed").map((h) => h.name);
  const isOver = hosts.every((h) => h.outcome !== undefined);
  if (state === "stopping" && failed.length === 0 && !isOver) return [to("rolling", "what had failed is tried again")];
  if (state !== "rolling" || forced || failed.length === 0 || isOver) return [];
  if (maxFailures > 0) return overBudget(run, failed);
  return [to("stopping", `${failed.join(", ")} failed and the run is not forced`)];
}

/** As many have failed as may since the last time, or the canary has. */
function overBudget({ paused, forgiven, spec }: Run, failed: readonly string[]): RunEvent[] {
  const { maxFailures, canary } = spec.options;
  const fresh = failed.filter((name) => !forgiven.includes(name));
  const isCanary = fresh.includes(canary);
  if (paused || (fresh.length < maxFailures && !isCanary)) return [];
  const what = isCanary
    ? `the canary ${canary} failed`
    : `${fresh.join(", ")} failed, and the run pauses after ${maxFailures} ${maxFailures === 1 ? "failure" : "failures"}`;
  const ways = `slipway run retry or skip ${spec.run} HOST, then resume it, or resume it without ${fresh.length === 1 ? "that host" : "those hosts"}`;
  return [{ type: "run-paused", who: "slipway", reason: `${what}; ${ways}`, finishes: true }];
}

/** Moves of the run as a whole, once no host has anything to record. */
export function nextStateOf(run: Run): RunEvent[] {
  const open = run.hosts.filter((h) => h.outcome === undefined);
  const failed = run.hosts.filter((h) => h.outcome === "failed").map((h) => h.name);
  if (open.length === 0) return [{ type: "run-ended", ...outcomeOf(run) }];
  if (run.state === "preflight" && open.every((h) => h.checked)) {
    if (failed.length > 0 && !run.spec.options.forced)
      return [to("stopping", `${failed.join(", ")} failed before anything was changed`)];
    if (run.paused) return [];
    return [to("rolling", `${open.length} ${open.length === 1 ? "host is" : "hosts are"} ready`)];
  }
  if (run.state !== "stopping" || open.some((h) => h.began)) return [];
  const reason = `the run stopped because ${failed.join(", ")} failed`;
  return open.map((h) => ({
    ...({ type: "host-ended", host: h.name, outcome: "untouched", code: "not-reached" } as const),
    reason,
  }));
}

/** The outcome of a run whose hosts have all ended, and its details in one line. */
export function outcomeOf(run: Run): { outcome: RunOutcome; details: string } {
  const count = (outcome: string) => run.hosts.filter((h) => h.outcome === outcome).length;
  const parts = (["updated", "skipped", "failed", "untouched"] as const)
    .filter((o) => count(o) > 0)
    .map((o) => `${count(o)} ${outcomeWord(o, run.spec.options.op)}`);
  const failed = run.hosts.find((h) => h.outcome === "failed");
  const summary = parts.join(", ") || "no hosts";
  if (run.abort) return { outcome: "aborted", details: `Aborted by ${run.abort.who}: ${summary}` };
  if (failed) return { outcome: "failed", details: `${failed.name}: ${failed.reason} (${summary})` };
  if (count("updated") === 0) return { outcome: "nothing-done", details: `Nothing was done: ${summary}` };
  return { outcome: "succeeded", details: `OK: ${summary}` };
}

function to(state: RunState, reason: string): RunEvent {
  return { type: "run-state", to: state, reason };
}
