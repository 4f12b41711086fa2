import { type HostRun, type LedgerRecord, type Run, type StepRecord, stepInHand } from "../domain/run.ts";
import { isStage, type RunOptions } from "../domain/words.ts";

/** One execution of a hook, for reports. Names are those of `slipway report --format json`. */
export interface StageReport {
  readonly stage: string;
  readonly attempt: number;
  readonly verdict: string;
  readonly exitCode?: number;
  readonly signal: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly durationMs: number;
  readonly reason: string;
  readonly output: string;
}

/** The result of a run; `success`, `details`, `hostsupdated` and `hostsskipped` are CloudStack's fields. */
export interface RunReport {
  readonly run: string;
  readonly outcome: string;
  readonly success: boolean;
  readonly details: string;
  readonly hostsupdated: readonly {
    hostid: string;
    hostname: string;
    startdate: string;
    enddate: string;
    output: string;
  }[];
  readonly hostsskipped: readonly { hostid: string; hostname: string; reason: string }[];
  readonly hosts: readonly {
    name: string;
    outcome: string;
    reason: string;
    reasonCode: string;
    stages: readonly StageReport[];
    /** From its cordon until it was back in service by the engine's clock, in milliseconds; 0 when it did not go out and come back. */
    outMs: number;
    /** As the schedule of the run had it, and its 95th percentile; 0 without one. */
    expectedMs: number;
    p95Ms: number;
  }[];
  readonly startedAt: string;
  readonly endedAt: string;
  readonly startedBy: string;
  readonly op: RunOptions["op"];
  /** What this run changed and what still stands. */
  readonly ledger: readonly LedgerRecord[];
}

const iso = (ms: number | undefined) => (ms === undefined || ms <= 0 ? "" : new Date(ms).toISOString());

export function stagesOf(host: HostRun): StageReport[] {
  return host.steps.filter((s) => isStage(s.step) || s.step === "reboot").map(stageReport);
}

function stageReport(s: StepRecord): StageReport {
  const r = s.result;
  return {
    stage: s.step,
    attempt: s.attempt,
    verdict: r?.verdict ?? (s.abandoned ? "unknown" : "running"),
    ...(r?.exitCode === undefined ? {} : { exitCode: r.exitCode }),
    signal: r?.signal ?? "",
    startedAt: iso(r?.startedAtMs || s.startedAt),
    endedAt: iso(r?.endedAtMs),
    durationMs: r?.durationMs ?? 0,
    reason: s.abandoned ? s.abandoned.reason : (r?.reason ?? ""),
    output: r?.output ?? "",
  };
}

function outMs({ steps }: HostRun): number {
  const back = steps.findLast((s) => s.step === "uncordon" && s.result?.verdict === "ok");
  // A retry may have found it cordoned: it has been out since the first time.
  const earlier = back ? steps.slice(0, steps.indexOf(back)) : [];
  const since = earlier.findLastIndex((s) => s.step === "uncordon" && s.result?.verdict === "ok") + 1;
  const out = earlier.slice(since).find((s) => s.step === "cordon");
  return out && back?.endedT !== undefined ? Math.max(0, back.endedT - out.startedT) : 0;
}

function expectedOf(run: Run, { name }: HostRun): { expectedMs: number; p95Ms: number } {
  // What was over before a run was planned anew is in its first schedule.
  const turn = [run.schedule, run.spec.schedule].flatMap((s) => s?.turns.find((t) => t.host === name) ?? [])[0];
  const { expectedMs = 0, p95Ms = 0 } = turn ?? {};
  return { expectedMs, p95Ms };
}

/**
 * The report of a run, finished or not. A host that failed is in CloudStack's `hostsskipped` (its name for every host that was
 * not updated although the run reached it); `output` of an updated host is its last Maintenance hook's.
 */
export function reportOf(run: Run): RunReport {
  return {
    run: run.spec.run,
    outcome: run.outcome ?? run.state,
    success: run.outcome === "succeeded" || run.outcome === "nothing-done",
    details: run.details,
    hostsupdated: run.hosts
      .filter((h) => h.outcome === "updated")
      .map((h) => ({
        hostid: h.name,
        hostname: h.name,
        startdate: iso(h.beganAt),
        enddate: iso(h.endedAt),
        output: h.steps.findLast((s) => s.step === "Maintenance")?.result?.output ?? "",
      })),
    hostsskipped: run.hosts
      .filter((h) => h.outcome === "skipped" || h.outcome === "failed")
      .map((h) => ({ hostid: h.name, hostname: h.name, reason: h.reason })),
    hosts: run.hosts.map((h) => ({
      name: h.name,
      outcome: h.outcome ?? (stepInHand(h) ? "in-hand" : "waiting"),
      reason: h.reason,
      reasonCode: h.code,
      stages: stagesOf(h),
      outMs: outMs(h),
      ...expectedOf(run, h),
    })),
    startedAt: iso(run.startedAt),
    endedAt: iso(run.endedAt),
    startedBy: run.spec.startedBy,
    op: run.spec.options.op,
    ledger: run.ledger.filter((l) => l.closedAt === undefined),
  };
}
