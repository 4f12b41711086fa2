import { verdicts } from "@slipway/shared";
import type { HostRun, Run, StepRecord } from "../domain/run.ts";
import type { Outcome, StepName } from "../domain/words.ts";

/** What a host that has no step in hand does next. */
export type Next =
  | { readonly kind: "step"; readonly step: StepName }
  | { readonly kind: "checked" }
  | { readonly kind: "end"; readonly outcome: Outcome; readonly code: string; readonly reason: string };

const step = (name: StepName): Next => ({ kind: "step", step: name });
const end = (outcome: Outcome, code: string, reason: string): Next => ({ kind: "end", outcome, code, reason });

/** Code of a host that a run emptied and left out of service, as it was asked to. */
export const DRAINED = "drained";

/** Code of a gate question that was taken back: no failure of the host. */
export const WITHDRAWN = "withdrawn";

/** What the pool file has on a host, beyond its turn as such. */
export interface Concern {
  /** There are replicated systems: the gate is asked again when the host is empty, and whether they have healed when it is back. */
  readonly isWatched: boolean;
  /** Services are stopped for its turn. */
  readonly hasServices: boolean;
  /** Services of it stand in the ledger as stopped, by this run or one that is over. */
  readonly isOwed: boolean;
}

const noConcern: Concern = { isWatched: false, hasServices: false, isOwed: false };

/**
 * The turn of a host as a walk over its own log:
 *
 *   preflight: inspect -> PreFlight -> (checked)
 *   turn:      inspect -> PreMaintenance -> gate -> cordon -> drain [-> recheck] [-> services-stop]
 *              -> Maintenance [-> reboot [[-> recheck] [-> services-stop] -> Maintenance]]
 *              [-> services-start] [-> heal] -> restore -> uncordon -> PostMaintenance -> updated
 *              (a run whose work is a reboot has it in the place of Maintenance)
 *
 * Only called when no step is in hand. The first step that failed in the current attempt is the cause of the end; steps
 * after it put back what was changed.
 */
export function nextOf(run: Run, host: HostRun, concern: Concern = noConcern): Next {
  const walk = host.steps.slice(host.from);
  const last = walk.at(-1);
  if (host.directed) {
    const { action, who, reason } = host.directed;
    const why = `${who}${reason ? `: ${reason}` : ""}`;
    const undo = putBack(host, last, { ...concern, isWatched: false });
    if (undo) return undo;
    if (host.cordoned) return stays(last, `${action} asked by ${why}`);
    return action === "skip"
      ? end("skipped", "operator-skip", `skipped by ${why}`)
      : end("updated", "operator-done", `marked as done by ${why}`);
  }
  if (run.abort) return aborted(run, host, walk, { ...concern, isWatched: false });
  const cause = walk.find((s) => failureOf(s) !== undefined && s.abandoned?.code !== WITHDRAWN);
  if (cause) {
    const failure = failureOf(cause) ?? { code: "failed", reason: "" };
    let { reason } = failure;
    if (undoes(run, host, walk, cause)) {
      // What healed before its services were touched has not to heal from anything.
      const isWatched = concern.isWatched && walk.some((s) => s.step === "services-stop" || isWork(s.step));
      const undo = putBack(host, cause === last ? undefined : last, { ...concern, isWatched });
      if (undo) return undo;
      const second = last && last !== cause ? failureOf(last) : undefined;
      if (host.cordoned && second) reason += `; ${second.reason}`;
    }
    return end("failed", failure.code, reason + (host.cordoned ? "; the host stays cordoned" : ""));
  }
  const alone = withoutStages(run, host, last, concern);
  if (alone) return alone;
  const isOut = host.cordoned || walk.some((s) => s.step === "cordon" || s.step === host.resumeAt);
  if (run.state === "stopping" && host.checked && !isOut)
    return end("untouched", "not-reached", "the run stopped before the host went out");
  return host.checked ? afterInTurn(run, host, walk, last, concern) : afterInPreflight(last);
}

/** The walk of runs that do no maintenance: they need no hook, so that nothing has to be checked before. */
function withoutStages(run: Run, host: HostRun, last: StepRecord | undefined, concern: Concern): Next | undefined {
  const { op } = run.spec.options;
  if (op === "hooks" || op === "reboot") return undefined;
  if (!host.checked) return { kind: "checked" };
  if (run.state === "stopping" && (last === undefined || last.step === "gate"))
    return end("untouched", "not-reached", "the run stopped before the host's turn");
  if (last === undefined) {
    if (op === "restore") return comesBack(concern);
    return step(op === "drain" ? (host.resumeAt ?? "gate") : op);
  }
  switch (last.step) {
    case "gate":
      return step("cordon");
    case "cordon":
      return step("drain");
    case "drain":
      if (concern.hasServices) return leaves(concern, "drain", "services-stop");
      return drained(host);
    case "recheck":
      return last.result ? step("services-stop") : step("recheck");
    case "services-stop":
      return last.result ? drained(host) : step("recheck");
    case "services-start":
      return comesBack(concern, last.step);
    case "heal":
      return step("restore");
    case "restore":
      return step("uncordon");
    case "uncordon":
      return end("updated", "restored", "");
    default:
      return end("updated", "moved", "");
  }
}

