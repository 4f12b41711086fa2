import type { Instance, Inventory } from "@slipway/shared";
import type { JobLook, JobResult, Jobs, Platform, Progress } from "../steps/ports.ts";
import type { InstanceSpec } from "../steps/types.ts";

/** A port of jobs that end when the test says so. Forgets everything in `restart`, as a new process has. */
export class TestJobs<Spec> implements Jobs<Spec> {
  readonly calls: string[] = [];
  readonly #jobs = new Map<string, JobLook>();

  start(id: string, _spec: Spec): void {
    this.calls.push(`start ${id}`);
    this.#jobs.set(id, { state: "running" });
  }
  resume(id: string, _spec: Spec): void {
    this.calls.push(`resume ${id}`);
    this.#jobs.set(id, { state: "running" });
  }
  look(id: string): JobLook {
    return this.#jobs.get(id) ?? { state: "absent" };
  }
  cancel(id: string, reason: string): void {
    this.calls.push(`cancel ${id}: ${reason}`);
  }
  forget(id: string): void {
    this.calls.push(`forget ${id}`);
    this.#jobs.delete(id);
  }

  progress(id: string, progress: Progress): void {
    this.#jobs.set(id, { state: "running", progress });
  }
  finish(id: string, change: Partial<JobResult> = {}): void {
    const times = { startedAtMs: 5, endedAtMs: 9, durationMs: 4 };
    this.#jobs.set(id, { state: "ended", result: { verdict: "ok", reason: "", output: "", ...times, ...change } });
  }
  restart(): void {
    this.#jobs.clear();
  }
}

export class TestPlatform extends TestJobs<InstanceSpec> implements Platform {
  readonly name = "simulated";
  reading: Inventory | undefined;
  readMs = 0;

  inventory(): Inventory | undefined {
    return this.reading;
  }
  readAtMs(): number {
    return this.readMs;
  }
}

export function inventoryOf(...instances: Instance[]): Inventory {
  return { seq: 0, platform: "simulated", problem: "", instances, cordonedBy: "" };
}

export function instance(uuid: string, change: Partial<Instance> = {}): Instance {
  return {
    uuid,
    name: `vm-${uuid.slice(-2)}`,
    state: "running",
    stateReason: "",
    vcpus: 1,
    memoryMib: 512,
    memoryMaxMib: 512,
    hugepageKib: 0,
    disks: [],
    devices: [],
    cpuMode: "",
    cpuModel: "",
    cpuFeatures: [],
    cpuDisabled: [],
    machineType: "",
    virtType: "qemu",
    nics: [],
    autostart: false,
    persistent: true,
    guestAgent: false,
    metadata: {},
    generation: 0,
    job: "",
    saved: false,
    numaNodes: [],
    pinned: "",
    startedAtMs: 0n,
    ...change,
  };
}
