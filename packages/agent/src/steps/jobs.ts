import { keyText, type StepKey } from "@slipway/shared";
import type { JobLook, JobResult, Jobs, Ports } from "./ports.ts";
import type { InstanceSpec, ProbeSpec, ServiceSpec, StepResult, StepRow, StepSpec } from "./types.ts";
import { instantResult } from "./verdict.ts";

/** Steps that a port of jobs does: no hook, no process of their own. */
export type JobSpec = InstanceSpec | ProbeSpec | ServiceSpec;

/** A port of jobs with one job picked. */
export interface Job {
  start(): void;
  resume(): void;
  look(): JobLook;
  cancel(reason: string): void;
}

/** Verbs that bring an instance onto this host. */
const arrivals: ReadonlySet<string> = new Set(["admit", "start"]);

export function isJob(spec: StepSpec): spec is JobSpec {
  return spec.kind === "instance" || spec.kind === "probe" || spec.kind === "service";
}

/** Undefined where the host has nobody who does such steps. */
export function jobOf(ports: Ports, key: StepKey, spec: JobSpec): Job | undefined {
  switch (spec.kind) {
    case "instance":
      return picked(ports.platform, key, spec);
    case "probe":
      return picked(ports.probes, key, spec);
    case "service":
      return picked(ports.services, key, spec);
  }
}

function picked<Spec>(jobs: Jobs<Spec> | undefined, key: StepKey, spec: Spec): Job | undefined {
  if (jobs === undefined) return undefined;
  const id = keyText(key);
  return {
    start: () => jobs.start(id, spec),
    resume: () => jobs.resume(id, spec),
    look: () => jobs.look(id),
    cancel: (reason) => jobs.cancel(id, reason),
  };
}

/** Drops the result of a step, whoever had it. */
export function forgetJob({ platform, probes, services }: Ports, key: StepKey): void {
  for (const jobs of [platform, probes, services]) jobs?.forget(keyText(key));
}

/** Why this host does not take a step; undefined when it does. */
export function jobProblem(ports: Ports, key: StepKey, spec: JobSpec): string | undefined {
  if (jobOf(ports, key, spec) === undefined) return noPort(spec);
  // Looking changes nothing, and tells the generation to whoever has an old one.
  if (spec.kind !== "instance" || spec.verb === "look") return undefined;
  const { journal } = ports;
  const known = journal.generation(spec.uuid);
  if (spec.generation < known)
    return `refused: generation ${spec.generation} of instance ${spec.name} is over, this host knows of ${known}; look at it again`;
  const mark = journal.cordon();
  if (arrivals.has(spec.verb) && mark !== undefined && !holders(mark.holder).includes(key.run)) {
    const why = mark.reason === "" ? "" : ` (${mark.reason})`;
    return `refused: this host is cordoned by ${mark.holder}${why}; choose another one, or uncordon it`;
  }
  const busy = journal.open().find(({ spec: other }) => {
    return other.kind === "instance" && other.verb !== "look" && other.uuid === spec.uuid;
  });
  return busy && `refused: ${keyText(busy.key)} is still in hand for instance ${spec.name}`;
}

function noPort(spec: JobSpec): string {
  if (spec.kind === "instance")
    return "this host has no platform: its agent does nothing with instances; set slipway.platform in its agent.properties";
  return spec.kind === "probe" ? "this host has no probes" : "this host has no services that its agent works with";
}

function holders(holder: string): readonly string[] {
  return holder.split(",").map((one) => one.trim());
}

/** Result of a job that ended; `generation` is what the journal knows of its instance. */
export function jobResult(row: StepRow, result: JobResult, generation: number, bootId: string): StepResult {
  const { verdict, reason, output, startedAtMs, endedAtMs, durationMs, instance, health } = result;
  return {
    ...instantResult(
      row,
      verdict,
      verdict === "cancelled" ? reason || (row.cancelReason ?? "") : reason,
      bootId,
      endedAtMs,
    ),
    startedAtMs,
    durationMs,
    output,
    outputBytes: new TextEncoder().encode(output).length,
    ...(instance === undefined ? {} : { instance: { ...instance, generation } }),
    ...(health === undefined ? {} : { health }),
  };
}

/** Result of a job that this agent cannot look at any more. */
export function portGoneResult(row: StepRow, spec: JobSpec, bootId: string, wallMs: number): StepResult {
  const reason = `${noPort(spec)}; what became of the step is not known`;
  return instantResult(row, "interrupted", reason, bootId, wallMs);
}
