import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DirectExecutor } from "../executors/direct/direct.ts";
import { hostSystemd } from "../executors/systemd/systemctl.ts";
import { SystemdExecutor } from "../executors/systemd/systemd.ts";
import { type StepLimits, unitName } from "../executors/systemd/unit.ts";
import type { Task } from "../steps/ports.ts";

export type ExecutorKind = "direct" | "systemd";

/** A directory with an executor on it; `remove` ends everything that was started in it. */
export class Bench {
  readonly dir: string;
  readonly steps: string;
  readonly announced: string[] = [];
  bootId = "boot1";
  readonly kind: ExecutorKind;
  readonly limits: StepLimits;
  readonly logged: string[] = [];
  readonly executor: DirectExecutor | SystemdExecutor;

  /** `steps` is where the executor keeps its steps; default below a new directory. */
  constructor(kind: ExecutorKind = "direct", steps?: string, limits: StepLimits = {}) {
    this.kind = kind;
    this.limits = limits;
    this.dir = mkdtempSync(join(tmpdir(), "slipway-step-"));
    this.steps = steps ?? join(this.dir, "steps");
    this.executor = this.open();
  }

  open(): DirectExecutor | SystemdExecutor {
    const options = {
      dir: this.steps,
      bootId: () => this.bootId,
      announce: (id: string) => this.announced.push(id),
      log: (_level: string, text: string) => this.logged.push(text),
    };
    if (this.kind === "direct") return new DirectExecutor(options);
    return new SystemdExecutor({ ...options, limits: this.limits, systemd: hostSystemd });
  }

  /** Text of a program that starts `task` as the agent would and then waits; its imports are relative to `base`. */
  agentProgram(id: string, task: Task, base: string): string {
    const options = `dir: ${JSON.stringify(this.steps)}, bootId: () => "boot1", announce() {}, log() {}`;
    const module = (path: string) => JSON.stringify(new URL(path, base).href);
    const open =
      this.kind === "direct"
        ? `const { DirectExecutor } = await import(${module("./direct/direct.ts")});
           const executor = new DirectExecutor({ ${options} });`
        : `const { SystemdExecutor } = await import(${module("./systemd/systemd.ts")});
           const { hostSystemd } = await import(${module("./systemd/systemctl.ts")});
           const executor = new SystemdExecutor({ ${options}, limits: {}, systemd: hostSystemd });`;
    return `${open}
      executor.start(${JSON.stringify(id)}, ${JSON.stringify(task)});
      setInterval(() => {}, 1000);`;
  }

  /** The unit of a step under the systemd executor. */
  unit(id: string): string {
    return unitName(this.steps, id);
  }

  file(name: string, content: string, mode = 0o755): string {
    const path = join(this.dir, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }

  script(body: string): string {
    return this.file("hook", `#!/bin/sh\n${body}\n`);
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  read(name: string): string {
    return readFileSync(this.path(name), "utf8");
  }

  task(program: string, change: Partial<Task> = {}): Task {
    return {
      program,
      args: [],
      env: { DIR: this.dir },
      timeoutMs: 60_000,
      graceMs: 300,
      bootId: this.bootId,
      ...change,
    };
  }

  async run(id: string, task: Task) {
    this.executor.start(id, task);
    return this.ended(id);
  }

  async ended(id: string) {
    const look = await until(() => {
      const now = this.executor.look(id);
      return now.state === "ended" ? now : undefined;
    });
    return look.result;
  }

  remove(): void {
    mkdirSync(this.steps, { recursive: true });
    this.executor.cutPower();
    // Until systemd is done with them: a unit's last act writes into its step's directory.
    if (this.kind === "systemd")
      spawnSync("systemctl", ["stop", "--quiet", ...this.executor.known().map((id) => this.unit(id)), "x.service"]);
    this.executor.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Waits for a value; the test's own time limit ends it. */
export async function until<T>(look: () => T | undefined | false): Promise<T> {
  for (;;) {
    const value = look();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
