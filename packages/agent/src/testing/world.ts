import { keyText, type Stage, type StepKey } from "@slipway/shared";
import { MemoryJournal } from "../journal/memory.ts";
import { AgentCore, type AgentIdentity } from "../steps/core.ts";
import type { Executor, FoundHook, Jobs, Look, Platform, Ports, Progress, RawResult, Task } from "../steps/ports.ts";
import type { HostFacts, Outgoing, ProbeSpec, Report, ServiceSpec, StepSpec } from "../steps/types.ts";
import { noRequests } from "../steps/verdict.ts";

export const identity: AgentIdentity = {
  host: "hv1",
  labels: { cluster: "c1", "rack-row": "7" },
  agentVersion: "0",
  incarnation: "i1",
  kernel: "k",
  nodeVersion: "v24",
  executor: "simulated",
};

export function key(step = "Maintenance", attempt = 1, run = "r1"): StepKey {
  return { run, host: "hv1", step, attempt };
}

export function hookSpec(stage: Stage = "Maintenance", args: string[] = []): StepSpec {
  return { kind: "hook", stage, args, timeoutMs: 1000, graceMs: 100 };
}

export function raw(change: Partial<RawResult> = {}): RawResult {
  return {
    exitCode: 0,
    signal: "",
    timedOut: false,
    cancelled: false,
    cancelReason: "",
    startError: "",
    startedAtMs: 1,
    endedAtMs: 2,
    durationMs: 1,
    output: "",
    outputBytes: 0,
    requests: noRequests,
    bootId: "boot1",
    ...change,
  };
}

/** An executor and a machine that survive the agent; hooks end when the test says so. */
export class World implements Executor {
  readonly tasks = new Map<string, { look: Look; task?: Task; starts: number; progress?: Progress }>();
  /** Hook runs per id; never reset. */
  readonly runs = new Map<string, number>();
  readonly log: string[] = [];
  readonly hooks = new Map<Stage, FoundHook>();
  journalFails = false;
  startFails: Error | undefined;
  boots = 1;
  reboots = 0;
  nowMs = 0;
  /** What the host says of itself; null while it is being asked, undefined where nobody is there to be asked. */
  facts: HostFacts | null | undefined;
  rebootFailed: ((reason: string) => void) | undefined;
  platform: Platform | undefined;
  probes: Jobs<ProbeSpec> | undefined;
  services: Jobs<ServiceSpec> | undefined;
  readonly journal: MemoryJournal;

  constructor() {
    this.journal = new MemoryJournal(() => {
      if (this.journalFails) throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
    });
    for (const stage of ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"] as const)
      this.hooks.set(stage, { state: "found", file: `/hooks/${stage}`, sha256: "ab" });
  }

  get ports(): Ports {
    return {
      journal: this.journal,
      executor: this,
      hooks: {
        inventory: () => ({ dir: "/hooks", problem: "", hooks: [] }),
        find: (stage) => this.hooks.get(stage) ?? { state: "absent" },
      },
      machine: {
        bootId: () => `boot${this.boots}`,
        wallMs: () => 1_000_000 + this.nowMs,
        monotonicMs: () => this.nowMs,
        reboot: (failed) => {
          this.reboots++;
          this.rebootFailed = failed;
        },
        ...(this.facts === undefined ? {} : { facts: () => this.facts ?? undefined }),
      },
      ...(this.platform === undefined ? {} : { platform: this.platform }),
      ...(this.probes === undefined ? {} : { probes: this.probes }),
      ...(this.services === undefined ? {} : { services: this.services }),
      log: (_level, text) => this.log.push(text),
    };
  }

  start(id: string, task: Task): void {
    if (this.startFails !== undefined) throw this.startFails;
    if (this.tasks.has(id)) return;
    this.runs.set(id, (this.runs.get(id) ?? 0) + 1);
    this.tasks.set(id, { look: { state: "running" }, task, starts: 1 });
  }
  look(id: string): Look {
    return this.tasks.get(id)?.look ?? { state: "absent" };
  }
  cancel(id: string, reason: string): void {
    const task = this.tasks.get(id);
    if (task !== undefined && task.look.state !== "running") return;
    const result = raw({ cancelled: true, cancelReason: reason, bootId: `boot${this.boots}` });
    this.tasks.set(id, { ...task, starts: task?.starts ?? 0, look: { state: "ended", result } });
  }
  progress(id: string): Progress | undefined {
    return this.tasks.get(id)?.progress;
  }
  forget(id: string): void {
    this.tasks.delete(id);
  }
  known(): readonly string[] {
    return [...this.tasks.keys()];
  }

  /** The hook of `id` exits. */
  finish(id: string, change: Partial<RawResult> = {}): void {
    const task = this.tasks.get(id);
    if (task?.look.state === "running")
      task.look = { state: "ended", result: raw({ bootId: `boot${this.boots}`, ...change }) };
  }
  /** Power cycle: what ran is lost. */
  powerCycle(): void {
    for (const task of this.tasks.values())
      if (task.look.state === "running")
        task.look = {
          state: "lost",
          reason: "its runner is gone",
          startedAtMs: 1,
          output: "half",
          outputBytes: 4,
          requests: noRequests,
          bootId: `boot${this.boots}`,
        };
    this.boots++;
  }
}

/** An agent process on a world, with what it sent. */
export class Process {
  readonly sent: Outgoing[] = [];
  readonly core: AgentCore;
  constructor(world: World) {
    this.core = new AgentCore(world.ports, identity);
    this.core.recover();
  }
  connect(): this {
    this.core.connected((message) => this.sent.push(message));
    this.core.received({ type: "welcome", controller: "c", controllerVersion: "0", heartbeatIntervalMs: 1000 });
    return this;
  }
  start(stepKey: StepKey, spec: StepSpec): this {
    this.core.received({ type: "start", key: stepKey, spec });
    return this;
  }
  get reports(): Report[] {
    return this.sent.flatMap((message) => (message.type === "report" ? [message.report] : []));
  }
  lastResult(stepKey: StepKey) {
    return this.reports.filter((r) => keyText(r.key) === keyText(stepKey) && r.result !== undefined).at(-1)?.result;
  }
  ackAll(): void {
    this.core.received({ type: "ack", ids: this.reports.map((r) => r.outboxId).filter((id) => id > 0) });
  }
}
