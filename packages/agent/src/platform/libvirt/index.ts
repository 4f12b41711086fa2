import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Instance, type Inventory, SlipwayError } from "@slipway/shared";
import { writeFileDurably } from "@slipway/shared/node";
import type { JobLook, Log, Platform } from "../../steps/ports.ts";
import type { InstanceSpec } from "../../steps/types.ts";
import { AsyncJobs, type JobHandle, type JobOutcome, JobStopped } from "../jobs.ts";
import { admissionProblems, Processors, pathsOf } from "./admission.ts";
import { Departures } from "./departures.ts";
import { realLocal } from "./local.ts";
import { lookAt, nothing, toLook } from "./look.ts";
import { type Known, type MoveNote, type MoveOptionsOfHost, move, resumedMove } from "./move.ts";
import { pathExists } from "./paths.ts";
import { discard, resume, resumed, save, start, stop } from "./power.ts";
import { Promises } from "./promises.ts";
import { Reader } from "./reader.ts";
import type { SharedPath } from "./storage.ts";
import { RealVirsh } from "./virsh.ts";
import { Watch } from "./watch.ts";

export { METADATA } from "./domain.ts";
export type { SharedPath } from "./storage.ts";

export interface LibvirtOptions {
  /** libvirt of this host. Default "qemu:///system". */
  readonly uri?: string;
  /** "qemu+tls://hv2/system": where other hosts' libvirtd reach this one. */
  readonly migrationUri: string;
  /** Where the memory of guests is sent to, "tcp://10.1.0.2"; empty: libvirt chooses. */
  readonly migrationAddress: string;
  /** MiB of memory that instances are not given. */
  readonly reserveMib: number;
  readonly sharedPaths: readonly SharedPath[];
  /** Absolute path of the agent's state directory. */
  readonly stateDir: string;
  /** The machine's clock. */
  readonly monotonicMs: () => number;
  /** A job has ended; the core's `ended`. */
  readonly announce: (id: string) => void;
  /** The inventory changed. */
  readonly changed?: (inventory: Inventory) => void;
  readonly log: Log;
}

export interface LibvirtPlatform extends Platform {
  /** Begins to read and to listen. */
  open(): void;
  /** The agent ends: virsh ends with it, migrations go on. */
  close(): void;
}

/**
 * A reading this young will do for an admission, which a problem has read anew, and for what a migration has to know before it begins:
 * libvirt refuses what is not so any more.
 */
const RECENT_MS = 5_000;
/** While instances come and go every one of them is an event: readings pause for so long, for what they take the migrations lack. */
const MOVING_PAUSE_MS = 3_000;
const PAUSE_MS = 1_000;

