import { NAME_PATTERN, type StepKey, stages } from "@slipway/shared";
import type { StepSpec } from "./types.ts";

const RUN_PATTERN = /^[a-z0-9-]{1,64}$/;
const STEPS: ReadonlySet<string> = new Set([...stages, "inspect", "reboot", "noop"]);

/** Why a key cannot be taken; undefined when it can. A malformed key would end in file names and logs. */
export function keyProblem(key: StepKey, host: string): string | undefined {
  if (!RUN_PATTERN.test(key.run)) return `run ${JSON.stringify(key.run)} is malformed`;
  if (!NAME_PATTERN.test(key.host)) return `host ${JSON.stringify(key.host)} is malformed`;
  if (key.host !== host) return `it is for host ${key.host}, this is ${host}`;
  if (!STEPS.has(key.step)) return `step ${JSON.stringify(key.step)} is not known`;
  if (!Number.isSafeInteger(key.attempt) || key.attempt < 1) return `attempt ${key.attempt} is no count from 1`;
  return undefined;
}

/** Why a specification does not belong to its key; undefined when it does. */
export function specProblem(key: StepKey, spec: StepSpec): string | undefined {
  const step = spec.kind === "hook" ? spec.stage : spec.kind;
  return step === key.step ? undefined : `step ${key.step} came with the specification of ${step}`;
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
