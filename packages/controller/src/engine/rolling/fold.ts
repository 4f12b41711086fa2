import type { RunEvent } from "../../domain/events.ts";
import type { HostRun, Run } from "../../domain/run.ts";
import type { Schedule } from "../../domain/schedule.ts";

/** Has its turn in this attempt begun, or is it over? */
export function hasBegun(host: HostRun): boolean {
  return host.outcome !== undefined || host.cordoned || host.steps.length > host.from || host.resumeAt !== undefined;
}

/** Has it gone out in this attempt, or does it go on behind that? */
export function isOut(host: HostRun): boolean {
  return host.cordoned || host.resumeAt !== undefined || host.steps.slice(host.from).some((s) => s.step === "cordon");
}

/** From here on the run goes by `schedule`: hosts to come are in its order and waves, behind those that have begun. */
export function replanned(run: Run, schedule: Schedule, t: number): Run {
  const turns = new Map(schedule.turns.map((turn, i) => [turn.host, { i, wave: turn.wave }]));
  const isToCome = (h: HostRun) => !hasBegun(h) && turns.has(h.name);
  const toCome = run.hosts
    .filter(isToCome)
    .map((h) => ({ ...h, wave: turns.get(h.name)?.wave ?? h.wave }))
    .sort((a, b) => (turns.get(a.name)?.i ?? 0) - (turns.get(b.name)?.i ?? 0));
  return { ...run, schedule, scheduledT: t, hosts: [...run.hosts.filter((h) => !isToCome(h)), ...toCome] };
}

/** What an operator has consented to counts as if the run had been started with it. */
export function approved(run: Run, { wave, consents }: Extract<RunEvent, { type: "run-approved" }>): Run {
  const approvedWave = Math.max(run.approvedWave, wave);
  if (consents.length === 0) return { ...run, approvedWave };
  const consentStop = [...new Set([...run.spec.options.consentStop, ...consents])];
  return { ...run, approvedWave, spec: { ...run.spec, options: { ...run.spec.options, consentStop } } };
}
