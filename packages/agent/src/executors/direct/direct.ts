import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, type FSWatcher, mkdirSync, readdirSync, rmSync, statSync, watch } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SlipwayError } from "@slipway/shared";
import {
  type Claim,
  HOOK_MARKER,
  names,
  type Outcome,
  type Output,
  RUNNER_MARKER,
  readCapped,
  readJson,
  type Spec,
  type Started,
  syncDirectory,
  takeClaim,
  writeDurably,
} from "../../runner/files.ts";
import { isAlive, processesOf, processStat, signal } from "../../runner/processes.ts";
import type { Executor, Look, Progress, RawResult, Task } from "../../steps/ports.ts";
import { parseRequests } from "../../steps/requests.ts";
import { noRequests } from "../../steps/verdict.ts";

const KEEP_BYTES = 32 * 1024;
const REQUESTS_KEEP_BYTES = 64 * 1024;
const SOURCE_MODE = import.meta.url.endsWith(".ts");
const RUNNER = fileURLToPath(new URL(`../../runner/main.${SOURCE_MODE ? "ts" : "js"}`, import.meta.url));

export interface DirectExecutorOptions {
  /** Directory of the steps; one below it per step. */
  readonly dir: string;
  readonly bootId: () => string;
  /** Called when a step has probably ended. */
  readonly announce: (id: string) => void;
  readonly log: (level: "info" | "warn" | "error", text: string) => void;
}

/** Runs each hook under a small runner of its own that records its end, so that neither cares whether the agent lives. */
export class DirectExecutor implements Executor {
  readonly #options: DirectExecutorOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #progress = new Map<string, { stamp: string; progress: Progress }>();

  constructor(options: DirectExecutorOptions) {
    this.#options = options;
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  }

