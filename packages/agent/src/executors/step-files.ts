import { createHash, randomBytes } from "node:crypto";
import { existsSync, type FSWatcher, mkdirSync, readdirSync, rmSync, statSync, watch } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
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
} from "../runner/files.ts";
import { isAlive, processesOf, processStat, signal } from "../runner/processes.ts";
import type { Look, Progress, RawResult, Task } from "../steps/ports.ts";
import { parseRequests } from "../steps/requests.ts";
import { noRequests } from "../steps/verdict.ts";

const KEEP_BYTES = 32 * 1024;
const REQUESTS_KEEP_BYTES = 64 * 1024;

export { RUNNER } from "../programs.ts";

export interface StepFilesOptions {
  /** Directory of the steps; one below it per step. */
  readonly dir: string;
  readonly bootId: () => string;
  /** Called when a step has probably ended. */
  readonly announce: (id: string) => void;
  /** systemd's notation; only for the specification of new steps. */
  readonly memoryMax?: string;
}

/** What a step's files say by themselves; where they leave off, the executor asks whoever watches over the runner. */
export type Recorded =
  | Exclude<Look, { state: "running" | "lost" }>
  | { readonly state: "claimed"; readonly claim: Claim };

/** The directories of steps: what executors share, whoever starts and watches over their runners. */
export class StepFiles {
  readonly #options: StepFilesOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #progress = new Map<string, { stamp: string; progress: Progress }>();

  constructor(options: StepFilesOptions) {
    this.#options = options;
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  }

