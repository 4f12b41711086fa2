import type { JobLook, JobResult, Jobs, ServiceSpec } from "@slipway/agent";
import type { SimHost } from "./host.ts";
import type { World } from "./world.ts";

/** What stopping and starting a service takes, in milliseconds. */
const TAKES_MS = { "service-stop": 2_000, "service-start": 3_000, "service-check": 100 } as const;

/** Services of hosts: what each is now, whoever asks, and what agents do with it. */
export class SimServices {
  readonly #world: World;
  /** "hv1 gluster": those that are down. */
  readonly #down = new Set<string>();
  readonly #refusals = new Map<string, string>();

  constructor(world: World) {
    this.#world = world;
  }

  /** From now on this fails, and says so. */
  refuse(host: string, kind: string, verb: string, why: string): void {
    this.#refusals.set(`${host} ${kind} service-${verb}`, why);
  }

  mend(host: string, kind: string): void {
    for (const key of [...this.#refusals.keys()]) if (key.startsWith(`${host} ${kind} `)) this.#refusals.delete(key);
  }

  /** Work begins: no service that is to be stopped for it runs. */
  isDown(host: string): void {
    for (const kind of this.#kinds())
      if (!this.#down.has(`${host} ${kind}`)) this.#world.violate(`${host}: its work begins while ${kind} runs`);
  }

  /** It goes back into service: all of them run. */
  isUp(host: string): void {
    for (const kind of this.#kinds())
      if (this.#down.has(`${host} ${kind}`)) this.#world.violate(`${host}: is uncordoned while ${kind} is down`);
  }

  rows(): string[] {
    return [...this.#world.hosts.keys()].map((host) => {
      const states = this.#kinds().map((kind) => `${kind} ${this.#down.has(`${host} ${kind}`) ? "down" : "up"}`);
      return `  ${host.padEnd(5)} ${states.join(", ")}`;
    });
  }

  #kinds(): string[] {
    return this.#world.quorum.services.flatMap((rule) => rule.services.map((s) => s.kind));
  }

  /** The port of one agent: what it has begun dies with it, and is found out by the next one. */
  jobs(host: SimHost, alive: () => void): Jobs<ServiceSpec> {
    const world = this.#world;
    const jobs = new Map<string, { result?: JobResult }>();
    const end = (id: string, job: { result?: JobResult }, verdict: JobResult["verdict"], reason: string) => {
      const at = host.wallMs();
      job.result = { verdict, reason, output: "", startedAtMs: at, endedAtMs: at, durationMs: 0 };
      host.use((core) => core.ended(id));
    };
    const later = (ms: number, id: string, act: (job: { result?: JobResult }) => void) => {
      const job: { result?: JobResult } = {};
      jobs.set(id, job);
      const process = () => host.process;
      const own = process();
      world.after(ms, () => {
        if (process() !== own || job.result !== undefined) return;
        act(job);
      });
    };
    return {
      start: (id, spec) => {
        alive();
        if (jobs.has(id)) return;
        later(TAKES_MS[spec.verb], id, (job) => {
          const [verdict, reason] = this.#done(host.name, spec);
          end(id, job, verdict, reason);
        });
      },
      resume: (id, spec) =>
        later(10, id, (job) => {
          const isDown = this.#down.has(`${host.name} ${spec.service}`);
          const isDone = spec.verb === "service-stop" ? isDown : !isDown;
          end(id, job, isDone ? "ok" : "interrupted", isDone ? "" : "the agent was restarted meanwhile");
        }),
      look: (id): JobLook => {
        const job = jobs.get(id);
        if (job === undefined) return { state: "absent" };
        return job.result === undefined ? { state: "running" } : { state: "ended", result: job.result };
      },
      cancel: (id, reason) => {
        const job = jobs.get(id);
        if (job && job.result === undefined) end(id, job, "cancelled", reason);
      },
      forget: (id) => void jobs.delete(id),
    };
  }

  #done(host: string, { verb, service }: ServiceSpec): [JobResult["verdict"], string] {
    const key = `${host} ${service}`;
    const refusal = this.#refusals.get(`${key} ${verb}`);
    if (refusal !== undefined) return ["failed", refusal];
    if (verb === "service-check") return this.#down.has(key) ? ["failed", "it does not run"] : ["ok", ""];
    if (verb === "service-stop") this.#down.add(key);
    else this.#down.delete(key);
    this.#world.note("host", host, `${service} ${verb === "service-stop" ? "stops" : "starts"}`);
    return ["ok", ""];
  }
}