  start(id: string, task: Task): void {
    const dir = this.#make(id);
    if (existsSync(join(dir, names.claim))) return;
    const { marker } = storing(dir, () => this.#prepare(id, dir, task));
    this.#watch(id, dir);
    const runner = spawn(process.execPath, [RUNNER, dir], {
      cwd: "/",
      env: { [RUNNER_MARKER]: marker },
      detached: true,
      stdio: "ignore",
    });
    runner.on("error", (error) => this.#options.log("error", `${id}: its runner cannot be started (${error.message})`));
    runner.on("exit", () => this.#options.announce(id));
    runner.unref();
  }

  /** The step's specification, durable. */
  #prepare(id: string, dir: string, task: Task): Spec {
    let spec = readJson<Spec>(dir, names.spec);
    if (spec === undefined) {
      const { program, args, timeoutMs, graceMs, bootId } = task;
      const env = {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME: homedir(),
        LANG: "C.UTF-8",
        ...task.env,
      };
      const marker = randomBytes(12).toString("hex");
      spec = { id, marker, program, args, env, cwd: "/", timeoutMs, graceMs, keepBytes: KEEP_BYTES, bootId };
      writeDurably(dir, names.spec, JSON.stringify(spec));
    } else if (spec.bootId !== task.bootId) {
      // Never started in an earlier boot: its runner is gone, and the boot id the hook is told must be this one.
      spec = { ...spec, bootId: task.bootId, env: { ...spec.env, ...task.env } };
      writeDurably(dir, names.spec, JSON.stringify(spec));
    }
    return spec;
  }

  look(id: string): Look {
    const dir = this.#dirOf(id);
    const outcome = readJson<Outcome>(dir, names.result);
    if (outcome !== undefined) return ended(outcome);
    const claim = readJson<Claim>(dir, names.claim);
    if (claim === undefined) return { state: "absent" };
    if (claim.sealed !== undefined) return sealed(claim, claim.sealed);
    const sameBoot = claim.bootId === this.#options.bootId();
    if (sameBoot && isAlive(claim.pid, claim.startTime)) {
      this.#watch(id, dir);
      return { state: "running" };
    }
    // It may have ended properly between the first look and this one.
    const late = readJson<Outcome>(dir, names.result);
    if (late !== undefined) return ended(late);
    // Nobody watches over this hook any more, its deadline least of all: what is left of it ends first.
    if (sameBoot && this.#killHook(dir) > 0) return { state: "running" };
    const output = readOutput(dir);
    return {
      state: "lost",
      reason: `the hook's runner (process ${claim.pid}) was killed`,
      startedAtMs: claim.claimedAtMs,
      output: output.output,
      outputBytes: output.outputBytes,
      requests: parseRequests(readCapped(join(dir, names.requests), REQUESTS_KEEP_BYTES)).requests,
      bootId: claim.bootId,
    };
  }

  cancel(id: string, reason: string): void {
    const dir = this.#make(id);
    if (existsSync(join(dir, names.result))) return;
    const self = processStat(process.pid);
    const claim = {
      id,
      pid: process.pid,
      startTime: self?.startTime ?? "",
      bootId: this.#options.bootId(),
      claimedAtMs: Date.now(),
    };
    const hasOwner = existsSync(join(dir, names.claim));
    if (!hasOwner && storing(dir, () => takeClaim(dir, { ...claim, sealed: reason }))) {
      setImmediate(() => this.#options.announce(id));
      return;
    }
    try {
      writeDurably(dir, names.cancel, reason);
    } catch (thrown) {
      // Without room for the file the runner can still be told; the journal keeps the reason.
      const owner = readJson<Claim>(dir, names.claim);
      if (owner === undefined || owner.sealed !== undefined || !isAlive(owner.pid, owner.startTime)) throw thrown;
      signal(owner.pid, "SIGUSR2");
    }
  }

  progress(id: string): Progress | undefined {
    const path = join(this.#dirOf(id), names.requests);
    let stamp: string;
    try {
      const { mtimeMs, size } = statSync(path);
      stamp = `${mtimeMs} ${size}`;
    } catch {
      return undefined;
    }
    const known = this.#progress.get(id);
    if (known?.stamp === stamp) return known.progress;
    const { progress } = parseRequests(readCapped(path, REQUESTS_KEEP_BYTES));
    this.#progress.set(id, { stamp, progress });
    return progress;
  }

  forget(id: string): void {
    this.#watchers.get(id)?.close();
    this.#watchers.delete(id);
    this.#progress.delete(id);
    rmSync(this.#dirOf(id), { recursive: true, force: true });
  }

  known(): readonly string[] {
    return this.#directories().flatMap((dir) => {
      const id = readJson<Spec>(dir, names.spec)?.id ?? readJson<Claim>(dir, names.claim)?.id;
      return id === undefined ? [] : [id];
    });
  }

  /** Stops noticing; what runs goes on. */
  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Ends every runner and hook without giving them a chance to record anything, as a power cycle would. */
  cutPower(): void {
    const specs = this.#directories().flatMap((dir) => readJson<Spec>(dir, names.spec) ?? []);
    // Runners first: one that saw its hook die would record a verdict that a real power cut leaves unknown.
    for (const variable of [RUNNER_MARKER, HOOK_MARKER]) {
      for (const spec of specs) {
        for (
          let left = processesOf(variable, spec.marker);
          left.length > 0;
          left = processesOf(variable, spec.marker)
        ) {
          for (const pid of left) signal(pid, "SIGKILL");
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
        }
      }
    }
  }

  #killHook(dir: string): number {
    const spec = readJson<Spec>(dir, names.spec);
    if (spec === undefined) return 0;
    const left = processesOf(HOOK_MARKER, spec.marker, readJson<Started>(dir, names.started));
    for (const pid of left) signal(pid, "SIGKILL");
    return left.length;
  }

  #dirOf(id: string): string {
    return join(this.#options.dir, createHash("sha256").update(id).digest("hex").slice(0, 32));
  }

  #make(id: string): string {
    const dir = this.#dirOf(id);
    storing(dir, () => {
      if (mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined) syncDirectory(this.#options.dir);
    });
    return dir;
  }

  #directories(): string[] {
    return readdirSync(this.#options.dir).map((name) => join(this.#options.dir, name));
  }

  /** Notices a result at once. Where the system has no watch left, the regular look finds it a little later. */
  #watch(id: string, dir: string): void {
    if (this.#watchers.has(id)) return;
    try {
      const watcher = watch(dir, { persistent: false }, (_event, name) => {
        if (name === names.result) this.#options.announce(id);
      });
      watcher.on("error", () => watcher.close());
      this.#watchers.set(id, watcher);
    } catch {
      // See above.
    }
  }
}

/** Names the place in what the file system refuses. */
function storing<T>(dir: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT")
      throw new SlipwayError("out-of-space", `${dir}: the disk is full`, { cause, fix: "make room" });
    throw new SlipwayError("internal", `${dir}: cannot be written (${code ?? message})`, { cause });
  }
}

function ended(outcome: Outcome): Look {
  const { requests, ...rest } = outcome;
  const result: RawResult = { ...rest, requests: parseRequests(requests).requests };
  return { state: "ended", result };
}

function sealed(claim: Claim, reason: string): Look {
  const result: RawResult = {
    signal: "",
    timedOut: false,
    cancelled: true,
    cancelReason: reason,
    startError: "",
    startedAtMs: claim.claimedAtMs,
    endedAtMs: claim.claimedAtMs,
    durationMs: 0,
    output: "",
    outputBytes: 0,
    requests: noRequests,
    bootId: claim.bootId,
  };
  return { state: "ended", result };
}

function readOutput(dir: string): Output {
  try {
    return readJson<Output>(dir, names.output) ?? { output: "", outputBytes: 0 };
  } catch {
    return { output: "", outputBytes: 0 };
  }
}