/** The instances of a host with libvirt. Everything it does is asked of libvirtd by virsh, so it needs the rights for that: root's. */
export function createLibvirtPlatform(options: LibvirtOptions): LibvirtPlatform {
  const virsh = new RealVirsh(options.uri ?? "qemu:///system");
  const others = new Map<string, RealVirsh>();
  const sharedPaths = options.sharedPaths.map(({ name, path }) => ({ name, path: path.replace(/(?<=.)\/+$/, "") }));
  const reader = new Reader({ ...options, sharedPaths, virsh, local: realLocal });
  const watch = new Watch({
    read: () => reader.read(),
    events: () => virsh.spawn(["-q", "event", "--all", "--loop"]),
    hear: (text) => departures.hear(text),
    pauseMs: () => (moving > 0 || promises.isOpen ? MOVING_PAUSE_MS : PAUSE_MS),
    monotonicMs: options.monotonicMs,
    log: options.log,
    changed: (inventory) => {
      promises.seen(inventory.instances);
      options.changed?.(inventory);
    },
  });
  const promises = new Promises(options.monotonicMs);
  const departures = new Departures();
  const processors = new Processors(virsh, options.monotonicMs);
  let moving = 0;
  const notes = moveNotes(join(options.stateDir, "libvirt-moves"));
  const moves: MoveOptionsOfHost = { virsh, at, notes, known, departures };
  const jobs = new AsyncJobs<InstanceSpec>({
    announce: options.announce,
    run: (spec, job) => fresh(run(spec, job), spec, job),
    resume: (spec, job) => fresh(resumeJob(spec, job), spec, job),
  });

  function at(uri: string): RealVirsh {
    const known = others.get(uri) ?? new RealVirsh(uri);
    others.set(uri, known);
    return known;
  }

  function known(uuid: string): Known | undefined {
    const inventory = watch.inventory;
    const isRecent = options.monotonicMs() - watch.readAtMs <= RECENT_MS;
    const one = isRecent && inventory?.problem === "" ? inventory.instances.find((i) => i.uuid === uuid) : undefined;
    if (one?.state !== "running" || one.job !== "") return undefined;
    const { job, autostart, persistent, saved } = one;
    return { present: true, isActive: true, job, autostart, persistent, saved };
  }

  /**
   * Every end tells what is, and has the host read again where it changed something. Between moves that follow each other events do: what
   * a reading takes, the next migration lacks.
   */
  async function fresh(work: Promise<JobOutcome>, spec: InstanceSpec, { signal }: JobHandle): Promise<JobOutcome> {
    const { uuid, verb } = spec;
    if (verb === "move") moving++;
    try {
      return await work;
    } catch (thrown) {
      const reason: unknown = signal.aborted ? signal.reason : undefined;
      const { message } = SlipwayError.from(thrown);
      const instance = toLook(await lookAt(virsh, uuid));
      if (!(reason instanceof JobStopped)) return { verdict: "failed", reason: message, instance };
      return { verdict: reason.verdict, reason: `${reason.message}; ${message}`, instance };
    } finally {
      if (verb === "move") moving--;
      if (!isAsking(spec) && moving === 0) void watch.refresh();
    }
  }

  async function run(spec: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
    switch (spec.verb) {
      case "admit":
        return await admit(spec);
      case "withdraw":
        promises.takeBack(spec.uuid);
        return await look(spec);
      case "move":
        promises.takeBack(spec.uuid);
        return await move(moves, spec, job);
      case "stop":
        return await stop(virsh, spec, job);
      case "save":
        return await save(virsh, spec, job);
      case "start":
        return await start(virsh, spec, job);
      case "resume":
        return await resume(virsh, spec);
      case "discard":
        return await discard(virsh, spec);
      case "look":
        return await look(spec);
    }
  }

  /** Looking and admitting change nothing here, so they are simply done. */
  function resumeJob(spec: InstanceSpec, job: JobHandle): Promise<JobOutcome> {
    if (isAsking(spec)) return run(spec, job);
    return spec.verb === "move" ? resumedMove(moves, spec, job) : resumed(virsh, spec, job);
  }

  async function look({ uuid }: InstanceSpec): Promise<JobOutcome> {
    const seen = await lookAt(virsh, uuid);
    const instance = toLook(seen);
    // Whoever looks asks what became of it: a move that has not brought it here will not do so any more.
    if (seen.problem === "" && !seen.present) promises.takeBack(uuid);
    return seen.problem === "" ? { instance } : { verdict: "failed", reason: seen.problem, instance };
  }

  async function admit({ uuid, name, instance }: InstanceSpec): Promise<JobOutcome> {
    if (instance === undefined) return { verdict: "failed", reason: `nothing is told of ${name}` };
    const isRecent = options.monotonicMs() - watch.readAtMs <= RECENT_MS && watch.inventory !== undefined;
    if (!isRecent) await watch.refresh();
    let problems = await problemsOf(instance);
    // What has just left may still be in the last reading: nothing is refused by what was.
    if (problems.length > 0 && isRecent) {
      await watch.refresh();
      problems = await problemsOf(instance);
    }
    if (problems.length > 0) return { verdict: "failed", reason: problems.join("; ") };
    const inventory = watch.inventory;
    const cpu = await processors.problem(instance, inventory?.capacity?.cpuArch ?? "");
    if (cpu !== undefined) return { verdict: "failed", reason: cpu };
    promises.give(instance);
    const here = inventory?.instances.find((one) => one.uuid === uuid);
    return { instance: { ...toLook(nothing), present: here !== undefined, state: here?.state ?? "" } };
  }

  async function problemsOf(instance: Instance): Promise<string[]> {
    const inventory = watch.inventory;
    if (inventory === undefined) return ["libvirt was not read yet"];
    promises.seen(inventory.instances);
    const paths = [...new Set(pathsOf(instance))];
    const found = await Promise.all(paths.map(async (path) => [path, await pathExists(path)] as const));
    const held = promises.heldFor(instance.uuid);
    const facts = { inventory, promisedMib: held.mib, promisedPages: held.pages, exists: new Map(found) };
    return admissionProblems(instance, facts);
  }

  return {
    name: "libvirt",
    open: () => watch.start(),
    close: () => {
      jobs.close();
      watch.close();
      virsh.close();
      for (const one of others.values()) one.close();
    },
    inventory: () => watch.inventory,
    readAtMs: () => watch.readAtMs,
    start: (id: string, spec: InstanceSpec) => jobs.start(id, spec),
    resume: (id: string, spec: InstanceSpec) => jobs.resume(id, spec),
    look: (id: string): JobLook => jobs.look(id),
    cancel: (id: string, reason: string) => jobs.cancel(id, reason),
    forget: (id: string) => jobs.forget(id),
  };
}

/** It changes nothing of what runs here. */
function isAsking({ verb }: InstanceSpec): boolean {
  return verb === "look" || verb === "admit" || verb === "withdraw";
}

/** One small file for each move, named by the instance's UUID. */
function moveNotes(dir: string): MoveOptionsOfHost["notes"] {
  const file = (uuid: string) => join(dir, `${uuid}.json`);
  return {
    write(uuid, note) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeFileDurably(file(uuid), `${JSON.stringify(note)}\n`);
    },
    read(uuid): MoveNote | undefined {
      try {
        const { autostart } = JSON.parse(readFileSync(file(uuid), "utf8")) as { autostart?: unknown };
        return typeof autostart === "boolean" ? { autostart } : undefined;
      } catch {
        return undefined;
      }
    },
    remove: (uuid) => rmSync(file(uuid), { force: true }),
  };
}
