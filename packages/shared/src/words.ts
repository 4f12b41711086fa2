/**
 * The words of the hook contract that agent, controller and CLI share. No decisions here.
 * Stage names and their order are CloudStack's (KVM rolling maintenance).
 */
export const stages = ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"] as const;
export type Stage = (typeof stages)[number];

/** What became of a step, as the agent knows it. The value is the operator's reading of it. */
export const verdicts = {
  ok: "done",
  avoid: "says that this host needs no maintenance",
  "no-hook": "there is no hook for this stage",
  failed: "failed",
  "timed-out": "ended by its deadline",
  cancelled: "ended on request",
  interrupted: "cut off from outside; its own verdict is not known",
} as const satisfies Record<string, string>;
export type Verdict = keyof typeof verdicts;

/** Exit status with which PreFlight and PreMaintenance say that a host needs no maintenance (CloudStack's). */
export const EXIT_AVOID = 70;

/** Bumped when agent and controller of different versions could misunderstand each other. */
export const PROTOCOL_VERSION = 1;

/** Identity of one execution; a repeated key never runs twice. */
export interface StepKey {
  readonly run: string;
  readonly host: string;
  readonly step: string;
  readonly attempt: number;
}

/** Text form of a key, for maps, journals and logs. Names cannot contain `/`, so it is unambiguous. */
export function keyText(key: StepKey): string {
  return `${key.run}/${key.host}/${key.step}/${key.attempt}`;
}

/** Host, run and operator names: they appear in certificates, file names and logs. */
export const NAME_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;

/** CloudStack's defaults (its global settings of the same meaning), in milliseconds. */
export const defaults = {
  timeoutMs: 1_800_000,
  pingIntervalMs: 10_000,
  maintenanceWaitMs: 1_800_000,
  maxOut: 1,
  agentWaitMs: 300_000,
  rebootWaitMs: 900_000,
  graceMs: 5_000,
} as const;
