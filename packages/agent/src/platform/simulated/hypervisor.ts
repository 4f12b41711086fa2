import { SlipwayError } from "@slipway/shared";
import type { JobResult } from "../../steps/ports.ts";
import type { InstanceSpec } from "../../steps/types.ts";
import { admissionProblem, memoryOf, type Needs } from "./admission.ts";
import { findIn, type SimulatedInstance, type SimulatedWorld, type Timing, type Work } from "./world.ts";

/** An admitted instance whose move has not begun after this time has its room given to others. */
const ADMITTED_MS = 120_000;
const STUCK_MS = 60_000;
const MIB = 1_048_576;

export interface Clock {
  /** Time of the world: never set back, not even by a boot. In milliseconds. */
  readonly nowMs: () => number;
  /** For people only. */
  readonly wallMs: () => number;
}

/** How something ended. */
export interface Ended extends Pick<JobResult, "verdict" | "reason"> {
  /** Of a move. */
  readonly bytes: number;
  readonly downtimeMs: number;
}

export type WorkLook =
  | { readonly state: "absent" }
  | { readonly state: "running"; readonly percent: number }
  | { readonly state: "ended"; readonly ended: Ended };

/**
 * What libvirtd and the emulators are to a real host: does what is asked of it in its own time, whether or not an agent looks on.
 * Has no timer; `tick` finishes what is due. What is under way is kept in the world, so it outlives this object.
 */
export class SimulatedHypervisor {
  readonly host: string;
  readonly world: SimulatedWorld;
  readonly clock: Clock;
  readonly #ended = new Map<string, Ended>();
  /** Instances that were let in and have not arrived, with where they come from. */
  readonly #admitted = new Map<string, { readonly needs: Needs; readonly from: string; readonly untilMs: number }>();

  constructor(host: string, world: SimulatedWorld, clock: Clock) {
    this.host = host;
    this.world = world;
    this.clock = clock;
  }

  /** Begins what a step asks for; what cannot be begun has ended, `failed`. */
  begin(id: string, spec: InstanceSpec): void {
    try {
      const problem = this.#begin(id, spec);
      if (problem !== undefined) this.#end(id, "failed", problem);
    } catch (thrown) {
      this.#end(id, "failed", SlipwayError.from(thrown).message);
    }
  }

  look(id: string): WorkLook {
    const ended = this.#ended.get(id);
    if (ended !== undefined) return { state: "ended", ended };
    const found = this.world.instances(this.host).find(({ work }) => work?.id === id);
    if (found?.work === undefined) return { state: "absent" };
    const done = (this.clock.nowMs() - found.work.beganMs) / found.work.takesMs;
    const most = isStuck(found, found.work) ? 50 : 99;
    return { state: "running", percent: Math.max(0, Math.min(most, Math.floor(done * 100))) };
  }

  /** Ends what is under way; the instance stays as it was. Nothing when there is no such work. */
  abort(id: string, verdict: Ended["verdict"], reason: string): void {
    const found = this.world.instances(this.host).find(({ work }) => work?.id === id);
    if (found?.work !== undefined) this.#giveUp(found, found.work, verdict, reason);
  }

  forget(id: string): void {
    this.#ended.delete(id);
  }

  /** Finishes what is due. Throws a SlipwayError when the world cannot be read. */
  tick(): void {
    const nowMs = this.clock.nowMs();
    for (const instance of this.world.instances(this.host)) {
      const { work } = instance;
      if (work === undefined) continue;
      const endMs = work.beganMs + work.takesMs;
      const stuck = isStuck(instance, work);
      if (instance.state === "shutoff" && work.verb !== "start") this.#wentOff(instance, work);
      else if (nowMs < work.beganMs) this.#giveUp(instance, work, "interrupted", "the world's clock began anew");
      else if (!stuck && nowMs >= endMs && endMs <= work.deadlineMs) this.#finish(instance, work);
      else if (stuck && work.verb === "move" && nowMs >= work.beganMs + work.takesMs / 2 + work.stuckMs)
        this.#giveUp(instance, work, "failed", `no progress for ${work.stuckMs} ms`);
      else if (nowMs >= work.deadlineMs) this.#giveUp(instance, work, "timed-out", "not done in time");
    }
  }

  /** The host goes off: what ran is off, what was under way is over. */
  powerCut(): void {
    this.#ended.clear();
    this.#admitted.clear();
    this.world.setBoot(this.host, "");
    for (const instance of this.world.instances(this.host)) {
      if (instance.state === "shutoff" && instance.work === undefined) continue;
      if (!instance.persistent) this.world.remove(this.host, instance.uuid);
      else this.world.put(this.host, { ...instance, ...off("crashed"), work: undefined });
    }
  }

  /** The host is up: starts what starts by itself, once per boot. A boot that nobody saw ending ended in a power cut. */
  boot(bootId: string): void {
    const before = this.world.bootOf(this.host);
    if (before === bootId) return;
    if (before !== "") this.powerCut();
    for (const instance of this.world.instances(this.host))
      if (instance.autostart && instance.state === "shutoff") this.#started(instance);
    this.world.setBoot(this.host, bootId);
  }