function drained(host: HostRun): Next {
  return end("updated", DRAINED, `drained; slipway restore ${host.name} brings it back`);
}

/** From the empty host to its work. */
function leaves({ isWatched, hasServices }: Concern, last: StepName, work: StepName): Next {
  if (last === "drain" && isWatched) return step("recheck");
  return step(hasServices && last !== "services-stop" ? "services-stop" : work);
}

/** From the work, or from nothing, to the instances' return. */
function comesBack({ isWatched, isOwed }: Concern, last?: StepName): Next {
  if (isOwed && last !== "services-start" && last !== "heal") return step("services-start");
  return step(isWatched && last !== "heal" ? "heal" : "restore");
}

function afterInPreflight(last: StepRecord | undefined): Next {
  if (last === undefined) return step("inspect");
  if (last.step === "inspect") return step("PreFlight");
  return avoided(last) ?? { kind: "checked" };
}

function afterInTurn(
  run: Run,
  host: HostRun,
  walk: readonly StepRecord[],
  last: StepRecord | undefined,
  concern: Concern,
): Next {
  const { resumeAt = "inspect" } = host;
  // A host that is out may have booted since: what had been taken down with it may be up again, and others down.
  if (last === undefined) return isWork(resumeAt) ? leaves(concern, "drain", resumeAt) : step(resumeAt);
  switch (last.step) {
    case "inspect":
      return withoutWork(run, last) ?? step("PreMaintenance");
    case "PreMaintenance":
      return avoided(last) ?? step("gate");
    case "gate":
      return step("cordon");
    case "cordon":
      return step("drain");
    case "drain":
    case "recheck":
    case "services-stop":
      // Withdrawn: the answer that it rested on had grown old.
      if (last.step !== "drain" && !last.result) return step("recheck");
      return leaves(concern, last.step, workOf(run, host, walk));
    case "Maintenance":
      if (rebootDue(run, walk)) return step("reboot");
      return last.result?.rebootedAsAsked && rerunDue(walk)
        ? leaves(concern, "drain", "Maintenance")
        : comesBack(concern);
    case "reboot":
      return rerunDue(walk) ? leaves(concern, "drain", "Maintenance") : comesBack(concern);
    case "services-start":
      return comesBack(concern, last.step);
    case "heal":
      return step("restore");
    case "restore":
      return step("uncordon");
    case "uncordon":
      return step("PostMaintenance");
    case "PostMaintenance":
      return end("updated", "updated", "");
    case "PreFlight":
    case "move":
      throw new Error(`host ${host.name} of run ${run.spec.run}: PreFlight inside a turn`);
  }
}

/** What an empty host is to be worked on with: what a retry goes on with, else what the run is for. */
function workOf(run: Run, { resumeAt }: HostRun, walk: readonly StepRecord[]): StepName {
  if (resumeAt !== undefined && isWork(resumeAt) && !walk.some((s) => isWork(s.step))) return resumeAt;
  return run.spec.options.op === "reboot" ? "reboot" : "Maintenance";
}

/** Why a host has nothing to be done on it. */
function withoutWork(run: Run, inspect: StepRecord): Next | undefined {
  const { op, reboot } = run.spec.options;
  if (op === "hooks")
    return inspect.result?.hooks?.maintenance === false
      ? end("skipped", "no-maintenance-hook", "there is no Maintenance hook on the host")
      : undefined;
  return reboot === "if-required" && !inspect.result?.rebootWanted
    ? end("skipped", "no-reboot-required", "the host does not need a reboot")
    : undefined;
}

/** How often a host may reboot within one attempt at its turn: for the stage, and for its one rerun. More is a loop. */
const MAX_REBOOTS = 2;

/**
 * Is a reboot due after Maintenance? Because a stage since the last one asked for it (PreMaintenance's wish is met here, when
 * the host is out), because the distribution wants it, or because every host is to be rebooted.
 */
function rebootDue(run: Run, walk: readonly StepRecord[]): boolean {
  const { reboot } = run.spec.options;
  const since = walk.slice(walk.findLastIndex(isReboot) + 1);
  const first = since.length === walk.length;
  if (reboot === "always" && first) return true;
  if (reboot === "if-required" && first && since.some((s) => s.step === "Maintenance" && s.result?.rebootWanted))
    return true;
  return since.some((s) => s.result?.requests.rebootRequired === true) && walk.filter(isReboot).length < MAX_REBOOTS;
}

/** A reboot that Slipway made, or one that the stage brought about as it had announced. */
function isReboot(s: StepRecord): boolean {
  return s.step === "reboot" || s.result?.rebootedAsAsked === true;
}

/** Does Maintenance want to run again now that the host has rebooted? It may, once. */
function rerunDue(walk: readonly StepRecord[]): boolean {
  const maintenance = walk.findLast((s) => s.step === "Maintenance");
  return maintenance?.result?.requests.rerunAfterReboot === true && walk.filter(isReboot).length === 1;
}

