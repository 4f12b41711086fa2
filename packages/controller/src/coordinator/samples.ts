import type { ActionRecord, ActionRef } from "../domain/action.ts";
import { type DurationKind, type DurationSample, durationKinds } from "../domain/durations.ts";
import type { Recorded, StepRef } from "../domain/events.ts";
import { type HostRun, hostOf, type Run, type StepRecord } from "../domain/run.ts";
import { type StepName, steps } from "../domain/words.ts";
import { failureOf } from "../engine/turn.ts";

/**
 * What the log teaches about how long things take: of what ended well, and went on undisturbed, by the engine clock. Not of what was in
 * hand when a controller took over (the clock had stood still), what an operator paused, settled, answered for or aborted meanwhile, nor of
 * migrations that copy disks.
 */
export class Samples {
  /** Engine time at which a run was paused, or resumed, last; in between the controller does nothing new for it. */
  readonly #pausedT = new Map<string, number>();

  /** At most one a recorded event. `sinceT`: engine time at which this controller took over. */
  of(before: Run | undefined, after: Run, { event, t }: Recorded, sinceT: number): DurationSample | undefined {
    const { run } = after.spec;
    const isStill = event.type === "run-paused" && !event.finishes;
    if (isStill || event.type === "run-resumed") this.#pausedT.set(run, t);
    if (event.type === "run-ended") this.#pausedT.delete(run);
    if (event.type !== "step-ended" && event.type !== "action-ended") return undefined;
    const old = before && hostOf(before, event.host);
    const host = hostOf(after, event.host);
    if (!old || !host || after.abort || host.directed || event.result.verdict !== "ok") return undefined;
    const isPaused = after.paused !== undefined && !after.paused.finishes;
    const undisturbed = (fromT: number) =>
      fromT > sinceT && !isPaused && (this.#pausedT.get(run) ?? Number.NEGATIVE_INFINITY) < fromT;
    if (event.type === "action-ended") {
      const move = findAction(host, event);
      return move && findAction(old, event)?.result === undefined && move.startedT > sinceT
        ? migrationSample(host, move)
        : undefined;
    }
    const step = findStep(host, event);
    if (!step || findStep(old, event)?.result !== undefined || step.abandoned) return undefined;
    if (event.step === "uncordon") return awaySample(after, host, step, undisturbed);
    const isCounted = steps[step.step].by === "agent" ? step.startedT > sinceT : undisturbed(step.startedT);
    return isRemembered(step.step) && isCounted ? sample(host, step.step, t - step.startedT) : undefined;
  }
}

function isRemembered(step: StepName): step is StepName & DurationKind {
  return Object.hasOwn(durationKinds, step);
}

function sample({ name, cluster }: HostRun, kind: DurationKind, ms: number): DurationSample {
  return { host: name, cluster, kind, ms: Math.max(0, ms) };
}

/** From the end of the drain to the end of the cordon, if the work was done and nothing went wrong in between. */
function awaySample(
  run: Run,
  host: HostRun,
  uncordon: StepRecord,
  undisturbed: (fromT: number) => boolean,
): DurationSample | undefined {
  const { op } = run.spec.options;
  if (op !== "hooks" && op !== "reboot") return undefined;
  const walk = host.steps.slice(host.from);
  const drained = walk.findIndex((s) => s.step === "drain" && s.result?.verdict === "ok");
  const drain = walk[drained];
  const since = walk.slice(drained);
  const work = op === "reboot" ? "reboot" : "Maintenance";
  const isDone = since.some((s) => s.step === work && s.result?.verdict === "ok");
  if (drain?.endedT === undefined || uncordon.endedT === undefined || !isDone) return undefined;
  if (!undisturbed(drain.endedT) || since.some((s) => s.overridden || failureOf(s) !== undefined)) return undefined;
  return sample(host, op === "reboot" ? "away-reboot" : "away", uncordon.endedT - drain.endedT);
}

/** Of a move that has ended. Its size was told when the target was asked to admit the instance. */
function migrationSample(host: HostRun, move: ActionRecord): DurationSample | undefined {
  const { spec, startedT, endedT } = move;
  if (move.verb !== "move" || move.abandoned || endedT === undefined || spec.move?.storage !== "") return undefined;
  const admit = host.actions.findLast(
    (a) => a.verb === "admit" && a.subject === move.subject && a.startedT <= startedT,
  );
  const needs = admit?.spec.instance;
  const mib = needs && Math.max(needs.memoryMaxMib, needs.memoryMib);
  if (!mib || spec.to === undefined) return undefined;
  return {
    ...{ host: spec.from ?? move.on, cluster: host.cluster, kind: "migration", ms: Math.max(0, endedT - startedT) },
    ...{ mib, to: spec.to },
  };
}

function findStep(host: HostRun, { step, attempt }: StepRef): StepRecord | undefined {
  return host.steps.find((s) => s.step === step && s.attempt === attempt);
}

function findAction(host: HostRun, { verb, on, subject, attempt }: ActionRef): ActionRecord | undefined {
  return host.actions.find((a) => a.verb === verb && a.on === on && a.subject === subject && a.attempt === attempt);
}