  /** Instances that are on their way here; only those that were admitted are known. */
  incoming(): readonly Needs[] {
    return [...this.#admitted.values()].filter(({ needs, from }) => this.#isMovingHere(needs.uuid, from)).map(needsOf);
  }

  /** Instances for which room is held and that have not begun to come. */
  promised(): readonly string[] {
    return [...this.#admitted].filter(([uuid, { from }]) => !this.#isMovingHere(uuid, from)).map(([uuid]) => uuid);
  }

  #begin(id: string, spec: InstanceSpec): string | undefined {
    const found = findIn(this.world, this.host, spec.uuid);
    if (spec.verb === "look") {
      const admitted = this.#admitted.get(spec.uuid);
      // Whoever looks asks what became of it: a move that has not brought it here will not do so any more.
      if (admitted && !this.#isMovingHere(spec.uuid, admitted.from)) this.#admitted.delete(spec.uuid);
      return this.#end(id, "ok", "");
    }
    if (spec.verb === "admit") {
      const problem = this.#admit(spec, found);
      return problem ?? this.#end(id, "ok", "");
    }
    if (spec.verb === "withdraw") {
      this.#admitted.delete(spec.uuid);
      return this.#end(id, "ok", "");
    }
    if (found === undefined) {
      if (spec.verb === "discard") return this.#end(id, "ok", "nothing of it is here");
      return `${spec.name} is not on ${this.host}`;
    }
    if (found.work !== undefined) return `${this.host} is busy with ${spec.name}: ${found.work.verb}`;
    const problem = this.#objection(spec, found);
    if (problem !== undefined) return problem;
    if (spec.verb === "discard") {
      this.world.remove(this.host, spec.uuid);
      return this.#end(id, "ok", "");
    }
    if (isDone(spec, found)) return this.#end(id, "ok", `it is ${found.state} already`);
    // It has come, and leaves again.
    if (spec.verb === "move") this.#admitted.delete(spec.uuid);
    const to = spec.move?.to ?? "";
    const work: Work = {
      id,
      verb: spec.verb,
      to,
      toBoot: to === "" ? "" : this.world.bootOf(to),
      beganMs: this.clock.nowMs(),
      takesMs: Math.max(1, Math.round(takesMs(spec, found, this.world.host(this.host).timing) * found.slow)),
      deadlineMs: this.clock.nowMs() + spec.timeoutMs,
      stuckMs: spec.move?.stuckMs || STUCK_MS,
    };
    this.world.put(this.host, { ...found, work });
    return undefined;
  }

  #admit({ name, instance, from }: InstanceSpec, found: SimulatedInstance | undefined): string | undefined {
    if (instance === undefined) return `nothing was said of what ${name} needs`;
    if (found !== undefined && found.state !== "shutoff") return `${this.host} runs ${name} already`;
    const problem = this.#noRoom(instance);
    if (problem === undefined)
      this.#admitted.set(instance.uuid, {
        needs: instance,
        from: from ?? "",
        untilMs: this.clock.nowMs() + ADMITTED_MS,
      });
    return problem;
  }

  #noRoom(needs: Needs): string | undefined {
    const here = this.world.instances(this.host).filter(({ state }) => state !== "shutoff");
    const nowMs = this.clock.nowMs();
    for (const [uuid, { from, untilMs }] of this.#admitted)
      if (here.some((one) => one.uuid === uuid) || (nowMs >= untilMs && !this.#isMovingHere(uuid, from)))
        this.#admitted.delete(uuid);
    const others = [...here, ...[...this.#admitted.values()].map(needsOf)].filter(({ uuid }) => uuid !== needs.uuid);
    return admissionProblem(this.host, this.world.host(this.host).capacity, others, needs);
  }

  #isMovingHere(uuid: string, from: string): boolean {
    if (from === "" || this.world.bootOf(from) === "") return false;
    return findIn(this.world, from, uuid)?.work?.to === this.host;
  }

  /** Why a verb does not suit the state that an instance is in. */
  #objection({ verb, name, move }: InstanceSpec, found: SimulatedInstance): string | undefined {
    const isOff = found.state === "shutoff";
    switch (verb) {
      case "move": {
        if (isOff) return `${name} is off: there is no memory to move`;
        if (move === undefined) return "nothing was said of where to";
        const local = found.disks.find(({ sharedAs, source, device }) => {
          return sharedAs === "" && source !== "" && device !== "cdrom" && device !== "floppy";
        });
        if (local !== undefined && move.storage === "")
          return `disk ${local.target} of ${name} (${local.source}) is on ${this.host} only`;
        return this.world.reaches(this.host, move.to) ? undefined : `${move.to} cannot be reached from ${this.host}`;
      }
      case "stop":
        return found.state === "paused" ? `${name} is paused: it cannot shut itself down` : undefined;
      case "save":
        if (isOff && !found.saved) return `${name} is off: there is no memory to save`;
        return found.persistent ? undefined : `${name} is transient: nothing would be left to start`;
      case "start":
        // The devices that it holds are this host's.
        return isOff ? this.#noRoom({ ...found, devices: [] }) : undefined;
      case "resume":
        return isOff ? `${name} is off: there is nothing to resume` : undefined;
      case "discard":
        return isOff ? undefined : `${name} is ${found.state} on ${this.host}: that is no leftover`;
      default:
        return undefined;
    }
  }

  #finish(instance: SimulatedInstance, work: Work): void {
    if (instance.fail.includes(work.verb)) {
      this.#giveUp(instance, work, "failed", `${work.verb} failed, as was asked for`);
      return;
    }
    switch (work.verb) {
      case "move":
        this.#arrive(instance, work);
        return;
      case "stop":
        this.#stopped(instance, off("shutdown"));
        break;
      case "save":
        this.#stopped(instance, { ...off("saved"), saved: true });
        break;
      case "start":
        this.#started(instance);
        break;
      default:
        this.world.put(this.host, { ...instance, state: "running", stateReason: "unpaused", work: undefined });
    }
    this.#end(work.id, "ok", "");
  }

  #arrive(instance: SimulatedInstance, work: Work): void {
    const { world, host } = this;
    const obstacle = this.#obstacle(instance.uuid, work);
    if (obstacle !== undefined) {
      this.#giveUp(instance, work, "failed", obstacle);
      return;
    }
    // Before the handing over: whatever happens in between, the work is over and the instance is here.
    world.put(host, { ...instance, work: undefined });
    world.hand(host, work.to, instance.uuid);
    const { downtimeMs } = world.host(host).timing;
    this.#ended.set(work.id, { verdict: "ok", reason: "", bytes: instance.memoryMib * MIB, downtimeMs });
  }

  #obstacle(uuid: string, { to, toBoot }: Work): string | undefined {
    if (!this.world.reaches(this.host, to)) return `${to} cannot be reached any more`;
    if (this.world.bootOf(to) !== toBoot) return `${to} went down meanwhile`;
    const there = findIn(this.world, to, uuid);
    return there === undefined || there.state === "shutoff" ? undefined : `${to} runs an instance of this uuid already`;
  }

  /** The guest shut itself down while something was done with it. */
  #wentOff(instance: SimulatedInstance, work: Work): void {
    this.world.put(this.host, { ...instance, work: undefined });
    if (work.verb === "stop") this.#end(work.id, "ok", "");
    else this.#end(work.id, "failed", `it shut itself down on ${this.host} meanwhile`);
  }

  #giveUp(instance: SimulatedInstance, { id, verb }: Work, verdict: Ended["verdict"], reason: string): void {
    this.world.put(this.host, { ...instance, work: undefined });
    const left = verb === "start" ? "it stays off" : `it is ${instance.state} on ${this.host} as before`;
    this.#end(id, verdict, `${reason}; ${left}`);
  }

  #stopped(instance: SimulatedInstance, change: Partial<SimulatedInstance>): void {
    if (instance.persistent) this.world.put(this.host, { ...instance, ...change, work: undefined });
    else this.world.remove(this.host, instance.uuid);
  }

  #started(instance: SimulatedInstance): void {
    const stateReason = instance.saved ? "restored" : "booted";
    const startedAtMs = this.clock.wallMs();
    this.world.put(this.host, {
      ...instance,
      state: "running",
      stateReason,
      saved: false,
      startedAtMs,
      work: undefined,
    });
  }

  #end(id: string, verdict: Ended["verdict"], reason: string): undefined {
    this.#ended.set(id, { verdict, reason, bytes: 0, downtimeMs: 0 });
  }
}

