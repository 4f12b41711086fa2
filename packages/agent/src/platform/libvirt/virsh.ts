import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How a call of virsh ended. `text` is one line for people: empty when it is ok. */
export interface Answer {
  readonly state: "ok" | "failed" | "timed-out" | "too-much" | "missing" | "stopped";
  readonly stdout: string;
  readonly text: string;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
  /** What the command finds in /dev/stdin. */
  readonly input?: string;
  /** Ends virsh; what libvirtd does for it goes on. */
  readonly signal?: AbortSignal;
}

/** What talks to libvirt; tests answer from recordings. */
export interface Virsh {
  readonly uri: string;
  /** One command, words literally. Never throws. */
  run(args: readonly string[], options?: CallOptions): Promise<Answer>;
  /**
   * Many commands over one connection; `sections` holds what each printed, in order, empty for one that failed. Their words
   * are UUIDs and options only: virsh splits a batch itself, so nothing that an operator wrote may be part of one.
   */
  batch(commands: readonly string[], options?: CallOptions): Promise<Answer & { readonly sections: readonly string[] }>;
}

const DEADLINE_MS = 20_000;
const MAX_BYTES = 4 * 1024 ** 2;
const MAX_ERROR_BYTES = 64 * 1024;
/** Commands in one call: an argument may be 128 KiB long. */
const BATCH = 200;
const WORDS = /^[A-Za-z0-9 _=-]+$/;

/** The virsh of this machine. */
export class RealVirsh implements Virsh {
  readonly uri: string;
  readonly #program: string;
  readonly #children = new Set<ChildProcess>();

  constructor(uri: string, program = "virsh") {
    this.uri = uri;
    this.#program = program;
  }

  run(args: readonly string[], options: CallOptions = {}): Promise<Answer> {
    return this.#call(["-c", this.uri, "-q", ...args], options);
  }

  async batch(
    commands: readonly string[],
    options: CallOptions = {},
  ): Promise<Answer & { readonly sections: readonly string[] }> {
    const sections: string[] = [];
    let last: Answer = { state: "ok", stdout: "", text: "" };
    for (let at = 0; at < commands.length; at += BATCH) {
      const part = commands.slice(at, at + BATCH);
      for (const one of part) if (!WORDS.test(one)) throw new Error(`no plain virsh command: ${JSON.stringify(one)}`);
      // Nobody can have written this mark into a definition before.
      const mark = randomUUID();
      const script = part.map((one) => `${one}; echo ${mark}`).join("; ");
      last = await this.run([script], { maxBytes: 64 * 1024 ** 2, ...options });
      const found = last.stdout.split(mark);
      // The status of a batch is that of its last command, an echo: all marks are there, or it was cut off.
      if (last.state !== "ok" || found.length !== part.length + 1)
        return { ...last, state: last.state === "ok" ? "failed" : last.state, sections: [] };
      sections.push(...found.slice(0, part.length));
    }
    return { ...last, sections };
  }

  /** Ends what runs; migrations are libvirtd's own and go on. */
  close(): void {
    for (const one of this.#children) one.kill("SIGKILL");
  }

  /** For streams: the caller owns the process. */
  spawn(args: readonly string[]): ChildProcess {
    const process_ = spawn(this.#program, ["-c", this.uri, ...args], {
      env: environment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.add(process_);
    process_.once("close", () => this.#children.delete(process_));
    return process_;
  }

  #call(args: readonly string[], options: CallOptions): Promise<Answer> {
    const { timeoutMs = DEADLINE_MS, maxBytes = MAX_BYTES, input, signal } = options;
    return new Promise((resolve) => {
      const stdin = input === undefined ? "ignore" : openInput(input);
      const child = spawn(this.#program, [...args], { env: environment(), stdio: [stdin, "pipe", "pipe"] });
      if (stdin !== "ignore") closeSync(stdin);
      this.#children.add(child);
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      let outBytes = 0;
      let errBytes = 0;
      let cut: "timed-out" | "too-much" | "stopped" | undefined;
      // TERM and INT would ask virsh to abort a migration that it watches; KILL only takes the watcher.
      const end = (why: typeof cut) => {
        cut ??= why;
        child.kill("SIGKILL");
      };
      const timer = setTimeout(() => end("timed-out"), timeoutMs);
      const stop = () => end("stopped");
      if (signal?.aborted === true) stop();
      signal?.addEventListener("abort", stop, { once: true });
      const done = (answer: Answer) => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
        this.#children.delete(child);
        resolve(answer);
      };
      child.on("error", (error: NodeJS.ErrnoException) => {
        const text = error.code === "ENOENT" ? `${this.#program} is not installed` : error.message;
        done({ state: "missing", stdout: "", text });
      });
      child.stdout?.on("data", (chunk: Buffer) => {
        outBytes += chunk.length;
        if (outBytes > maxBytes) end("too-much");
        else out.push(chunk);
      });
      child.stderr?.on("data", (chunk: Buffer) => {
        errBytes += chunk.length;
        if (errBytes <= MAX_ERROR_BYTES) err.push(chunk);
      });
      child.on("close", (code, by) => {
        const stdout = Buffer.concat(out).toString("utf8");
        if (cut === "timed-out")
          return done({ state: cut, stdout: "", text: `virsh: no answer from ${this.uri} in ${timeoutMs} ms` });
        if (cut === "too-much")
          return done({ state: cut, stdout: "", text: `virsh: more than ${maxBytes} bytes of answer` });
        if (cut === "stopped") return done({ state: cut, stdout: "", text: "virsh: stopped" });
        const said = errorText(Buffer.concat(err).toString("utf8"));
        if (code === 0) return done({ state: "ok", stdout, text: said });
        return done({ state: "failed", stdout, text: said || `virsh ended with ${by ?? code}` });
      });
    });
  }
}

/** A file without a name: virsh opens /dev/stdin anew, which a pipe of Node's, a socket really, does not allow. */
function openInput(text: string): number {
  const path = join(tmpdir(), `slipway-virsh-${randomUUID()}`);
  writeFileSync(path, text, { mode: 0o600, flag: "wx" });
  try {
    return openSync(path, "r");
  } finally {
    rmSync(path);
  }
}

/** What virsh complained of, as one line. */
export function errorText(stderr: string): string {
  const lines = stderr
    .split("\n")
    .map((line) => line.replace(/^error:\s*/, "").trim())
    .filter((line) => line !== "");
  return [...new Set(lines)].join("; ").slice(0, 1000);
}

function environment(): NodeJS.ProcessEnv {
  const keep = ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"].flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]]],
  );
  // Its words are read, so they have to be the untranslated ones.
  return { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", ...Object.fromEntries(keep) };
}
