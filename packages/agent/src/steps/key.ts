import {
  instanceVerbs,
  NAME_PATTERN,
  type StepKey,
  SUBJECT_PATTERN,
  serviceVerbs,
  stages,
  UUID_PATTERN,
} from "@slipway/shared";
import type { StepSpec } from "./types.ts";

const RUN_PATTERN = /^[a-z0-9-]{1,64}$/;
const STEPS: ReadonlySet<string> = new Set([...stages, "inspect", "reboot", "noop"]);

/** Why a key cannot be taken; undefined when it can. A malformed key would end in file names and logs. */
export function keyProblem(key: StepKey, host: string): string | undefined {
  if (!RUN_PATTERN.test(key.run)) return `run ${JSON.stringify(key.run)} is malformed`;
  if (!NAME_PATTERN.test(key.host)) return `host ${JSON.stringify(key.host)} is malformed`;
  if (key.host !== host) return `it is for host ${key.host}, this is ${host}`;
  if (!STEPS.has(key.step) && !isSubjectStep(key.step)) return `step ${JSON.stringify(key.step)} is not known`;
  if (!Number.isSafeInteger(key.attempt) || key.attempt < 1) return `attempt ${key.attempt} is no count from 1`;
  return undefined;
}

/** "VERB:SUBJECT", the name of a step that is done to an instance, a probe or a service. */
export function isSubjectStep(step: string): boolean {
  const [verb, subject] = split(step);
  if (Object.hasOwn(instanceVerbs, verb)) return UUID_PATTERN.test(subject);
  return (verb === "probe" || Object.hasOwn(serviceVerbs, verb)) && SUBJECT_PATTERN.test(subject);
}

function split(step: string): readonly [verb: string, subject: string] {
  const at = step.indexOf(":");
  return at < 0 ? [step, ""] : [step.slice(0, at), step.slice(at + 1)];
}

/** Why a specification does not belong to its key; undefined when it does. */
export function specProblem(key: StepKey, spec: StepSpec): string | undefined {
  const step = stepOf(spec);
  // How probes and services are told apart is the asker's affair: one host may have several of a kind.
  const named = spec.kind === "probe" || spec.kind === "service" ? split(key.step)[0] : key.step;
  return step === named ? undefined : `step ${key.step} came with the specification of ${step}`;
}

function stepOf(spec: StepSpec): string {
  switch (spec.kind) {
    case "hook":
      return spec.stage;
    case "instance":
      return `${spec.verb}:${spec.uuid}`;
    case "service":
      return spec.verb;
    default:
      return spec.kind;
  }
}

/** Hook environment of the contract: what a hook may know about the run it is part of. */
export function hookEnvironment(
  key: StepKey,
  bootId: string,
  labels: Readonly<Record<string, string>>,
): Record<string, string> {
  const env: Record<string, string> = {
    SLIPWAY_RUN: key.run,
    SLIPWAY_HOST: key.host,
    SLIPWAY_STAGE: key.step,
    SLIPWAY_ATTEMPT: String(key.attempt),
    SLIPWAY_BOOT_ID: bootId,
  };
  for (const name of Object.keys(labels).sort())
    env[`SLIPWAY_LABEL_${name.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`] = labels[name] ?? "";
  return env;
}

/** Inverse of keyText for keys that passed `keyProblem`. */
export function keyOf(id: string): StepKey {
  const [run = "", host = "", step = "", attempt = "0"] = id.split("/");
  return { run, host, step, attempt: Number(attempt) };
}
