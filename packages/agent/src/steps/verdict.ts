import { EXIT_AVOID, type Stage, type Verdict } from "@slipway/shared";
import type { Look, RawResult } from "./ports.ts";
import type { HookInventory, HookRequests, StepResult, StepRow } from "./types.ts";

export const noRequests: HookRequests = { rebootRequired: false, rerunAfterReboot: false, skip: "", message: "" };

/** Only before maintenance can a hook say that its host needs none; later the status is plain success (CloudStack's rule). */
const stagesThatMayAvoid: ReadonlySet<Stage> = new Set<Stage>(["PreFlight", "PreMaintenance"]);

/** Verdict and reason of a hook that ended under the executor's eyes. */
export function hookVerdict(
  stage: Stage,
  raw: RawResult,
  cancelReason: string | undefined,
  timeoutMs: number,
): { verdict: Verdict; reason: string } {
  if (raw.cancelled) {
    // Nobody asked for it: the core itself gave the start up and sealed the task.
    if (cancelReason === undefined) return { verdict: "failed", reason: `not started: ${raw.cancelReason}` };
    return { verdict: "cancelled", reason: cancelReason };
  }
  if (raw.timedOut) return { verdict: "timed-out", reason: `not done after ${timeoutMs} ms` };
  if (raw.startError !== "") return { verdict: "failed", reason: raw.startError };
  if (raw.signal !== "") return { verdict: "failed", reason: `ended by ${raw.signal}` };
  if (raw.exitCode === 0) return { verdict: "ok", reason: "" };
  if (raw.exitCode === EXIT_AVOID)
    return stagesThatMayAvoid.has(stage) ? { verdict: "avoid", reason: "" } : { verdict: "ok", reason: "" };
  return { verdict: "failed", reason: `exit status ${raw.exitCode ?? "unknown"}` };
}

/** Result of a hook step out of what the executor recorded. */
export function hookResult(row: StepRow, raw: RawResult): StepResult {
  if (row.spec.kind !== "hook") throw new Error(`no hook step: ${row.spec.kind}`);
  return {
    ...hookVerdict(row.spec.stage, raw, row.cancelReason, row.spec.timeoutMs),
    ...(raw.exitCode === undefined ? {} : { exitCode: raw.exitCode }),
    signal: raw.signal,
    startedAtMs: raw.startedAtMs,
    endedAtMs: raw.endedAtMs,
    durationMs: raw.durationMs,
    output: raw.output,
    outputBytes: raw.outputBytes,
    requests: raw.requests,
    bootIdBefore: raw.bootId,
    bootIdAfter: raw.bootId,
    hookFile: row.hook?.file ?? "",
    hookSha256: row.hook?.sha256 ?? "",
  };
}

/** Result of a hook that was cut off: neither success nor failure of its own is known. */
export function lostResult(
  row: StepRow,
  look: Extract<Look, { state: "lost" }>,
  bootId: string,
  wallMs: number,
): StepResult {
  const rebooted = look.bootId !== bootId;
  const reason = rebooted
    ? `the host went down while the hook ran (boot ${look.bootId} => ${bootId})`
    : `${look.reason}; the host did not reboot`;
  return {
    ...instantResult(row, "interrupted", reason, bootId, wallMs),
    startedAtMs: look.startedAtMs || row.acceptedAtMs,
    output: look.output,
    outputBytes: look.outputBytes,
    requests: look.requests,
    bootIdBefore: look.bootId,
  };
}

/** The boot id has changed since the reboot was accepted: it happened. */
export function rebootedResult(row: StepRow, bootId: string, wallMs: number): StepResult {
  return {
    ...instantResult(row, "ok", `booted anew (${row.bootId} => ${bootId})`, bootId, wallMs),
    durationMs: Math.max(0, wallMs - row.acceptedAtMs),
  };
}

/** Result of a step that ran no program. */
export function instantResult(
  row: StepRow,
  verdict: Verdict,
  reason: string,
  bootId: string,
  wallMs: number,
  extra: { hooks?: HookInventory; hookFile?: string; hookSha256?: string } = {},
): StepResult {
  return {
    verdict,
    signal: "",
    reason,
    startedAtMs: row.acceptedAtMs,
    endedAtMs: wallMs,
    durationMs: 0,
    output: "",
    outputBytes: 0,
    requests: noRequests,
    ...(extra.hooks === undefined ? {} : { hooks: extra.hooks }),
    bootIdBefore: row.bootId,
    bootIdAfter: bootId,
    hookFile: extra.hookFile ?? row.hook?.file ?? "",
    hookSha256: extra.hookSha256 ?? row.hook?.sha256 ?? "",
  };
}
