import { spawn } from "node:child_process";
import type { Answer } from "./answer.ts";
import type { RunOptions } from "./probe.ts";
import { inUnit, isInstalled } from "./sandbox.ts";

const MAX_BYTES = 8 * 1024 ** 2;
const MAX_ERROR_BYTES = 64 * 1024;
/** A program that was killed and whose children keep its output open is waited for no longer than this. */
const CLOSE_MS = 1_000;

export interface CommandOptions extends Required<Pick<RunOptions, "timeoutMs">>, Pick<RunOptions, "env"> {
  readonly signal?: AbortSignal;
  /** The agent is in its unit's sandbox. Default: what the unit says, `SLIPWAY_SANDBOX=yes`. */
  readonly isSandboxed?: boolean;
  /** Bytes of standard output that are read; more make the answer unreadable. Default 8 MiB. */
  readonly maxBytes?: number;
}

/**
 * Runs a program with literal arguments, in a process group of its own that is killed at the deadline, and untranslated: its words
 * are read. Never throws.
 */
export function runCommand(argv: readonly string[], options: CommandOptions): Promise<Answer> {
  const { timeoutMs, env, signal, maxBytes = MAX_BYTES } = options;
  const { isSandboxed = process.env["SLIPWAY_SANDBOX"] === "yes" } = options;
  const [name = ""] = argv;
  const given = { ...env, LC_ALL: "C" };
  if (isSandboxed && !isInstalled(name))
    return Promise.resolve({ stdout: "", stderr: "", timedOut: false, problem: `${name} is not installed` });
  const [program = "", ...args] = isSandboxed ? inUnit({ argv, env: given, timeoutMs }) : argv;
  return new Promise((resolve) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let outBytes = 0;
    let errBytes = 0;
    let timedOut = false;
    let problem = "";
    let isDone = false;
    let lastResort: NodeJS.Timeout | undefined;
    const done = (exitCode?: number) => {
      if (isDone) return;
      isDone = true;
      clearTimeout(timer);
      clearTimeout(lastResort);
      signal?.removeEventListener("abort", stop);
      resolve({
        stdout: Buffer.concat(out).toString("utf8"),
        stderr: Buffer.concat(err).toString("utf8"),
        ...(exitCode === undefined ? {} : { exitCode }),
        timedOut,
        problem,
      });
    };
    const child = spawn(program, args, {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: process.env["HOME"] ?? "/", ...given },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const kill = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended.
      }
      lastResort ??= setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        done();
      }, CLOSE_MS);
    };
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, timeoutMs);
    const stop = () => {
      problem ||= "stopped";
      kill();
    };
    signal?.addEventListener("abort", stop, { once: true });
    child.on("error", (error: NodeJS.ErrnoException) => {
      problem = error.code === "ENOENT" ? `${program} is not installed` : `${program}: ${error.message}`;
      done();
    });
    child.stdout.on("data", (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes <= maxBytes) out.push(chunk);
      else {
        problem ||= `more than ${maxBytes} bytes of answer`;
        kill();
      }
    });
    child.stderr.on("data", (chunk: Buffer) => {
      errBytes += chunk.length;
      if (errBytes <= MAX_ERROR_BYTES) err.push(chunk);
    });
    child.on("close", (code) => done(code ?? undefined));
    if (signal?.aborted === true) stop();
  });
}
