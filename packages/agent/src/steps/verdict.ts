import { EXIT_AVOID, type Stage, type Verdict } from "@slipway/shared";
import type { Look, RawResult } from "./ports.ts";
import type { HookInventory, HookRequests, HostFacts, StepResult, StepRow } from "./types.ts";

export const noRequests: HookRequests = { rebootRequired: false, rerunAfterReboot: false, skip: "", message: "" };

/** Only before maintenance can a hook say that its host needs none; later the status is plain success (CloudStack's rule). */
const stagesThatMayAvoid: ReadonlySet<Stage> = new Set<Stage>(["PreFlight", "PreMaintenance"]);
/** Stages whose hook may ask for a reboot. */
const stagesThatMayReboot: ReadonlySet<Stage> = new Set<Stage>(["PreMaintenance", "Maintenance"]);
/** What a host that goes down sends to everybody. */
const shutdownSignals: ReadonlySet<string> = new Set(["SIGTERM", "SIGKILL", "SIGHUP"]);

type Judgement = Pick<StepResult, "verdict" | "reason" | "rebootedAsAsked">;
type Lost = Extract<Look, { state: "lost" }>;

/**
 * Verdict and reason of a hook that ended under the executor's eyes; `bootId` is the boot in which it is judged.
 *
 * A hook's own success counts whatever happened around it. After a TERM from outside, anything else it says is the echo
 * of that TERM and no verdict of its own.
 */
export function hookVerdict(
  stage: Stage,
  raw: RawResult,
  cancelReason: string | undefined,
  timeoutMs: number,
  bootId: string,
): Judgement {
  const boots = raw.bootId === bootId ? "" : `boot ${raw.bootId} => ${bootId}`;
  const since = boots === "" ? "" : `; the host has booted anew since (${boots})`;
  if (raw.cancelled) {
    // Nobody asked for it: the core itself gave the start up and sealed the task.
    if (cancelReason === undefined) return { verdict: "failed", reason: `not started: ${raw.cancelReason}` };
    return { verdict: "cancelled", reason: cancelReason };
  }
  if (raw.timedOut) return { verdict: "timed-out", reason: `not done after ${timeoutMs} ms${since}` };
  if (raw.startError !== "") return { verdict: "failed", reason: raw.startError };
  if (raw.signal === "" && (raw.exitCode === 0 || raw.exitCode === EXIT_AVOID)) {
    const verdict = raw.exitCode === EXIT_AVOID && stagesThatMayAvoid.has(stage) ? "avoid" : "ok";
    const killed = raw.oomKills ? `${processes(raw)} killed: ${memory(raw.memoryMax)}` : "";
    if (boots === "") return { verdict, reason: killed };
    if (asksForReboot(stage, raw.requests))
      return {
        verdict,
        reason: `ended well, then the host was rebooted as it asked (${boots})`,
        rebootedAsAsked: true,
      };
    return { verdict, reason: `ended well, then the host went down (${boots})` };
  }
  if (raw.stoppedBy === "shutdown" || (boots !== "" && shutdownSignals.has(raw.signal)))
    return shutDown(stage, raw.requests, boots);
  if (raw.stoppedBy === "outside") return { verdict: "interrupted", reason: stoppedOutside };
  if (raw.oomKills && raw.signal === "SIGKILL")
    return { verdict: "failed", reason: `killed: ${memory(raw.memoryMax)}${since}` };
  const own = raw.signal !== "" ? `ended by ${raw.signal}` : `exit status ${raw.exitCode ?? "unknown"}`;
  const killed = raw.oomKills ? `; ${processes(raw)} killed: ${memory(raw.memoryMax)}` : "";
  return { verdict: "failed", reason: `${own}${killed}${since}` };
}

const stoppedOutside = "its unit was stopped on the host while it ran (systemctl stop), not by Slipway";

/** A hook that says `reboot=required` and reboots the host by itself did what it announced; any other was cut off. */
function shutDown(stage: Stage, requests: HookRequests, boots: string): Judgement {
  if (boots === "")
    return { verdict: "interrupted", reason: "the host began to shut down while the hook ran, but has not gone down" };
  if (asksForReboot(stage, requests))
    return { verdict: "ok", reason: `the host was rebooted as the hook asked (${boots})`, rebootedAsAsked: true };
  return { verdict: "interrupted", reason: `the host was shut down while the hook ran (${boots})` };
}

