import type { RunEvent } from "../domain/events.ts";
import type { Run } from "../domain/run.ts";
import type { RunOutcome, RunState } from "../domain/words.ts";
import { listed, tally } from "./result.ts";
import { isOut } from "./rolling/fold.ts";

/**
 * What becomes of the roll before any further host begins. An abort ends it. Failures pause it once there are too many, and it goes on
 * when enough of them have been settled; where there is no such budget, the first one ends it, unless the run is forced. Hosts that are
 * out are finished in each case. At most one event.
 */
export function courseOf(run: Run): RunEvent[] {
  const { state, hosts, spec, abort } = run;
  const { forced, maxFailures } = spec.options;
  if (abort && state !== "undoing") return [to("undoing", `aborted by ${abort.who}`)];
  const failed = hosts.filter((h) => h.outcome === "failed").map((h) => h.name);
  const isOver = hosts.every((h) => h.outcome !== undefined);
  if (state === "stopping" && failed.length === 0 && !isOver) return [to("rolling", "what had failed is tried again")];
  if (state !== "rolling" || isOver) return [];
  if (maxFailures > 0) return withinBudget(run, failed);
  if (forced || failed.length === 0) return [];
  return [to("stopping", `${failed.join(", ")} failed and the run is not forced`)];
}

/** As many have failed as may since an operator last went on without them, or the canary has. */
function withinBudget(run: Run, failed: readonly string[]): RunEvent[] {
  const { paused, forgiven, hosts, spec } = run;
  const { maxFailures, canary } = spec.options;
  const fresh = failed.filter((name) => !forgiven.includes(name));
  const isCanary = fresh.includes(canary);
  const isTooMany = fresh.length >= maxFailures || isCanary;
  if (paused?.finishes) {
    // What is tried again first has to show how it ends.
    const isTried = hosts.some((h) => h.outcome === undefined && h.resumeAt !== undefined);
    return isTooMany || isTried ? [] : [{ type: "run-resumed", who: "slipway", reason: "the failures are settled" }];
  }
  if (paused || !isTooMany || hosts.every((h) => h.outcome !== undefined || isOut(h))) return [];
  const what = isCanary
    ? `the canary ${canary} failed`
    : `${listed(fresh)} failed${maxFailures > 1 ? `, and --max-failures is ${maxFailures}` : ""}`;
  return [{ type: "run-paused", who: "slipway", reason: what, finishes: true }];
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
  const summary = tally(run.hosts, run.spec.options.op) || "no hosts";
  const failed = run.hosts.find((h) => h.outcome === "failed");
  if (run.abort) return { outcome: "aborted", details: `Aborted by ${run.abort.who}: ${summary}` };
  if (failed) return { outcome: "failed", details: `${failed.name}: ${failed.reason} (${summary})` };
  if (run.hosts.every((h) => h.outcome !== "updated"))
    return { outcome: "nothing-done", details: `Nothing was done: ${summary}` };
  return { outcome: "succeeded", details: `OK: ${summary}` };
}

function to(state: RunState, reason: string): RunEvent {
  return { type: "run-state", to: state, reason };
}
