import { existsSync, mkdirSync, rmSync } from "node:fs";
import { arch, cpus, freemem, totalmem } from "node:os";
import { join } from "node:path";
import { type HostCapacity, type Inventory, SlipwayError } from "@slipway/shared";
import { writeFileDurably } from "@slipway/shared/node";
import type { JobLook, Log, Platform } from "../../steps/ports.ts";
import type { InstanceSpec } from "../../steps/types.ts";
import { AsyncJobs, type JobHandle, type JobOutcome, JobStopped } from "../jobs.ts";
import { addressOf, instancesOf, lookOf } from "./instances.ts";
import { type Machinery, realMachinery } from "./local.ts";
import { FleetReader, type Picture, problemOf } from "./reader.ts";
import { type Notes, perform, takeUp } from "./verbs.ts";

export interface FleetOptions {
  /** MiB of memory that instances are not given. */
  readonly reserveMib: number;
  /** Absolute path of the agent's state directory. */
  readonly stateDir: string;
  /** The machine's clock. */
  readonly monotonicMs: () => number;
  /** A job has ended; the core's `ended`. */
  readonly announce: (id: string) => void;
  readonly log: Log;
  readonly machinery?: Machinery;
  /** Between two readings, in milliseconds. Default 10000: fleet tells of no changes by itself. */
  readonly rereadMs?: number;
  /** Between two looks of a job that waits, in milliseconds. Default 1000. */
  readonly pollMs?: number;
  /** See Verbs. Default 45000: less than the jobs' grace. */
  readonly lastMs?: number;
}

export interface FleetPlatform extends Platform {
  /** Begins to read. */
  open(): void;
  /** The agent ends; what fleet does it goes on doing. */
  close(): void;
  /** Reads now. */
  refresh(): Promise<void>;
}

/**
 * The units of a machine of a fleet cluster. All is asked of fleetctl and of this host's systemd; the daemon is never started by
 * being asked.
 */
export function createFleetPlatform(options: FleetOptions): FleetPlatform {
  const reader = new FleetReader(options.machinery ?? realMachinery);
  const notes = fileNotes(join(options.stateDir, "fleet-moves"));
  const verbs = { reader, notes, pollMs: options.pollMs ?? 1_000, lastMs: options.lastMs ?? 45_000 };
  const jobs = new AsyncJobs<InstanceSpec>({
    announce: options.announce,
    run: (spec, job) => fresh(perform(verbs, spec, job), spec, job),
    resume: (spec, job) => fresh(takeUp(verbs, spec, job), spec, job),
  });
  let inventory: Inventory | undefined;
  let text = "";
  let readAtMs = 0;
  let reading: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  /** Every end tells what is, and has the host read again. */
  async function fresh(work: Promise<JobOutcome>, { uuid }: InstanceSpec, { signal }: JobHandle): Promise<JobOutcome> {
    try {
      return await work;
    } catch (thrown) {
      const stopped: unknown = signal.aborted ? signal.reason : undefined;
      const { message } = SlipwayError.from(thrown);
      const instance = await reader.read().then(
        (picture) => lookOf(uuid, picture),
        (failed: unknown) => ({ ...nothing, problem: problemOf(failed) }),
      );
      if (!(stopped instanceof JobStopped)) return { verdict: "failed", reason: message, instance };
      const own = thrown === stopped ? "" : `; ${message}`;
      return { verdict: stopped.verdict, reason: `${stopped.message}${own}`, instance };
    } finally {
      void refresh();
    }
  }

  /** Returns when a reading that began after this call is in. */
  async function refresh(): Promise<void> {
    if (reading !== undefined) await reading;
    reading ??= read().finally(() => {
      reading = undefined;
    });
    await reading;
  }

  async function read(): Promise<void> {
    let next: Omit<Inventory, "seq">;
    try {
      const picture = await reader.read();
      const instances = instancesOf(picture);
      next = { ...empty, capacity: capacityOf(picture), instances };
    } catch (thrown) {
      next = { ...empty, problem: problemOf(thrown) };
    }
    if (isClosed) return;
    const before = inventory?.problem ?? "";
    if (next.problem !== before)
      options.log(
        next.problem === "" ? "info" : "warn",
        next.problem === "" ? "fleet: can be read again" : `fleet: cannot be read (${next.problem})`,
      );
    readAtMs = options.monotonicMs();
    // What is free at the moment moves all the time.
    const now = JSON.stringify(next, (key, part: unknown) =>
      key === "memoryFreeMib" ? undefined : typeof part === "bigint" ? String(part) : part,
    );
    if (inventory !== undefined && now === text) return;
    text = now;
    inventory = { ...next, seq: (inventory?.seq ?? 0) + 1 };
  }

  function capacityOf({ isRunning, machine }: Picture): HostCapacity {
    const mib = (bytes: number) => Math.floor(bytes / 1024 ** 2);
    const processors = cpus();
    return {
      memoryMib: Math.max(0, mib(totalmem()) - options.reserveMib),
      memoryFreeMib: mib(freemem()),
      cpus: processors.length,
      cpuArch: ARCHITECTURES[arch()] ?? arch(),
      cpuModel: processors[0]?.model ?? "",
      cpuVendor: "",
      cpuFeatures: [],
      numa: [],
      hugepages: [],
      machineTypes: [],
      bridges: [],
      networks: [],
      pools: [],
      // Where fleetd does not run nothing comes to.
      migrationUri: isRunning ? addressOf(machine) : "",
      migrationAddress: "",
      version: reader.version,
      virtTypes: [],
      cpuModels: [],
    };
  }

  function loop(): void {
    if (isClosed) return;
    void refresh().finally(() => {
      if (!isClosed) timer = setTimeout(loop, options.rereadMs ?? 10_000);
    });
  }

  return {
    name: "fleet",
    open: loop,
    close: () => {
      isClosed = true;
      clearTimeout(timer);
      jobs.close();
    },
    refresh,
    inventory: () => inventory,
    readAtMs: () => readAtMs,
    start: (id: string, spec: InstanceSpec) => jobs.start(id, spec),
    resume: (id: string, spec: InstanceSpec) => jobs.resume(id, spec),
    look: (id: string): JobLook => jobs.look(id),
    cancel: (id: string, reason: string) => jobs.cancel(id, reason),
    forget: (id: string) => jobs.forget(id),
  };
}

const nothing = { problem: "", present: false, state: "", job: "", generation: 0, bytes: 0n, downtimeMs: 0 };
const empty: Omit<Inventory, "seq"> = { platform: "fleet", problem: "", instances: [], cordonedBy: "" };
/** Node's words for what everybody else calls otherwise. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };

/** One small file for each unit that is unloaded and not started again, named by its UUID. */
function fileNotes(dir: string): Notes {
  const file = (uuid: string) => join(dir, uuid);
  return {
    write(uuid) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeFileDurably(file(uuid), "unloaded\n");
    },
    has: (uuid) => existsSync(file(uuid)),
    remove: (uuid) => rmSync(file(uuid), { force: true }),
  };
}
