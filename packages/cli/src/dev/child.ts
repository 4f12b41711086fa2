import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, rmSync } from "node:fs";
import { SlipwayError } from "@slipway/shared";
import { writeFileDurably } from "@slipway/shared/node";
import type { Program } from "./programs.ts";

/** Exit status by which an agent of the simulated platform says that its host reboots. */
export const REBOOT_STATUS = 75;
/** As systemd's RestartSec of our units. */
const RESTART_MS = 1000;

export interface ChildSpec {
  /** For messages: "controller" or the host's name. */
  readonly name: string;
  readonly program: Program;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly pidFile: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Keeps one process running: starts it again one second after every death, until it is stopped. */
export class Child {
  readonly #spec: ChildSpec;
  readonly #say: (line: string) => void;
  #process: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  #gone: Promise<void> = Promise.resolve();

  constructor(spec: ChildSpec, say: (line: string) => void) {
    this.#spec = spec;
    this.#say = say;
  }

  start(): void {
    const { program, args, logFile, pidFile, env } = this.#spec;
    const log = openSync(logFile, "a", 0o600);
    try {
      // Its own process group: Ctrl-C at the terminal reaches dev alone, which then stops its children in order.
      const child = spawn(program.file, [...program.words, ...args], {
        detached: true,
        stdio: ["ignore", log, log],
        env,
      });
      this.#process = child;
      this.#gone = new Promise((resolve) => {
        child.once("error", (error) => {
          this.#say(`${this.#spec.name}: cannot be started: ${error.message}`);
          resolve();
          this.#again();
        });
        child.once("exit", (status, signal) => {
          resolve();
          this.#ended(status, signal);
        });
      });
      if (child.pid !== undefined) this.#tellPid(child, pidFile);
    } finally {
      closeSync(log);
    }
  }

  /** On a full disk the process runs all the same; its pid is written down once there is room. */
  #tellPid(child: ChildProcess, pidFile: string): void {
    if (this.#process !== child || this.#stopping) return;
    try {
      writeFileDurably(pidFile, `${child.pid}\n`, 0o644);
    } catch (thrown) {
      rmSync(pidFile, { force: true });
      this.#say(
        `${this.#spec.name}: its pid cannot be written down (${SlipwayError.from(thrown).message}), trying again`,
      );
      setTimeout(() => this.#tellPid(child, pidFile), RESTART_MS).unref();
    }
  }

  #ended(status: number | null, signal: NodeJS.Signals | null): void {
    this.#process = undefined;
    if (this.#stopping) return;
    if (status === REBOOT_STATUS) this.#say(`${this.#spec.name}: rebooting`);
    else
      this.#say(
        `${this.#spec.name}: ended ${signal === null ? `with status ${status}` : `by ${signal}`}, starting again in 1 s (log: ${this.#spec.logFile})`,
      );
    this.#again();
  }

  #again(): void {
    if (this.#stopping) return;
    this.#timer = setTimeout(() => this.start(), RESTART_MS);
  }

  /** TERM, then KILL after `graceMs`; resolves when the process is gone and its pid file with it. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#process;
    if (child !== undefined) {
      child.kill("SIGTERM");
      const hard = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await this.#gone;
      clearTimeout(hard);
    }
    rmSync(this.#spec.pidFile, { force: true });
  }
}
