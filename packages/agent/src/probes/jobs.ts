import type { SystemHealth } from "@slipway/shared";
import { AsyncJobs, type JobHandle, type JobOutcome } from "../platform/jobs.ts";
import type { ProbeSpec } from "../steps/types.ts";
import type { Answer } from "./answer.ts";
import { type CommandOptions, runCommand } from "./commands.ts";
import { EvidenceLog } from "./evidence.ts";
import { reasonOf, unknownHealth } from "./findings.ts";
import { type RequestOptions, sendRequest } from "./http.ts";
import type { HttpRequest, Probe, ProbeContext } from "./probe.ts";
import { SettingsReader } from "./settings.ts";

/** Time between the stop of a probe and giving it up, in milliseconds: its commands are killed at once. */
const GRACE_MS = 5_000;
/** Left of a probe's time for its verdict, so that a slow system is told as such and not as a probe that hangs. */
const RESERVE_MS = 250;

/** The way to the outside; tests answer from recordings. */
export interface Outside {
  run(argv: readonly string[], options: CommandOptions): Promise<Answer>;
  request(request: HttpRequest, options: RequestOptions): Promise<Answer>;
}

export const realOutside: Outside = { run: runCommand, request: sendRequest };

export interface ProbesOptions {
  /** This host's name in Slipway. */
  readonly host: string;
  /** A probe has ended; the core's `ended`. */
  readonly announce: (id: string) => void;
  readonly outside?: Outside;
}

/**
 * Reads systems, each kind one question at a time: what they answer is no cheaper than it has to be, and some of them lock
 * themselves while they look. Whatever goes wrong is an answer: unknown, with the reason.
 */
export function probeJobs(probes: readonly Probe[], options: ProbesOptions): AsyncJobs<ProbeSpec> {
  const bySystem = new Map(probes.map((probe) => [probe.system, probe]));
  const turns = new Map<string, Promise<unknown>>();
  const run = (spec: ProbeSpec, job: JobHandle): Promise<JobOutcome> => {
    const deadline = performance.now() + spec.timeoutMs;
    const probe = bySystem.get(spec.system);
    if (probe === undefined) {
      const known = [...bySystem.keys()].join(", ");
      return Promise.resolve(outcome(unknownHealth(spec.system, `no such probe; this agent has ${known}`)));
    }
    const turn = (turns.get(spec.system) ?? Promise.resolve()).then(() => {
      if (job.signal.aborted) throw job.signal.reason;
      return ask(probe, spec, job, deadline, options).then(outcome);
    });
    turns.set(
      spec.system,
      turn.catch(() => {}),
    );
    return turn;
  };
  // A probe changes nothing and its answer is about now: after a restart of the agent it is asked anew by who wants to know.
  const resume = (spec: ProbeSpec): Promise<JobOutcome> => {
    const reason = "the agent was restarted while it asked";
    return Promise.resolve({ verdict: "interrupted", reason, health: unknownHealth(spec.system, reason) });
  };
  return new AsyncJobs({ run, resume, announce: options.announce, graceMs: GRACE_MS });
}

function outcome(health: SystemHealth): JobOutcome {
  return { health, reason: health.state === "healthy" ? "" : health.reasons.join("; ") };
}

async function ask(
  probe: Probe,
  spec: ProbeSpec,
  job: JobHandle,
  deadline: number,
  options: ProbesOptions,
): Promise<SystemHealth> {
  const evidence = new EvidenceLog();
  const outside = options.outside ?? realOutside;
  const { signal } = job;
  const left = (limit = Number.POSITIVE_INFINITY) =>
    Math.max(1, Math.min(limit, deadline - performance.now() - RESERVE_MS));
  const context: ProbeContext = {
    settings: new SettingsReader(spec.settings, options.host),
    going: spec.going,
    host: options.host,
    run: async (argv, { timeoutMs, env } = {}) => {
      const answer = await outside.run(argv, { timeoutMs: left(timeoutMs), signal, ...(env ? { env } : {}) });
      evidence.command(argv, answer);
      return answer;
    },
    request: async (request, { timeoutMs } = {}) => {
      const answer = await outside.request(request, { timeoutMs: left(timeoutMs), signal });
      evidence.request(request, answer);
      return answer;
    },
    pause: (ms) =>
      left() <= ms || signal.aborted
        ? Promise.resolve(false)
        : new Promise((resolve) => setTimeout(() => resolve(!signal.aborted), ms)),
  };
  let health: SystemHealth;
  try {
    health = await probe.ask(context);
  } catch (thrown) {
    health = unknownHealth(spec.system, reasonOf(thrown));
  }
  if (signal.aborted) throw signal.reason;
  return { ...health, evidence: evidence.entries };
}
