import type { FleetView } from "../../domain/fleet.ts";
import type { HostRun, Run, StepRecord } from "../../domain/run.ts";
import type { Schedule } from "../../domain/schedule.ts";
import type { Aside } from "../../placement/index.ts";

const drains = new WeakMap<Schedule, ReadonlyMap<string, string>>();

/** The schedule with the turn of a host: a run that was planned anew while the turn went on has it in its first one only. */
function scheduleWith(run: Run, host: string): { schedule: Schedule; wave: number } | undefined {
  for (const schedule of [run.schedule, run.spec.schedule]) {
    const turn = schedule?.turns.find((t) => t.host === host);
    if (schedule && turn) return { schedule, wave: turn.wave };
  }
  return undefined;
}

/** Where the schedule of the run has an instance go when `from` is emptied; undefined where it says nothing of that. */
export function scheduledTarget(run: Run, uuid: string, from: string): string | undefined {
  const schedule = scheduleWith(run, from)?.schedule;
  if (schedule === undefined) return undefined;
  let targets = drains.get(schedule);
  if (targets === undefined) {
    targets = new Map(schedule.moves.filter((m) => m.kind === "drain").map((m) => [`${m.uuid} ${m.from}`, m.to]));
    drains.set(schedule, targets);
  }
  return targets.get(`${uuid} ${from}`);
}

/** Is it being emptied, or about to be? */
function isEmptied({ outcome, steps }: HostRun): boolean {
  const last = steps.at(-1);
  if (outcome !== undefined || last === undefined) return false;
  return last.step === "drain" ? last.result === undefined : last.step === "cordon" || isThrough(last);
}

function isThrough({ step, result }: StepRecord): boolean {
  return step === "gate" && result?.verdict === "ok";
}

/**
 * The moves by which the schedule makes room for `host`, and for others of its cluster that are emptied now, in their order. What was
 * tried since the drain of `host` began, and came to nothing, says why.
 */
export function asidesFor(run: Run, host: HostRun, fleet: FleetView): Aside[] {
  const going = run.hosts.filter((h) => h.cluster === host.cluster && (h === host || isEmptied(h)));
  const moves = new Set(
    going.flatMap((h) => {
      const found = scheduleWith(run, h.name);
      return found?.schedule.moves.filter((m) => m.kind === "make-room" && m.wave === found.wave) ?? [];
    }),
  );
  if (moves.size === 0) return [];
  const members = new Set(fleet.inventoriesOf(host.cluster).map((p) => p.host));
  const since = host.steps.findLast((s) => s.step === "drain")?.startedT ?? Number.POSITIVE_INFINITY;
  const failed = run.hosts
    .flatMap((h) => h.settled)
    .filter((s) => s.purpose === "make-room" && s.outcome !== "moved" && s.t >= since);
  return [...moves]
    .filter((m) => members.has(m.from))
    .map((m) => {
      const last = failed.findLast((s) => s.uuid === m.uuid && s.to === m.to);
      return last ? { ...m, failed: last.reason } : m;
    });
}
