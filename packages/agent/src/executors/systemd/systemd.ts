import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SlipwayError } from "@slipway/shared";
import type { Claim } from "../../runner/files.ts";
import { isAlive } from "../../runner/processes.ts";
import type { Executor, Log, Look, Progress, Task } from "../../steps/ports.ts";
import { RUNNER, StepFiles, type StepFilesOptions } from "../step-files.ts";
import type { Systemd } from "./systemctl.ts";
import {
  cutOf,
  isPlainPath,
  parseLines,
  runArguments,
  STOP_PROGRAM,
  STOP_TEXT,
  type StepLimits,
  stoppedName,
  unitName,
  unitState,
} from "./unit.ts";

/** How old systemd's answer about a unit may be. */
const FRESH_MS = 200;
/** A start that systemd refuses is repeated by the core every few seconds; so many times, then the step is given up. */
const MAX_REFUSALS = 6;
/** Time beyond the grace after which a cancelled unit is stopped over the head of its runner. */
const STOP_AFTER_MS = 10_000;

export interface SystemdExecutorOptions extends Omit<StepFilesOptions, "memoryMax"> {
  readonly limits: StepLimits;
  readonly systemd: Systemd;
  readonly log: Log;
}

interface Known {
  readonly state: "up" | "gone" | "unknown";
  readonly atMs: number;
}

/**
 * Runs each hook in a transient unit of its own whose main process is the runner. Whether a unit still runs is systemd's to
 * say, how its hook ended the runner's; where that died, what systemd told ExecStopPost=.
 */
export class SystemdExecutor implements Executor {
  readonly #options: SystemdExecutorOptions;
  readonly #files: StepFiles;
  readonly #units = new Map<string, Known>();
  readonly #asking = new Set<string>();
  readonly #starting = new Set<string>();
  readonly #refusals = new Map<string, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #trouble = "";

  constructor(options: SystemdExecutorOptions) {
    this.#options = options;
    const path = [options.dir, process.execPath, RUNNER].find((one) => !isPlainPath(one));
    if (path !== undefined)
      throw new SlipwayError("bad-input", `${path}: cannot be named in a systemd unit`, {
        fix: "use a path of letters, digits and ._+@:,=- only, or set rolling.maintenance.service.executor.disabled=true",
      });
    const { memoryMax } = options.limits;
    this.#files = new StepFiles({ ...options, ...(memoryMax === undefined ? {} : { memoryMax }) });
  }