  dirOf(id: string): string {
    return join(this.#options.dir, createHash("sha256").update(id).digest("hex").slice(0, 32));
  }

  /**
   * Stores what to run, after the `extra` files by name; undefined when a runner has the step already. Errors: `out-of-space`,
   * `internal`.
   */
  prepare(
    id: string,
    task: Task,
    extra: Readonly<Record<string, string>> = {},
  ): { dir: string; spec: Spec } | undefined {
    const dir = this.#make(id);
    if (existsSync(join(dir, names.claim))) return undefined;
    return storing(dir, () => {
      for (const [name, content] of Object.entries(extra))
        if (!existsSync(join(dir, name))) writeDurably(dir, name, content);
      return { dir, spec: this.#writeSpec(id, dir, task) };
    });
  }

  /** The step's specification, durable. */
  #writeSpec(id: string, dir: string, task: Task): Spec {
    let spec = readJson<Spec>(dir, names.spec);
    if (spec === undefined) {
      const { program, args, timeoutMs, graceMs, bootId } = task;
      const env = {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME: homedir(),
        LANG: "C.UTF-8",
        ...task.env,
      };
      const { memoryMax } = this.#options;
      const limits = memoryMax === undefined ? {} : { memoryMax };
      const marker = randomBytes(12).toString("hex");
      spec = { id, marker, program, args, env, cwd: "/", timeoutMs, graceMs, keepBytes: KEEP_BYTES, bootId, ...limits };
      writeDurably(dir, names.spec, JSON.stringify(spec));
    } else if (spec.bootId !== task.bootId) {
      // Never started in an earlier boot: its runner is gone, and the boot id the hook is told must be this one.
      spec = { ...spec, bootId: task.bootId, env: { ...spec.env, ...task.env } };
      writeDurably(dir, names.spec, JSON.stringify(spec));
    }
    return spec;
  }

  spec(id: string): Spec | undefined {
    return readJson<Spec>(this.dirOf(id), names.spec);
  }

  recorded(id: string): Recorded {
    const dir = this.dirOf(id);
    const outcome = this.outcome(id);
    if (outcome !== undefined) return outcome;
    const claim = readJson<Claim>(dir, names.claim);
    if (claim === undefined) return { state: "absent" };
    if (claim.sealed !== undefined) return sealed(claim, claim.sealed);
    return { state: "claimed", claim };
  }

  /** The verdict that the runner recorded, if there is one yet. */
  outcome(id: string): Extract<Look, { state: "ended" }> | undefined {
    const outcome = readJson<Outcome>(this.dirOf(id), names.result);
    if (outcome === undefined) return undefined;
    const { requests, ...rest } = outcome;
    const memoryMax = outcome.oomKills ? this.spec(id)?.memoryMax : undefined;
    const result: RawResult = {
      ...rest,
      requests: parseRequests(requests).requests,
      ...(memoryMax === undefined ? {} : { memoryMax }),
    };
    return { state: "ended", result };
  }

  /** What a runner that left no verdict has left behind. */
  lost(id: string, claim: Claim, reason: string, cut?: Extract<Look, { state: "lost" }>["cut"]): Look {
    const dir = this.dirOf(id);
    const output = readOutput(dir);
    return {
      state: "lost",
      reason,
      ...(cut === undefined ? {} : { cut }),
      startedAtMs: claim.claimedAtMs,
      output: output.output,
      outputBytes: output.outputBytes,
      requests: parseRequests(readCapped(join(dir, names.requests), REQUESTS_KEEP_BYTES)).requests,
      bootId: claim.bootId,
    };
  }

  /** A claim whose runner no supervisor watches over: the process table tells the rest. */
  unsupervised(id: string, claim: Claim): Look {
    const dir = this.dirOf(id);
    const sameBoot = claim.bootId === this.#options.bootId();
    if (sameBoot && isAlive(claim.pid, claim.startTime)) {
      this.watch(id);
      return { state: "running" };
    }
    // It may have ended properly between the first look and this one.
    const late = this.outcome(id);
    if (late !== undefined) return late;
    // Nobody watches over this hook any more, its deadline least of all: what is left of it ends first.
    if (sameBoot && this.#killHook(dir) > 0) return { state: "running" };
    return this.lost(id, claim, `the hook's runner (process ${claim.pid}) was killed`);
  }

  /**
   * Keeps the step from ever being started; if it has been, asks its runner to end it. `sealed` tells the two apart,
   * `ended` that there was nothing to be done.
   */
  cancel(id: string, reason: string): "sealed" | "asked" | "ended" {
    const dir = this.#make(id);
    if (existsSync(join(dir, names.result))) return "ended";
    if (this.seal(id, reason)) return "sealed";
    try {
      writeDurably(dir, names.cancel, reason);
    } catch (thrown) {
      // Without room for the file the runner can still be told; the journal keeps the reason.
      const owner = readJson<Claim>(dir, names.claim);
      if (owner === undefined || owner.sealed !== undefined || !isAlive(owner.pid, owner.startTime)) throw thrown;
      signal(owner.pid, "SIGUSR2");
    }
    return "asked";
  }

  /** Takes the claim so that no runner ever gets it; false when one has it. */
  seal(id: string, reason: string): boolean {
    const dir = this.#make(id);
    if (existsSync(join(dir, names.claim))) return false;
    const claim: Claim = {
      id,
      pid: process.pid,
      startTime: processStat(process.pid)?.startTime ?? "",
      bootId: this.#options.bootId(),
      claimedAtMs: Date.now(),
      sealed: reason,
    };
    if (!storing(dir, () => takeClaim(dir, claim))) return false;
    setImmediate(() => this.#options.announce(id));
    return true;
  }

  progress(id: string): Progress | undefined {
    const path = join(this.dirOf(id), names.requests);
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
    rmSync(this.dirOf(id), { recursive: true, force: true });
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

  /** Notices a result at once. Where the system has no watch left, the regular look finds it a little later. */
  watch(id: string): void {
    if (this.#watchers.has(id)) return;
    try {
      const watcher = watch(this.dirOf(id), { persistent: false }, (_event, name) => {
        if (name === names.result) this.#options.announce(id);
      });
      watcher.on("error", () => watcher.close());
      this.#watchers.set(id, watcher);
    } catch {
      // See above.
    }
  }

  #killHook(dir: string): number {
    const spec = readJson<Spec>(dir, names.spec);
    if (spec === undefined) return 0;
    const left = processesOf(HOOK_MARKER, spec.marker, readJson<Started>(dir, names.started));
    for (const pid of left) signal(pid, "SIGKILL");
    return left.length;
  }

  #make(id: string): string {
    const dir = this.dirOf(id);
    storing(dir, () => {
      if (mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined) syncDirectory(this.#options.dir);
    });
    return dir;
  }

  #directories(): string[] {
    return readdirSync(this.#options.dir).map((name) => join(this.#options.dir, name));
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

function sealed(claim: Claim, reason: string): Extract<Look, { state: "ended" }> {
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
