import type { Verdict } from "@slipway/shared";
import type { RunEvent, StepRef, StepResult } from "../domain/events.ts";
import type { Run } from "../domain/run.ts";
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
    fix: `slipway run resume ${run.spec.run}`,
  };
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