function off(stateReason: string) {
  return { state: "shutoff", stateReason, startedAtMs: 0 };
}

function needsOf({ needs }: { readonly needs: Needs }): Needs {
  return needs;
}

/** What was to be is so already. */
function isDone({ verb }: InstanceSpec, { state, saved }: SimulatedInstance): boolean {
  if (verb === "stop") return state === "shutoff";
  if (verb === "save") return state === "shutoff" && saved;
  return (verb === "start" || verb === "resume") && state === "running";
}

function isStuck(instance: SimulatedInstance, work: Work): boolean {
  return instance.stuck.includes(work.verb);
}

/** Time that it takes on a host that is not slow. */
function takesMs({ verb, move }: InstanceSpec, instance: SimulatedInstance, timing: Timing): number {
  switch (verb) {
    case "move": {
      const copied = new Set(move?.disks ?? []);
      const disks = instance.disks.reduce((mib, disk) => mib + (copied.has(disk.target) ? disk.sizeMib : 0), 0);
      const mib = memoryOf(instance) + (move?.storage === "all" ? disks : 0);
      const leastMs = move?.bandwidthMib ? (mib / move.bandwidthMib) * 1_000 : 0;
      return Math.max(leastMs, (mib / 1_024) * timing.perGibMs);
    }
    case "save":
      return (memoryOf(instance) / 1_024) * timing.perGibMs;
    case "stop":
      return timing.stopMs;
    default:
      return timing.startMs;
  }
}
