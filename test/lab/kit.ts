import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { guestKernel } from "./lib/guest-kernel.ts";
import { type Lab, putFile } from "./lib/lab.ts";
import { obstacle } from "./lib/prerequisites.ts";
import type { Features } from "./lib/protocol.ts";
import { CONTROLLER, slipwayWords, type UpOptions, up } from "./lib/slipway.ts";
import { type Ended, messageOf, until } from "./lib/system.ts";

export { CONTROLLER, until };

export const stages = ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"] as const;
export type Stage = (typeof stages)[number];

/** Why tests that need a lab with these features cannot run; undefined when they can. What was missing is there by now, see prepare.ts. */
export function unable(features: Features = {}): string | undefined {
  let reason = obstacle(features);
  if (reason === undefined && features.libvirt) {
    try {
      guestKernel(() => {});
    } catch (thrown) {
      reason = messageOf(thrown);
    }
  }
  if (reason !== undefined) console.log(`lab tests are skipped: ${reason}`);
  return reason;
}

/** Why the tests of this tier are skipped; undefined when they run. Said once per file. */
export const skipped = unable();

export interface StageReport {
  stage: string;
  attempt: number;
  verdict: string;
  exitCode: number | null;
  signal: string;
  output: string;
}
export interface HostReport {
  name: string;
  outcome: string;
  reason: string;
  stages: StageReport[];
}
/** The report as `report --format json` prints it, as far as tests look at it. */
export interface Report {
  run: string;
  outcome: string;
  success: boolean;
  details: string;
  hosts: HostReport[];
}

/** On the disk of each host: survives reboots and power cuts. */
const COUNTS = "/var/lib/lab-counts";
const HOOKS = "/etc/slipway/hooks.d";

/** Slipway on real hosts, as tests use it. */
export class Pool {
  readonly lab: Lab;
  readonly hosts: readonly string[];

  private constructor(lab: Lab, hosts: readonly string[]) {
    this.lab = lab;
    this.hosts = hosts;
  }

  /** `name`: what the lab is for; another run of the tests on the same machine has labs of its own. */
  static async start(name: string, hosts: UpOptions["hosts"], options: Partial<UpOptions> = {}): Promise<Pool> {
    const lab = await up({
      name: `${name}-${process.pid}`,
      hosts,
      dieWithParent: true,
      packages: process.env["SLIPWAY_LAB_PACKAGES"],
      ...options,
    });
    const names =
      typeof hosts === "number" ? Array.from({ length: hosts }, (_, i) => `hv${i + 1}`) : Object.keys(hosts);
    return new Pool(lab, names);
  }

  stop(): Promise<void> {
    return this.lab.down();
  }

  slipway(...args: string[]): Promise<Ended> {
    return this.lab.exec(CONTROLLER, slipwayWords(args), { limitMs: 300_000 });
  }

  /** Starts a run and leaves it. */
  async detach(...args: string[]): Promise<string> {
    const { stdout, stderr } = await this.slipway("--json", "start", "--detach", ...args);
    try {
      return (JSON.parse(stdout) as { run: string }).run;
    } catch {
      throw new Error(`start --detach ${args.join(" ")}: ${stdout}${stderr}`);
    }
  }

  /** The report of a run, once it has ended; the controller and its host may go down and come back meanwhile. */
  async ended(run: string, limitMs = 180_000): Promise<Report> {
    const over = async () =>
      (await this.slipway("watch", run).catch(() => undefined))?.stdout.includes("=> ended: ") ?? false;
    const limit = new Promise<never>((_, reject) =>
      setTimeout(() => reject(new Error(`run ${run} does not end`)), limitMs).unref(),
    );
    try {
      await Promise.race([until(`run ${run} ends`, over, limitMs, 500), limit]);
    } catch (thrown) {
      const { stdout, stderr } = await this.slipway("show", run);
      throw new Error(`${messageOf(thrown)}: ${stdout}${stderr}`);
    }
    const { stdout, stderr } = await this.slipway("report", run, "--format", "json");
    try {
      return JSON.parse(stdout) as Report;
    } catch {
      throw new Error(`report ${run}: ${stdout}${stderr}`);
    }
  }

  async roll(...args: string[]): Promise<Report> {
    return this.ended(await this.detach(...args));
  }

  /** The report in words, with the run's log. */
  async story(run: string): Promise<string> {
    return (await this.slipway("report", run, "--format", "text", "--log")).stdout;
  }

  /** Gives hosts a hook: a shell script's body. */
  hook(stage: Stage, body: string, hosts: readonly string[] = this.hosts): void {
    for (const host of hosts) putFile(this.lab, host, `${HOOKS}/${stage}`, `#!/bin/sh\n${body}\n`, 0o755);
  }

  /** A hook that counts its executions by itself: "run" before its body, "end" after it. */
  countingHook(stage: Stage, body: string, hosts: readonly string[] = this.hosts): void {
    const file = `${COUNTS}/$SLIPWAY_RUN.$SLIPWAY_HOST.$SLIPWAY_STAGE.$SLIPWAY_ATTEMPT`;
    this.hook(stage, `mkdir -p ${COUNTS}\necho run >> "${file}"\n${body}\necho end >> "${file}"`, hosts);
  }

  /** Counting hooks in all stages that end at once, but for those in `bodies`. */
  allHooks(bodies: Partial<Record<Stage, string>> = {}, hosts: readonly string[] = this.hosts): void {
    for (const stage of stages) this.countingHook(stage, bodies[stage] ?? `echo "${stage} done"`, hosts);
  }

  clearHooks(): void {
    for (const host of this.hosts)
      for (const stage of stages) rmSync(this.lab.path(host, `${HOOKS}/${stage}`), { force: true });
  }

  /** What counting hooks of a run counted on a host: `stage.attempt` to its lines. */
  counts(run: string, host: string): Record<string, string[]> {
    const dir = this.lab.path(host, COUNTS);
    const prefix = `${run}.${host}.`;
    if (!existsSync(dir)) return {};
    return Object.fromEntries(
      readdirSync(dir)
        .filter((file) => file.startsWith(prefix))
        .map((file) => [file.slice(prefix.length), readFileSync(join(dir, file), "utf8").trim().split("\n")]),
    );
  }

  /** Waits until a stage's counting hook runs on a host. */
  async running(run: string, host: string, stage: Stage, attempt = 1): Promise<void> {
    await until(`${stage} runs on ${host}`, () => this.counts(run, host)[`${stage}.${attempt}`] !== undefined, 120_000);
  }

  connected(host: string): Promise<void> {
    return until(
      `${host} is connected`,
      async () => {
        const { status, stdout } = await this.slipway("--json", "host", "list");
        if (status !== 0) return false;
        const { hosts } = JSON.parse(stdout) as { hosts: { name: string; connected: boolean }[] };
        return hosts.some((one) => one.name === host && one.connected);
      },
      60_000,
      250,
    );
  }
}
