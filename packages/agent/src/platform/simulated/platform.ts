import { type Instance, type InstanceLook, type Inventory, SlipwayError } from "@slipway/shared";
import type { JobLook, JobResult, Platform } from "../../steps/ports.ts";
import type { InstanceSpec } from "../../steps/types.ts";
import type { Needs } from "./admission.ts";
import { memoryOf } from "./admission.ts";
import type { Ended, SimulatedHypervisor } from "./hypervisor.ts";
import { findIn, type SimulatedHost, type SimulatedInstance } from "./world.ts";

interface Job {
  readonly spec: InstanceSpec;
  /** An earlier process, or boot, began it. */
  readonly isResumed: boolean;
  readonly startedAtMs: number;
  readonly begunMs: number;
  result?: JobResult;
}

/**
 * The instances of a simulated host, as one process of its agent sees them; the hypervisor outlives it. `tick` is to be called
 * before the core's.
 */
export class SimulatedPlatform implements Platform {
  readonly name = "simulated";
  readonly #hypervisor: SimulatedHypervisor;
  readonly #monotonicMs: () => number;
  readonly #jobs = new Map<string, Job>();
  #inventory: Inventory | undefined;
  #readAtMs = 0;
  /** What `#inventory` was made of. */
  #source:
    | { readonly list: readonly SimulatedInstance[]; readonly host: SimulatedHost; readonly arriving: string }
    | undefined;

  /** `monotonicMs` is the machine's clock, by which the age of the inventory is told. */
  constructor(hypervisor: SimulatedHypervisor, monotonicMs: () => number) {
    this.#hypervisor = hypervisor;
    this.#monotonicMs = monotonicMs;
  }

  start(id: string, spec: InstanceSpec): void {
    if (this.#jobs.has(id)) return;
    this.#remember(id, spec, false);
    this.#hypervisor.begin(id, spec);
  }

  resume(id: string, spec: InstanceSpec): void {
    // The hypervisor outlives the agent, and so does the room that it holds.
    if (spec.verb === "withdraw") this.start(id, spec);
    if (!this.#jobs.has(id)) this.#remember(id, spec, true);
  }

  look(id: string): JobLook {
    const job = this.#jobs.get(id);
    if (job === undefined) return { state: "absent" };
    if (job.result !== undefined) return { state: "ended", result: job.result };
    try {
      const look = this.#hypervisor.look(id);
      if (look.state === "running") return { state: "running", progress: { percent: look.percent, message: "" } };
      // A result that an earlier process did not live to see is not known to this one.
      const ended = look.state === "ended" && !job.isResumed ? look.ended : this.#judge(job.spec);
      job.result = this.#result(job, ended);
      return { state: "ended", result: job.result };
    } catch {
      // The world cannot be read just now; the inventory says why.
      return { state: "running" };
    }
  }

  cancel(id: string, reason: string): void {
    try {
      this.#hypervisor.abort(id, "cancelled", reason);
    } catch {
      // Its deadline ends it.
    }
  }

  forget(id: string): void {
    this.#jobs.delete(id);
    this.#hypervisor.forget(id);
  }

  inventory(): Inventory | undefined {
    return this.#inventory;
  }

  readAtMs(): number {
    return this.#readAtMs;
  }

  /** Lets the hypervisor finish what is due, and reads what is there. */
  tick(): void {
    this.#readAtMs = this.#monotonicMs();
    try {
      this.#hypervisor.tick();
      this.#read();
    } catch (thrown) {
      const { message: problem } = SlipwayError.from(thrown);
      if (this.#inventory?.problem !== problem) this.#inventory = { ...empty, problem };
      this.#source = undefined;
    }
  }

  #read(): void {
    const { world, host: name } = this.#hypervisor;
    const list = world.instances(name);
    const host = world.host(name);
    const incoming = this.#hypervisor.incoming();
    const arriving = incoming.map(({ uuid }) => uuid).join();
    const source = this.#source;
    if (source?.list === list && source.host === host && source.arriving === arriving) return;
    this.#source = { list, host, arriving };
    const taken = list.reduce((mib, one) => mib + (one.state === "shutoff" ? 0 : memoryOf(one)), 0);
    const here = new Set(list.map(({ uuid }) => uuid));
    this.#inventory = {
      ...empty,
      capacity: { ...host.capacity, memoryFreeMib: Math.max(0, host.capacity.memoryMib - taken) },
      instances: [...list.map(told), ...incoming.filter(({ uuid }) => !here.has(uuid)).map(arrivalOf)],
    };
  }

  #remember(id: string, spec: InstanceSpec, isResumed: boolean): void {
    const { wallMs, nowMs } = this.#hypervisor.clock;
    this.#jobs.set(id, { spec, isResumed, startedAtMs: wallMs(), begunMs: nowMs() });
  }

  #result({ spec, startedAtMs, begunMs }: Job, { verdict, reason, bytes, downtimeMs }: Ended): JobResult {
    const { wallMs, nowMs } = this.#hypervisor.clock;
    const instance = { ...this.#instanceLook(spec.uuid), bytes: BigInt(bytes), downtimeMs };
    return { verdict, reason, output: "", startedAtMs, endedAtMs: wallMs(), durationMs: nowMs() - begunMs, instance };
  }

  #instanceLook(uuid: string): InstanceLook {
    const { world, host } = this.#hypervisor;
    const nothing = { problem: "", present: false, state: "", job: "", generation: 0, bytes: 0n, downtimeMs: 0 };
    const found = findIn(world, host, uuid);
    return found === undefined ? nothing : { ...nothing, present: true, state: found.state, job: jobOf(found) };
  }

  /** What became of something that another process began: only what is can be told, not who brought it about. */
  #judge({ uuid, verb, move }: InstanceSpec): Ended {
    const { world, host } = this.#hypervisor;
    const found = findIn(world, host, uuid);
    const isOn = found !== undefined && found.state !== "shutoff";
    const what = found === undefined ? `it is not on ${host}` : `it is ${found.state} on ${host}`;
    const done =
      verb === "look" ||
      (verb === "stop" && !isOn) ||
      (verb === "save" && found?.saved === true) ||
      (verb === "start" && isOn) ||
      (verb === "resume" && found?.state === "running") ||
      (verb === "discard" && found === undefined);
    const quiet = { bytes: 0, downtimeMs: 0 };
    if (done) return { ...quiet, verdict: "ok", reason: what };
    const where = verb === "move" && found === undefined ? `; ${move?.to} may tell` : "";
    return { ...quiet, verdict: "interrupted", reason: `the agent was restarted meanwhile, and ${what}${where}` };
  }
}

const empty: Inventory = { seq: 0, platform: "simulated", problem: "", instances: [], cordonedBy: "" };

function jobOf({ work }: SimulatedInstance): string {
  if (work?.verb === "move") return "migrating-out";
  return work?.verb === "save" ? "saving" : "";
}

function told(one: SimulatedInstance): Instance {
  const { fail: _f, stuck: _s, slow: _l, work: _w, startedAtMs, ...instance } = one;
  return { ...instance, job: jobOf(one), generation: 0, startedAtMs: BigInt(Math.trunc(startedAtMs)) };
}

function arrivalOf(needs: Needs): Instance {
  const arrival = { state: "incoming", stateReason: "migration", job: "migrating-in" };
  return { ...needs, ...arrival, generation: 0, startedAtMs: 0n };
}