  start(id: string, task: Task): void {
    const prepared = this.#files.prepare(id, task, { [STOP_PROGRAM]: STOP_TEXT });
    if (prepared === undefined || this.#starting.has(id)) return;
    this.#files.watch(id);
    this.#starting.add(id);
    const { systemd, limits } = this.#options;
    const unit = this.#unitOf(id);
    const { dir: stepDir, spec } = prepared;
    void systemd
      .run(runArguments({ unit, stepDir, spec, limits, runner: [process.execPath, RUNNER] }))
      .then((answer) => {
        this.#starting.delete(id);
        if (answer.ok) this.#refusals.delete(id);
        else this.#refused(id, answer.reason);
      });
  }

  /** The runner's claim keeps the hook at one run, so a start that may have worked after all can be repeated. */
  #refused(id: string, reason: string): void {
    // A unit of that name is there: an earlier start, perhaps of an earlier agent process, has worked.
    if (/already (loaded|exists)|fragment file/.test(reason)) return;
    this.#options.log("warn", `${id}: its unit cannot be started (${reason})`);
    // The host is going down; the step is taken up again after its return.
    if (/destructive/.test(reason)) return;
    const refusals = (this.#refusals.get(id) ?? 0) + 1;
    this.#refusals.set(id, refusals);
    if (refusals < MAX_REFUSALS) return;
    try {
      this.#files.seal(id, `systemd does not start its unit: ${reason}`);
      this.#refusals.delete(id);
    } catch (thrown) {
      this.#options.log("error", `${id}: cannot be given up (${SlipwayError.from(thrown).message})`);
    }
  }

  look(id: string): Look {
    const recorded = this.#files.recorded(id);
    if (recorded.state !== "claimed") return recorded;
    const { claim } = recorded;
    // Started by the direct executor, which was in use then.
    if (claim.unit === undefined) return this.#files.unsupervised(id, claim);
    if (claim.bootId !== this.#options.bootId()) {
      const stopped = this.#stopped(id, claim);
      if (stopped.size === 0) return this.#files.lost(id, claim, "the host went down", "power");
      const { reason, cut } = cutOf(stopped, this.#files.spec(id), claim);
      return this.#files.lost(id, claim, reason, cut);
    }
    if (isAlive(claim.pid, claim.startTime)) {
      this.#files.watch(id);
      return { state: "running" };
    }
    // It may have ended properly between the first look and this one.
    const late = this.#files.outcome(id);
    if (late !== undefined) return late;
    // Its runner is dead, but what else is in the unit may have some time left until systemd has ended it.
    if (this.#ask(id, claim.unit) !== "gone") return { state: "running" };
    const { reason, cut } = cutOf(this.#stopped(id, claim), this.#files.spec(id), claim);
    return this.#files.lost(id, claim, reason, cut);
  }

  cancel(id: string, reason: string): void {
    if (this.#files.cancel(id, reason) !== "asked") return;
    const graceMs = this.#files.spec(id)?.graceMs ?? 0;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.look(id).state === "running")
        void this.#options.systemd.systemctl(["stop", "--no-block", this.#unitOf(id)]).then((answer) => {
          if (!answer.ok) this.#options.log("warn", `${id}: its unit cannot be stopped (${answer.reason})`);
        });
    }, graceMs + STOP_AFTER_MS);
    timer.unref();
    this.#timers.add(timer);
  }

  progress(id: string): Progress | undefined {
    return this.#files.progress(id);
  }

  forget(id: string): void {
    this.#files.forget(id);
    this.#units.delete(id);
    this.#refusals.delete(id);
  }

  known(): readonly string[] {
    return this.#files.known();
  }

  /** Stops noticing; what runs goes on. */
  close(): void {
    this.#files.close();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Ends every runner and hook without giving them a chance to record anything, as a power cycle would. */
  cutPower(): void {
    this.#files.cutPower();
  }

  #unitOf(id: string): string {
    return unitName(this.#options.dir, id);
  }

  /** What systemd said last; asks again if that is old. Never waits: an agent must not hang with its systemd. */
  #ask(id: string, unit: string): Known["state"] {
    const known = this.#units.get(id);
    if (known?.state === "gone") return "gone";
    const isFresh = known !== undefined && performance.now() - known.atMs < FRESH_MS;
    if (!isFresh && !this.#asking.has(id)) {
      this.#asking.add(id);
      void this.#options.systemd.systemctl(["show", "--property=LoadState,ActiveState", unit]).then((answer) => {
        this.#asking.delete(id);
        const state = answer.ok ? unitState(parseLines(answer.text)) : "unknown";
        const trouble = answer.ok ? "" : answer.reason;
        if (trouble !== "" && trouble !== this.#trouble)
          this.#options.log("warn", `${id}: systemd cannot be asked (${trouble}); it counts as running`);
        this.#trouble = trouble;
        this.#units.set(id, { state, atMs: performance.now() });
        if (state === "gone") this.#options.announce(id);
      });
    }
    return known?.state ?? "unknown";
  }

  /** The stop record of the invocation that had the claim; empty when there is none. */
  #stopped(id: string, claim: Claim): ReadonlyMap<string, string> {
    try {
      return parseLines(readFileSync(join(this.#files.dirOf(id), stoppedName(claim.invocation ?? "")), "utf8"));
    } catch {
      return new Map();
    }
  }
}
