import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const cli = join(root, "packages/cli/bin/slipway.mjs");

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The report as `start --json` prints it, as far as tests look at it. */
export interface Report {
  run: string;
  outcome: string;
  success: boolean;
  details: string;
  hostsupdated: { hostid: string; hostname: string; startdate: string; enddate: string; output: string }[];
  hostsskipped: { hostid: string; hostname: string; reason: string }[];
  hosts: {
    name: string;
    outcome: string;
    reason: string;
    stages: {
      stage: string;
      attempt: number;
      verdict: string;
      exitCode: number | null;
      signal: string;
      startedAt: string;
      endedAt: string;
      durationMs: number;
      output: string;
    }[];
    instances: {
      name: string;
      verb: string;
      purpose: string;
      from: string;
      to: string;
      outcome: string;
      reason: string;
    }[];
    notes: { text: string }[];
  }[];
  ledger: { host: string; kind: string; change: string; instance: string }[];
}

/** An instance of the simulated platform, in the words of its files. */
export interface SeedInstance {
  readonly name: string;
  readonly [word: string]: unknown;
}

/** An embedded pool of real processes, with everything in one temporary directory. */
export class Pool {
  readonly dir: string;
  readonly hosts: readonly string[];
  readonly #dev: ChildProcess;
  readonly #owned: boolean;

  private constructor(dir: string, hosts: readonly string[], dev: ChildProcess, owned: boolean) {
    this.dir = dir;
    this.hosts = hosts;
    this.#dev = dev;
    this.#owned = owned;
  }

  /** Brings a pool up; ends with everything ended and removed when `stop` is called. `dir`: an existing directory to keep. */
  static async start(
    hosts: number | Record<string, Record<string, string>>,
    options: { dir?: string; args?: string[]; instances?: Record<string, readonly SeedInstance[]> } = {},
  ): Promise<Pool> {
    const dir = options.dir ?? mkdtempSync(join(tmpdir(), "slipway-e2e-"));
    const args = ["dev", "--dir", dir, ...(options.args ?? [])];
    const names =
      typeof hosts === "number" ? Array.from({ length: hosts }, (_, i) => `hv${i + 1}`) : Object.keys(hosts);
    if (typeof hosts === "number") args.push("--hosts", String(hosts));
    else {
      const pool = join(dir, "pool.yaml");
      const seeded = Object.entries(hosts).map(([name, labels]) => ({
        ...{ name, labels, instances: options.instances?.[name] ?? [] },
      }));
      writeFileSync(pool, JSON.stringify({ hosts: seeded }));
      args.push("--pool", pool);
    }
    const dev = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    dev.stderr?.on("data", (c) => (said += c));
    await new Promise<void>((resolve, reject) => {
      dev.stdout?.on("data", (c) => {
        said += c;
        if (/^ready/m.test(said)) resolve();
      });
      dev.once("exit", (code) => reject(new Error(`slipway dev ended with ${code}: ${said}`)));
    });
    return new Pool(dir, names, dev, options.dir === undefined);
  }

