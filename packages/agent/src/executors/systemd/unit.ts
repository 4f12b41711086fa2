import { createHash } from "node:crypto";
import { EXIT_AVOID } from "@slipway/shared";
import { type Claim, RUNNER_MARKER, type Spec } from "../../runner/files.ts";
import type { Look } from "../../steps/ports.ts";

/** Optional bounds of every step's unit, in systemd's notation; absent means the host's own defaults. */
export interface StepLimits {
  /** `MemoryMax=`; swap is then not used to get around it. */
  readonly memoryMax?: string;
  readonly tasksMax?: string;
  readonly cpuQuota?: string;
}

/**
 * Beyond the hook's time: systemd's clock starts with the runner, and where that lives it ends the hook by itself, to the
 * millisecond and with the whole story in the record. systemd is for the case that it does not.
 */
const START_MS = 2_000;
/** Beyond the hook's grace: time for the runner to record what became of it. */
const RECORD_MS = 5_000;

/** Of the state directory as well: two agents on one machine must not meet in a name. */
export function unitName(stepsDir: string, id: string): string {
  const hash = createHash("sha256").update(`${stepsDir}\0${id}`).digest("hex").slice(0, 16);
  return `slipway-step-${hash}.service`;
}

/** Name of the file in which ExecStopPost= records how systemd ended the unit of that invocation. */
export function stoppedName(invocation: string): string {
  return `stopped.${invocation}`;
}

/** Name of the program in a step's directory that systemd runs when everything in the unit is gone, agent or no agent. */
export const STOP_PROGRAM = "on-stop.sh";

/**
 * Shell and coreutils only: the runtime may be in the middle of its own upgrade. A file, because a command line with dollars or
 * semicolons does not survive a reload of systemd in a transient unit (252 reads its own escapes back as text). Nothing to say
 * if the runner has recorded the end.
 */
export const STOP_TEXT = `cd "\${0%/*}" || exit 0
[ -e result.json ] && exit 0
read -r boot < /proc/sys/kernel/random/boot_id
read -r uptime rest < /proc/uptime
file="stopped.$INVOCATION_ID"
{
  echo "result=$SERVICE_RESULT"
  echo "code=$EXIT_CODE"
  echo "status=$EXIT_STATUS"
  echo "system=$(timeout 2 systemctl is-system-running)"
  echo "boot=$boot"
  echo "uptime=$uptime"
  echo "time=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
} > "$file.tmp" && sync "$file.tmp" && mv "$file.tmp" "$file" && sync .
`;

export interface UnitRequest {
  readonly unit: string;
  readonly stepDir: string;
  readonly spec: Spec;
  readonly limits: StepLimits;
  /** Node, and the runner's program. */
  readonly runner: readonly [string, string];
}

/** Arguments of systemd-run. What to run is in the step's directory; none of it is in here. */
export function runArguments({ unit, stepDir, spec, limits, runner }: UnitRequest): string[] {
  const properties: Record<string, string> = {
    Type: "exec",
    // Gone from systemd when it ends, failed or not: the durable record is the step's directory.
    CollectMode: "inactive-or-failed",
    RequiresMountsFor: stepDir,
    RuntimeMaxSec: `${spec.timeoutMs + START_MS}ms`,
    TimeoutStopSec: `${spec.graceMs + RECORD_MS}ms`,
    KillMode: "control-group",
    SendSIGKILL: "yes",
    // The runner counts the kernel's kills and says so; systemd would end the unit and with it the one who can tell.
    OOMPolicy: "continue",
    SuccessExitStatus: String(EXIT_AVOID),
    StandardOutput: "journal",
    StandardError: "journal",
    // Otherwise the journal names the lines after the runner's program.
    SyslogIdentifier: "slipway-step",
    // In full: journald's own bound on its size is the limit. An interval of 0 would not be told to journald at all (252).
    LogRateLimitIntervalSec: "1s",
    LogRateLimitBurst: "1000000",
    ExecStopPost: `-/bin/sh ${stepDir}/${STOP_PROGRAM}`,
    ...(limits.memoryMax === undefined ? {} : { MemoryMax: limits.memoryMax, MemorySwapMax: "0" }),
    ...(limits.tasksMax === undefined ? {} : { TasksMax: limits.tasksMax }),
    ...(limits.cpuQuota === undefined ? {} : { CPUQuota: limits.cpuQuota }),
  };
  return [
    "--quiet",
    "--no-block",
    "--no-ask-password",
    `--unit=${unit}`,
    `--description=Slipway step ${spec.id.replace(/[^A-Za-z0-9/._-]/g, "?")}`,
    `--setenv=${RUNNER_MARKER}=${spec.marker}`,
    ...Object.entries(properties).map(([name, value]) => `--property=${name}=${value}`),
    "--",
    ...runner,
    stepDir,
    unit,
  ];
}

/** Whether a directory can be named in a unit: nothing in it that systemd would expand, escape or split at. */
export function isPlainPath(path: string): boolean {
  return /^[A-Za-z0-9/._+@:,=-]+$/.test(path);
}

/** `key=value` lines, as `systemctl show` and the stop record have them. */
export function parseLines(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) values.set(line.slice(0, at), line.slice(at + 1));
  }
  return values;
}

/** Whether anything of the unit still runs. What systemd calls by a name that is not known here may well do so. */
export function unitState(shown: ReadonlyMap<string, string>): "up" | "gone" | "unknown" {
  const load = shown.get("LoadState");
  const active = shown.get("ActiveState");
  if (load === undefined || active === undefined) return "unknown";
  if (load === "not-found") return "gone";
  return active === "inactive" || active === "failed" ? "gone" : "up";
}

/** What ended a unit whose runner recorded nothing; `stopped` is the record of ExecStopPost=, or what systemd still knows. */
export function cutOf(
  stopped: ReadonlyMap<string, string>,
  spec: Spec | undefined,
  claim: Claim,
): { reason: string; cut?: NonNullable<Extract<Look, { state: "lost" }>["cut"]> } {
  const unit = claim.unit ?? "the unit";
  const result = stopped.get("result");
  if (result === undefined || result === "") return { reason: `${unit} has ended and nobody recorded how` };
  if (result === "oom-kill") {
    const limit = spec?.memoryMax === undefined ? "" : ` (limit ${spec.memoryMax})`;
    return { reason: `killed: out of memory${limit}`, cut: "memory" };
  }
  if (stopped.get("system") === "stopping") return { reason: "the host was going down", cut: "shutdown" };
  if (result === "timeout") {
    // Both the deadline and a stop that was not obeyed end like this.
    const ranMs = Number(stopped.get("uptime")) * 1000 - Number(claim.startTime) * TICK_MS;
    const isDue = spec !== undefined && ranMs >= spec.timeoutMs;
    return { reason: `${unit} did not end in time`, cut: isDue ? "deadline" : "outside" };
  }
  const status = stopped.get("status") ?? "";
  if (stopped.get("code") === "exited") return { reason: `the hook's runner failed (exit status ${status})` };
  return { reason: `the hook's runner (process ${claim.pid}) was killed (${status || result})` };
}

/** The kernel's unit of process start times (proc(5)). */
const TICK_MS = 10;
