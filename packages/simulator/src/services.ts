import type { JobLook, JobResult, Jobs, ServiceSpec } from "@slipway/agent/internals";
import type { SimHost } from "./host.ts";
import type { World } from "./world.ts";

/** What stopping and starting a service takes, in milliseconds. */
const TAKES_MS: Readonly<Record<ServiceSpec["verb"], number>> = {
  "service-stop": 2_000,
  "service-start": 3_000,
  "service-check": 100,
};

/** How one action of an agent on a service ends. */
export interface ServiceFate {
  /** Infinity: never by itself. */
  readonly takesMs: number;
  readonly verdict: "ok" | "failed";
  readonly reason: string;
  /** Does it do what it was asked, whatever it says? */
  readonly does: boolean;
  /** It is the host's service manager that does it: also when the agent dies or does not wait for it. */
  readonly outlives: boolean;
}

type Job = { result?: JobResult };

/** Services of hosts: what each is now, whoever asks, and what agents do with it. */
export class SimServices {
  readonly #world: World;
  /** "hv1 gluster": those that are down. */
  readonly #down = new Set<string>();
  readonly #refusals = new Map<string, string>();
  /** "hv1 gluster" -> counts what was begun with it: what comes later replaces what is under way. */
  readonly #orders = new Map<string, number>();
  /** How an action ends where it does not simply do what it should. */
  fate: (host: string, spec: ServiceSpec) => ServiceFate | undefined = () => undefined;
  /** How long a stop takes, in milliseconds. */
  stopMs = TAKES_MS["service-stop"];
  /** A boot starts what was stopped before it, as units do that are enabled. */
  startsAtBoot = false;

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

  /** By kind, or kind and name: "gluster", "systemd nfs-server.service". */
  isStopped(host: string, service: string): boolean {
    return this.#down.has(`${host} ${service}`);
  }

  booted(host: string): void {
    for (const key of [...this.#down, ...this.#orders.keys()])
      if (key.startsWith(`${host} `)) {
        this.#begun(key);
        if (this.startsAtBoot) this.#down.delete(key);
      }
  }

  rows(): string[] {
    const kinds = this.#world.quorum.services.flatMap((rule) => rule.services.map((s) => s.kind));
    return [...this.#world.hosts.keys()].map((host) => {
      const states = kinds.map((kind) => `${kind} ${this.#down.has(`${host} ${kind}`) ? "down" : "up"}`);
      return `  ${host.padEnd(5)} ${states.join(", ")}`;
    });
  }

  #begun(key: string): number {
    const order = (this.#orders.get(key) ?? 0) + 1;
    this.#orders.set(key, order);
    return order;
  }

  /** The port of one agent, which does one thing after another: what it has begun may die with it, and is found out by the next one. */
  jobs(host: SimHost, alive: () => void): Jobs<ServiceSpec> {
    const world = this.#world;
    const jobs = new Map<string, Job>();
    const queue: (() => void)[] = [];
    let current: Job | undefined;
    const end = (id: string, job: Job, verdict: JobResult["verdict"], reason: string) => {
      if (job.result !== undefined) return;
      const at = host.wallMs();
      job.result = { verdict, reason, output: "", startedAtMs: at, endedAtMs: at, durationMs: 0 };
      host.use((core) => core.ended(id));
      if (current !== job) return;
      current = undefined;
      queue.shift()?.();
    };
    const later = (id: string, ms: number, timeoutMs: number, begin: () => (isOwn: boolean) => void) => {
      const job: Job = {};
      jobs.set(id, job);
      const own = host.process;
      const isOwn = () => host.process === own && own !== undefined;
      const work = () => {
        if (job.result !== undefined || !isOwn()) return void queue.shift()?.();
        current = job;
        const act = begin();
        if (ms !== Infinity) world.after(ms, () => act(isOwn() && job.result === undefined));
      };
      world.after(timeoutMs, () => {
        if (isOwn()) end(id, job, "timed-out", `not done after ${timeoutMs} ms`);
      });
      if (current === undefined) work();
      else queue.push(work);
      return job;
    };
    const finish = (id: string, verdict: JobResult["verdict"], reason: string) => {
      const job = jobs.get(id);
      if (job) end(id, job, verdict, reason);
    };
    return {
      start: (id, spec) => {
        alive();
        if (jobs.has(id)) return;
        const fate = this.#fateOf(host.name, spec);
        later(id, fate.takesMs, spec.timeoutMs, () => {
          const key = keyOf(host.name, spec);
          const order = spec.verb === "service-check" ? 0 : this.#begun(key);
          if (fate.does && spec.verb !== "service-check") world.checker.quorum.begun(host.name, spec, id);
          const { boots } = host;
          return (isOwn) => {
            const isLast = spec.verb === "service-check" || this.#orders.get(key) === order;
            const isThere = host.up && host.boots === boots && (isOwn || fate.outlives);
            if (fate.does && isLast && isThere) this.#do(host.name, spec);
            if (!isOwn) return;
            const [verdict, reason] = this.#said(host.name, spec, fate);
            finish(id, verdict, reason);
          };
        });
      },
      resume: (id, spec) => {
        later(id, 10, spec.timeoutMs, () => (isOwn) => {
          const isDown = this.#down.has(keyOf(host.name, spec));
          const isDone = spec.verb === "service-stop" ? isDown : !isDown;
          const why = isDone ? "" : "the agent was restarted meanwhile";
          if (isOwn) finish(id, isDone ? "ok" : "interrupted", why);
        });
      },
      look: (id): JobLook => {
        const job = jobs.get(id);
        if (job === undefined) return { state: "absent" };
        return job.result === undefined ? { state: "running" } : { state: "ended", result: job.result };
      },
      cancel: (id, reason) => finish(id, "cancelled", reason),
      forget: (id) => void jobs.delete(id),
    };
  }

  #fateOf(host: string, spec: ServiceSpec): ServiceFate {
    const { verb } = spec;
    const refusal = this.#refusals.get(`${keyOf(host, spec)} ${verb}`);
    if (refusal !== undefined)
      return { takesMs: TAKES_MS[verb], verdict: "failed", reason: refusal, does: false, outlives: false };
    // Stopped already, it is done with at once.
    if (verb === "service-stop" && this.#down.has(keyOf(host, spec)))
      return { takesMs: 100, verdict: "ok", reason: "it was stopped already", does: true, outlives: false };
    const takesMs = verb === "service-stop" ? this.stopMs : TAKES_MS[verb];
    return this.fate(host, spec) ?? { takesMs, verdict: "ok", reason: "", does: true, outlives: false };
  }

  #do(host: string, spec: ServiceSpec): void {
    const { verb } = spec;
    if (verb === "service-check") return;
    const key = keyOf(host, spec);
    if (verb === "service-stop") this.#down.add(key);
    else this.#down.delete(key);
    this.#world.note("host", host, `${serviceOf(spec)} ${verb === "service-stop" ? "stops" : "starts"}`);
  }

  #said(host: string, spec: ServiceSpec, fate: ServiceFate): [JobResult["verdict"], string] {
    if (spec.verb === "service-check" && fate.verdict === "ok")
      return this.#down.has(keyOf(host, spec)) ? ["failed", "it does not run"] : ["ok", ""];
    return [fate.verdict, fate.reason];
  }
}

function serviceOf({ service, name }: Pick<ServiceSpec, "service" | "name">): string {
  return name === "" ? service : `${service} ${name}`;
}

function keyOf(host: string, spec: ServiceSpec): string {
  return `${host} ${serviceOf(spec)}`;
}
