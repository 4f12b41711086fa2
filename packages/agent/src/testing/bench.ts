import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DirectExecutor } from "../executors/direct/direct.ts";
import type { Task } from "../steps/ports.ts";

/** A directory with an executor on it; `remove` ends everything that was started in it. */
export class Bench {
  readonly dir: string;
  readonly steps: string;
  readonly announced: string[] = [];
  bootId = "boot1";
  readonly executor: DirectExecutor;

  /** `steps` is where the executor keeps its steps; default below a new directory. */
  constructor(steps?: string) {
    this.dir = mkdtempSync(join(tmpdir(), "slipway-direct-"));
    this.steps = steps ?? join(this.dir, "steps");
    this.executor = this.open();
  }

  open(): DirectExecutor {
    return new DirectExecutor({
      dir: this.steps,
      bootId: () => this.bootId,
      announce: (id) => this.announced.push(id),
      log: () => {},
    });
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