/** PreFlight and PreMaintenance may say that there is nothing to do: exit status 70, or `skip=reason`. */
function avoided(last: StepRecord): Next | undefined {
  if (last.result?.verdict === "avoid")
    return end("skipped", "no-maintenance-needed", `${last.step} set to avoid maintenance (exit status 70)`);
  const skip = last.result?.requests.skip;
  return skip ? end("skipped", "hook-asked", `${last.step} asked to skip the host: ${skip}`) : undefined;
}

/**
 * Services, instances, then the cordon; undefined when there is nothing left to put back or putting back has been tried. Nothing
 * comes back to a host whose services do not run.
 */
function putBack(host: HostRun, last: StepRecord | undefined, concern: Concern): Next | undefined {
  if (!host.cordoned || last?.step === "uncordon") return undefined;
  if (last?.step === "restore") return step("uncordon");
  if (last?.step === "services-start" && failureOf(last)) return undefined;
  return comesBack(concern, last?.step);
}

function isWork(name: StepName): boolean {
  return name === "Maintenance" || name === "reboot";
}

/** Is the host put back into service after this failure? A host whose verdict is not known never is. */
function undoes(run: Run, host: HostRun, walk: readonly StepRecord[], cause: StepRecord): boolean {
  const { onFailure } = run.spec.options;
  switch (cause.step) {
    case "cordon":
      return true;
    case "drain":
    case "services-stop":
      // Work that has begun is not undone by putting things back.
      return onFailure === "uncordon" || !hasBegun(host, walk);
    case "Maintenance":
    case "reboot":
      return onFailure === "uncordon" && cause.abandoned === undefined;
    default:
      return false;
  }
}

/** Has its work begun, in this attempt or in the one that it goes on with? */
function hasBegun({ resumeAt }: HostRun, walk: readonly StepRecord[]): boolean {
  return walk.some((s) => isWork(s.step)) || (resumeAt !== undefined && isWork(resumeAt));
}

/**
 * Must an abort leave the host out? Its verdict is not known, or the work failed by itself and the run leaves such hosts
 * cordoned. A hook that the abort cut off is no failure of the host: putting things back is what the operator asked for.
 */
function leavesBroken(run: Run, s: StepRecord): boolean {
  if (s.abandoned) return true;
  return failureOf(s) !== undefined && s.result?.verdict !== "cancelled" && run.spec.options.onFailure === "cordoned";
}

/** It could not be put back, or must not be: `cause` says why, `after` on what occasion. */
function stays(cause: StepRecord | undefined, after: string): Next {
  const failure = (cause && failureOf(cause)) ?? { code: "failed", reason: "it could not be put back" };
  return end("failed", failure.code, `${failure.reason}; ${after}; the host stays cordoned`);
}

function aborted(run: Run, host: HostRun, walk: readonly StepRecord[], concern: Concern): Next {
  const last = walk.at(-1);
  const by = `the run was aborted by ${run.abort?.who ?? "an operator"}`;
  const work = walk.some((s) => isWork(s.step)) || !hasBegun(host, walk) ? walk : host.steps;
  const broken = work.findLast((s) => isWork(s.step) && leavesBroken(run, s));
  if (host.cordoned && broken) return stays(broken, by);
  const undo = putBack(host, last, concern);
  if (undo) return undo;
  if (host.cordoned) return stays(last, by);
  if (!host.began) return end("untouched", "aborted", by);
  const aim = run.spec.options.op === "reboot" ? "reboot" : "Maintenance";
  if (!walk.some((s) => s.step === aim))
    return end("skipped", "aborted", `${by} before ${aim === "reboot" ? "the reboot" : aim}`);
  const failed = walk.findLast((s) => isWork(s.step) && failureOf(s));
  const failure = failed && failureOf(failed);
  // The reason of a cancelled hook is the abort itself.
  const cut = failed?.result?.verdict === "cancelled" ? `${failed.step}: ended before it was done` : failure?.reason;
  if (failure) return end("failed", failure.code, `${cut}; ${by}`);
  const post = walk.findLast((s) => s.step === "PostMaintenance");
  const postFailure = post && failureOf(post);
  if (postFailure) return end("failed", postFailure.code, postFailure.reason);
  return end("updated", "updated", post ? "" : `${by} before PostMaintenance`);
}

/** Why a step counts as failed; undefined when it does not (or has not ended). */
export function failureOf(s: StepRecord): { code: string; reason: string } | undefined {
  if (s.abandoned) return { code: s.abandoned.code, reason: s.abandoned.reason };
  const result = s.result;
  if (result === undefined) return undefined;
  if (s.step === "inspect" && result.verdict === "ok") {
    const problems = result.hooks?.problems ?? [];
    return problems.length > 0 ? { code: "invalid-hook", reason: problems.join("; ") } : undefined;
  }
  if (result.verdict === "ok" || result.verdict === "avoid") return undefined;
  if (result.verdict === "no-hook" && s.step !== "Maintenance") return undefined;
  return {
    code: `${s.step.replace(/([a-z])([A-Z])/g, "$1-$2").toLowerCase()}-${result.verdict}`,
    reason: `${s.step}: ${result.reason || verdicts[result.verdict]}`,
  };
}
