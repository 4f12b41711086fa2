import { AsyncJobs, type JobHandle, type JobOutcome } from "../platform/jobs.ts";
import { oneLine } from "../probes/answer.ts";
import { EvidenceLog } from "../probes/evidence.ts";
import { type Outside, realOutside } from "../probes/jobs.ts";
import { SettingsReader } from "../probes/settings.ts";
import type { ServiceSpec } from "../steps/types.ts";
import type { ServiceMemory } from "./memory.ts";
import type { Service, ServiceContext } from "./service.ts";

/** Time between the stop of a step and giving it up, in milliseconds: its commands are killed at once. */
const GRACE_MS = 10_000;
/** Left of a step's time to say what was in the way. */
const RESERVE_MS = 500;

export interface ServicesOptions {
  readonly host: string;
  readonly announce: (id: string) => void;
  readonly memory: ServiceMemory;
  readonly outside?: Outside;
}

/**
 * Stops, starts and checks services of this host, one step at a time. A service that did not run when it was to be stopped is
 * remembered as such, so that putting everything back does not start what somebody had stopped on purpose.
 */
export function serviceJobs(services: readonly Service[], options: ServicesOptions): AsyncJobs<ServiceSpec> {
  const byKind = new Map(services.map((service) => [service.kind, service]));
  let last: Promise<unknown> = Promise.resolve();
  const inTurn =
    (work: typeof carryOut) =>
    (spec: ServiceSpec, job: JobHandle): Promise<JobOutcome> => {
      const deadline = performance.now() + spec.timeoutMs;
      const service = byKind.get(spec.service);
      if (service === undefined) {
        const known = [...byKind.keys()].join(", ");
        return Promise.resolve({
          verdict: "failed",
          reason: `no service of kind ${spec.service}; this agent knows ${known}`,
        });
      }
      const turn = last.then(() => {
        if (job.signal.aborted) throw job.signal.reason;
        return inContext(spec, job, deadline, options, (context) => work(service, spec, context, options.memory));
      });
      last = turn.catch(() => {});
      return turn;
    };
  return new AsyncJobs({
    run: inTurn(carryOut),
    resume: inTurn(findOut),
    announce: options.announce,
    graceMs: GRACE_MS,
  });
}

async function carryOut(
  service: Service,
  spec: ServiceSpec,
  context: ServiceContext,
  memory: ServiceMemory,
): Promise<JobOutcome> {
  switch (spec.verb) {
    case "service-stop": {
      const state = await service.state(context);
      memory.stopping(spec.service, spec.name, state);
      if (state === "stopped") return { reason: "it was stopped already" };
      await service.stop(context);
      return {};
    }
    case "service-start": {
      if (memory.wasStopped(spec.service, spec.name)) {
        memory.started(spec.service, spec.name);
        return { reason: "it had been stopped before the work began, and is left so" };
      }
      await service.start(context);
      memory.started(spec.service, spec.name);
      return {};
    }
    case "service-check":
      await service.check(context);
      return {};
  }
}

/** After a restart of the agent: what it was told to do is done, or it is interrupted. */
async function findOut(
  service: Service,
  spec: ServiceSpec,
  context: ServiceContext,
  memory: ServiceMemory,
): Promise<JobOutcome> {
  const interrupted = (why: string): JobOutcome => ({
    verdict: "interrupted",
    reason: `the agent was restarted meanwhile; ${why}`,
  });
  try {
    if (spec.verb === "service-stop")
      return (await service.state(context)) === "stopped" ? {} : interrupted("it is not stopped");
    if (spec.verb === "service-start" && memory.wasStopped(spec.service, spec.name))
      return interrupted("it is not started");
    await service.check(context);
    if (spec.verb === "service-start") memory.started(spec.service, spec.name);
    return {};
  } catch (thrown) {
    return interrupted(thrown instanceof Error ? thrown.message : String(thrown));
  }
}

async function inContext(
  spec: ServiceSpec,
  job: JobHandle,
  deadline: number,
  options: ServicesOptions,
  work: (context: ServiceContext) => Promise<JobOutcome>,
): Promise<JobOutcome> {
  const evidence = new EvidenceLog();
  const notes: string[] = [];
  const outside = options.outside ?? realOutside;
  const { signal } = job;
  const left = (limit = Number.POSITIVE_INFINITY) =>
    Math.max(1, Math.min(limit, deadline - performance.now() - RESERVE_MS));
  const context: ServiceContext = {
    name: spec.name,
    // Each reading begins anew: a step reads its settings as often as it looks.
    get settings() {
      return new SettingsReader(spec.settings, options.host);
    },
    host: options.host,
    progress: (message) => job.progress({ message: oneLine(message, 200) }),
    note: (text) => notes.push(oneLine(text, 200)),
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
  let outcome: JobOutcome;
  try {
    const done = await work(context);
    outcome = { reason: notes.join("; "), ...done };
  } catch (thrown) {
    outcome = { verdict: "failed", reason: oneLine(thrown instanceof Error ? thrown.message : String(thrown), 1_000) };
    if (signal.aborted) throw thrown === signal.reason ? thrown : new Error(outcome.reason);
  }
  return { ...outcome, output: evidence.text() };
}
