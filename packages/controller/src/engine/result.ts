import type { Verdict } from "@slipway/shared";
import type { RunEvent, StepRef, StepResult } from "../domain/events.ts";
import type { HostRun, Run } from "../domain/run.ts";
import type { Outcome, Reason, RunOptions } from "../domain/words.ts";

/** The end of a step that no agent does. Wall clock and duration in milliseconds. */
export function controllerResult(
  verdict: Verdict,
  reason: string,
  startedAtMs: number,
  durationMs: number,
): StepResult {
  const took = Math.max(0, durationMs);
  return {
    ...{ verdict, signal: "", reason, startedAtMs, endedAtMs: startedAtMs + took, durationMs: took, output: "" },
    requests: { rebootRequired: false, rerunAfterReboot: false, skip: "", message: "" },
    bootIdBefore: "",
    bootIdAfter: "",
  };
}

export function endOf({ host, step, attempt }: StepRef, result: StepResult): RunEvent {
  return { type: "step-ended", host, step, attempt, result };
}

export function pausedReason(run: Run): Reason {
  const { who, reason } = run.paused ?? { who: "an operator", reason: "" };
  return {
    rule: "paused",
    subject: `run ${run.spec.run}`,
    text: `the run was paused by ${who}${reason ? `: ${reason}` : ""}`,
    fix: waysOn(run),
  };
}

/** How a paused run goes on: one that paused because of failures does by itself when they are mended. */
function waysOn({ spec: { run: id }, hosts, paused, forgiven }: Run): string {
  const resume = `slipway run resume ${id}`;
  if (!paused?.finishes) return resume;
  const fresh = hosts.filter((h) => h.outcome === "failed" && !forgiven.includes(h.name)).map((h) => h.name);
  const [whom, it] = fresh.length === 1 ? [fresh[0], "it"] : ["HOST", "them"];
  return `mend ${it}, then slipway run retry ${id} ${whom} (or skip, mark-done); or go on without ${it}: ${resume}; or end the run: slipway run abort ${id}`;
}

/** Why a run does not hold any more. */
export function settledText({ rule, subject }: Reason): string {
  switch (rule) {
    case "approval":
      return "approved";
    case "bake":
      return `the canary ${subject} has been watched`;
    case "window":
      return `the window lets ${subject} go`;
    default:
      return `${subject}: settled`;
  }
}

const doneWords: Readonly<Record<RunOptions["op"], string>> = {
  hooks: "updated",
  reboot: "updated",
  drain: "drained",
  restore: "restored",
  move: "moved",
};

/** An outcome as people read it: what was done to a host is called by its name. */
export function outcomeWord(outcome: Outcome, op: RunOptions["op"]): string {
  return outcome === "updated" ? doneWords[op] : outcome;
}

/** Hosts by what became of them: "3 updated, 1 failed". */
export function tally(hosts: readonly HostRun[], op: RunOptions["op"]): string {
  return (["updated", "skipped", "failed", "untouched"] as const)
    .map((o) => [hosts.filter((h) => h.outcome === o).length, outcomeWord(o, op)] as const)
    .filter(([count]) => count > 0)
    .map(([count, word]) => `${count} ${word}`)
    .join(", ");
}

/** So many of a kind are named in a line; the rest is counted. */
const MOST_NAMED = 8;

/** Names in a line: "vm1, vm2, vm3", or "vm1, vm2, ... and 12 more". */
export function listed(names: readonly string[]): string {
  const rest = names.length - MOST_NAMED;
  return rest > 1 ? `${names.slice(0, MOST_NAMED).join(", ")} and ${rest} more` : names.join(", ");
}
