import type { HostRun, Run } from "../../domain/run.ts";
import type { ScheduledTurn } from "../../domain/schedule.ts";
import { listed, outcomeWord, tally } from "../result.ts";
import { hasBegun } from "./fold.ts";

/** What an operator's word is waited for. */
export interface Pending {
  /** The wave that may begin with it. */
  readonly wave: number;
  /** Instances (names) that would be stopped for their hosts' turns. */
  readonly consents: readonly string[];
  /** For people: "wave 1 is over". */
  readonly why: string;
}

/** The first host of the run where one was chosen and is in the run. */
export function canaryOf({ hosts, spec }: Run): HostRun | undefined {
  return hosts.find((h) => h.name === spec.options.canary);
}

/**
 * Does the run need an operator's word before a further host begins? New consents on hosts still to come do in any case, whatever
 * `approve` says; a wave does when it is the next one and all before it are over. Undefined while nothing is needed, or not yet.
 */
export function pendingApproval(run: Run): Pending | undefined {
  const { approve } = run.spec.options;
  const toCome = run.hosts.filter((h) => !hasBegun(h));
  if (toCome.length === 0) return undefined;
  const turns = run.schedule?.turns.filter((t) => toCome.some((h) => h.name === t.host)) ?? [];
  const consents = turns.flatMap((t) => consentsMissing(run, t));
  const next = Math.min(...toCome.map((h) => h.wave));
  const why: string[] = [];
  let wave = run.approvedWave;
  if (approve === "each-wave" && next > run.approvedWave && isOver(run, next)) {
    wave = next;
    why.push(
      `wave ${before(run, next)} is over (${tally(
        run.hosts.filter((h) => h.outcome !== undefined),
        run.spec.options.op,
      )})`,
    );
  }
  const canary = canaryOf(run);
  if (approve === "after-canary" && canary?.outcome !== undefined && run.approvedWave <= canary.wave) {
    wave = Math.max(next, canary.wave + 1);
    why.push(`the canary ${canary.name} is ${outcomeWord(canary.outcome, run.spec.options.op)}`);
  }
  if (consents.length > 0) why.push(`${listed(consents)} would have to be stopped`);
  return why.length === 0 ? undefined : { wave, consents, why: why.join(", and ") };
}

/** Instances that would be stopped in a turn, and to which nobody has consented. */
export function consentsMissing({ spec }: Run, turn: ScheduledTurn | undefined): string[] {
  return (turn?.consentsNeeded ?? []).filter((name) => !spec.options.consentStop.includes(name));
}

/** Are all hosts of earlier waves over? An approval is about what they have shown, so nothing of the next wave begins before. */
export function isOver(run: Run, wave: number): boolean {
  return run.hosts.every((h) => h.wave >= wave || h.outcome !== undefined);
}

function before(run: Run, wave: number): number {
  return Math.max(1, ...run.hosts.filter((h) => h.wave < wave).map((h) => h.wave));
}