function asksForReboot(stage: Stage, requests: HookRequests): boolean {
  return requests.rebootRequired && stagesThatMayReboot.has(stage);
}

function memory(limit: string | undefined): string {
  return limit === undefined ? "out of memory" : `out of memory (limit ${limit})`;
}

function processes(raw: RawResult): string {
  return raw.oomKills === 1 ? "1 of its processes was" : `${raw.oomKills} of its processes were`;
}

/** Whether the host is on its way down because of which the hook ended: only the next boot can tell what became of it. */
export function awaitsBoot(look: Look, bootId: string): boolean {
  if (look.state === "ended") return look.result.stoppedBy === "shutdown" && look.result.bootId === bootId;
  return look.state === "lost" && look.cut === "shutdown" && look.bootId === bootId;
}

/** Result of a hook step out of what the executor recorded. */
export function hookResult(row: StepRow, raw: RawResult, bootId: string): StepResult {
  if (row.spec.kind !== "hook") throw new Error(`no hook step: ${row.spec.kind}`);
  return {
    ...hookVerdict(row.spec.stage, raw, row.cancelReason, row.spec.timeoutMs, bootId),
    ...(raw.exitCode === undefined ? {} : { exitCode: raw.exitCode }),
    signal: raw.signal,
    startedAtMs: raw.startedAtMs,
    endedAtMs: raw.endedAtMs,
    durationMs: raw.durationMs,
    output: raw.output,
    outputBytes: raw.outputBytes,
    requests: raw.requests,
    bootIdBefore: raw.bootId,
    bootIdAfter: bootId,
    hookFile: row.hook?.file ?? "",
    hookSha256: row.hook?.sha256 ?? "",
  };
}

/** Result of a hook that was cut off: neither success nor failure of its own is known. */
export function lostResult(row: StepRow, look: Lost, bootId: string, wallMs: number): StepResult {
  const { rebootedAsAsked, verdict, reason } = lostVerdict(row, look, bootId);
  return {
    ...instantResult(row, verdict, reason, bootId, wallMs),
    startedAtMs: look.startedAtMs || row.acceptedAtMs,
    output: look.output,
    outputBytes: look.outputBytes,
    requests: look.requests,
    bootIdBefore: look.bootId,
    ...(rebootedAsAsked === undefined ? {} : { rebootedAsAsked }),
  };
}

function lostVerdict(row: StepRow, look: Lost, bootId: string): Judgement {
  const stage = row.spec.kind === "hook" ? row.spec.stage : "PostMaintenance";
  const boots = look.bootId === bootId ? "" : `boot ${look.bootId} => ${bootId}`;
  const since = boots === "" ? "" : `; the host has booted anew since (${boots})`;
  switch (look.cut) {
    case "deadline":
      return {
        verdict: "timed-out",
        reason: `not done after ${row.spec.kind === "hook" ? row.spec.timeoutMs : 0} ms${since}`,
      };
    case "memory":
      return { verdict: "failed", reason: `${look.reason}${since}` };
    case "outside":
      // The executor's own last resort looks the same from outside.
      if (row.cancelReason !== undefined) return { verdict: "cancelled", reason: row.cancelReason };
      return { verdict: "interrupted", reason: `${stoppedOutside}${since}` };
    case "shutdown":
      return shutDown(stage, look.requests, boots);
    case "power":
      return {
        verdict: "interrupted",
        reason: `the host went down without a shutdown while the hook ran: power cut, crash or reset (${boots})`,
      };
  }
  const reason =
    boots === "" ? `${look.reason}; the host did not reboot` : `the host went down while the hook ran (${boots})`;
  return { verdict: "interrupted", reason };
}

/** The boot id has changed since the reboot was accepted: it happened. */
export function rebootedResult(row: StepRow, bootId: string, wallMs: number, host?: HostFacts): StepResult {
  const proof = [`booted anew (${row.bootId} => ${bootId})`];
  if (host !== undefined) {
    proof.push(`up for ${Math.round(host.uptimeMs / 1000)} s`);
    proof.push(
      host.kernelNewest === ""
        ? `kernel ${host.kernelRunning}`
        : `kernel: running ${host.kernelRunning}, newest installed is ${host.kernelNewest}`,
    );
  }
  return {
    ...instantResult(row, "ok", proof.join(", "), bootId, wallMs),
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
