import { type Run, reportOf } from "@slipway/controller/internals";
import { naturalCompare } from "@slipway/shared";
import { whereabouts } from "../script/log.ts";
import { deviations, movesOf } from "./compare.ts";
import { type Played, START_MS } from "./play.ts";

/** What became of a simulated run. Durations in milliseconds. */
export interface Summary {
  /** succeeded, nothing-done, failed, aborted; or waiting: it needs an operator; or stopped: something was broken. */
  readonly outcome: string;
  /** Of the run's report, or what an operator would have to do. */
  readonly details: string;
  /** It ended well, and nothing was broken on the way. */
  readonly success: boolean;
  readonly hosts: readonly { readonly host: string; readonly outcome: string; readonly reason: string }[];
  readonly duration: { readonly plannedMs: number; readonly p95Ms: number; readonly simulatedMs: number };
  readonly moves: { readonly planned: number; readonly made: number };
  /** In what it went otherwise than the plan: order, waves, moves and targets. */
  readonly deviations: readonly string[];
  /** In what the simulated controller would have planned otherwise; the run went by the plan. */
  readonly planDifferences: readonly string[];
  readonly blockers: readonly string[];
  /** Faults whose moment never came. */
  readonly faultsUnmet: readonly string[];
  /** Invariants that were broken: errors of Slipway. */
  readonly violations: readonly string[];
  /** Host -> its instances at the end. */
  readonly instances: Readonly<Record<string, readonly string[]>>;
}

export function summaryOf(played: Played): Summary {
  const { run, planned, world, violations, waitsFor } = played;
  const report = reportOf(run);
  const isOver = run.state === "ended";
  return {
    outcome: isOver ? report.outcome : violations.length > 0 ? "stopped" : "waiting",
    details: isOver ? report.details : waitsFor,
    success: isOver && report.success && violations.length === 0,
    hosts: report.hosts
      .map((h) => ({ host: h.name, outcome: outcomeOf(h.outcome, run), reason: h.reason }))
      .sort((a, b) => naturalCompare(a.host, b.host)),
    duration: {
      plannedMs: planned.expectedMs,
      p95Ms: planned.p95Ms,
      simulatedMs: run.endedAt === undefined ? played.lastMs - START_MS : run.endedAt - run.startedAt,
    },
    moves: { planned: planned.moves.filter((m) => m.kind !== "level").length, made: movesOf(run).length },
    deviations: deviations(planned, run),
    planDifferences: played.differences,
    blockers: played.blockers,
    faultsUnmet: played.unmet,
    violations,
    instances: Object.fromEntries(whereabouts(world)),
  };
}

function outcomeOf(outcome: string, run: Run): string {
  return run.state !== "ended" && outcome === "waiting" ? "to come" : outcome;
}