  async stop(): Promise<void> {
    if (this.#dev.exitCode === null && this.#dev.signalCode === null) {
      const exit = new Promise((resolve) => this.#dev.once("exit", resolve));
      this.#dev.kill("SIGTERM");
      await exit;
    }
    if (this.#owned) rmSync(this.dir, { recursive: true, force: true });
  }

  get config(): string {
    return join(this.dir, "cli.yaml");
  }

  /** Runs the command line as an operator would, in a pipe. */
  slipway(...args: string[]): Promise<Ended> {
    return this.slipwayAs(this.config, ...args);
  }

  slipwayAs(config: string, ...args: string[]): Promise<Ended> {
    return finished(this.spawn(["--config", config, ...args]));
  }

  spawn(args: string[]): ChildProcess {
    return spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  }

  /** The same while the controller is being killed: asked again until it is there for long enough to answer. */
  async steadily(...args: string[]): Promise<Ended> {
    for (let tries = 0; ; tries++) {
      const ended = await this.slipway(...args);
      if (tries >= 20 || !/cannot be reached|no answer within/.test(ended.stderr)) return ended;
    }
  }

  /** Does the controller take connections just now? */
  controllerListens(): Promise<boolean> {
    const [, host = "", port = ""] = /controller:\s*"?([\d.]+):(\d+)/.exec(readFileSync(this.config, "utf8")) ?? [];
    return new Promise((resolve) => {
      const socket = connect(Number(port), host);
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
  }

  /** How often the agent of a host has been connected, in all its lives, by its own log. */
  connections(host: string): number {
    const log = readFileSync(join(this.dir, "hosts", host, "agent.log"), "utf8");
    return log.split("connecting => connected").length - 1;
  }

  /** Starts a run, follows it to its end, returns its report. */
  async roll(...args: string[]): Promise<Ended & { report: Report }> {
    const ended = await this.slipway("--json", "start", ...args);
    try {
      return { ...ended, report: JSON.parse(ended.stdout) as Report };
    } catch {
      throw new Error(
        `start ${args.join(" ")}: no report (exit status ${ended.status}): ${ended.stdout}${ended.stderr}`,
      );
    }
  }

  /** Starts a run and leaves it. */
  async detach(...args: string[]): Promise<string> {
    const { stdout, stderr } = await this.steadily("--json", "start", "--detach", ...args);
    try {
      return (JSON.parse(stdout) as { run: string }).run;
    } catch {
      throw new Error(`start --detach ${args.join(" ")}: ${stdout}${stderr}`);
    }
  }

  async report(run: string): Promise<Report> {
    const { stdout, stderr } = await this.steadily("report", run, "--format", "json");
    try {
      return JSON.parse(stdout) as Report;
    } catch {
      throw new Error(`report ${run}: ${stdout}${stderr}`);
    }
  }

  /** What lies on each host of the simulated world, "name" or "name (state)"; independent of what anybody says of it. */
  world(): Record<string, string[]> {
    const on = (host: string) => {
      const dir = join(this.dir, "world", host);
      const files = readdirSync(dir).filter((f) => /^[0-9a-f-]{36}\.json$/.test(f));
      const read = files.map((f) => JSON.parse(readFileSync(join(dir, f), "utf8")) as { name: string; state?: string });
      return read.map((i) => ((i.state ?? "running") === "running" ? i.name : `${i.name} (${i.state})`)).sort();
    };
    return Object.fromEntries(this.hosts.map((host) => [host, on(host)]));
  }

  hooksDir(host: string): string {
    return join(this.dir, "hosts", host, "hooks");
  }

  /** Gives hosts (all by default) a hook: a shell script's body. */
  hook(stage: string, body: string, hosts: readonly string[] = this.hosts): void {
    for (const host of hosts) script(this.hooksDir(host), stage, body);
  }

  /** Gives a host a probe of its own: a shell script's body. */
  probe(host: string, name: string, body: string): void {
    script(join(this.dir, "hosts", host, "probes"), name, body);
  }

  /** A hook that counts its executions by itself: one line a time in one file per host, stage and attempt. */
  countingHook(stage: string, then: string, hosts: readonly string[] = this.hosts): void {
    mkdirSync(join(this.dir, "counts"), { recursive: true });
    const file = `${this.dir}/counts/$SLIPWAY_RUN.$SLIPWAY_HOST.$SLIPWAY_STAGE.$SLIPWAY_ATTEMPT`;
    this.hook(stage, `echo run >> "${file}"\n${then}\necho end >> "${file}"`, hosts);
  }

  /** What counting hooks of a run counted: `host.stage.attempt` to "run" and "end" lines. */
  counts(run: string): Record<string, string[]> {
    const dir = join(this.dir, "counts");
    if (!existsSync(dir)) return {};
    const mine = readdirSync(dir).filter((f) => f.startsWith(`${run}.`));
    return Object.fromEntries(
      mine.map((f) => [f.slice(run.length + 1), readFileSync(join(dir, f), "utf8").trim().split("\n")]),
    );
  }

  pid(what: string): number {
    const file = what === "controller" ? "controller/controller.pid" : `hosts/${what}/agent.pid`;
    return Number(readFileSync(join(this.dir, file), "utf8"));
  }

  /** SIGKILLs the controller or the agent of a host; false when it is not up just now. */
  kill(what: string, signal: NodeJS.Signals = "SIGKILL"): boolean {
    try {
      process.kill(this.pid(what), signal);
      return true;
    } catch {
      return false;
    }
  }
}

function script(dir: string, name: string, body: string): void {
  const file = join(dir, name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

export function finished(child: ChildProcess): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (c) => (stdout += c));
  child.stderr?.setEncoding("utf8").on("data", (c) => (stderr += c));
  return new Promise((resolve) => child.once("close", (status) => resolve({ status: status ?? -1, stdout, stderr })));
}

/** Waits for something to become true; the limit is only there so that a broken build ends. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 60_000,
): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > limit) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await sleep(50);
  }
}

export { sleep };
