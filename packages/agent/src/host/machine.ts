import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileDurably } from "@slipway/shared/node";
import type { Machine } from "../steps/ports.ts";
import type { HostFacts } from "../steps/types.ts";
import { HostSurvey } from "./survey.ts";

const REBOOT_DEADLINE_MS = 60_000;
/** Exit status with which the agent of a simulated host leaves when its host "reboots"; its supervisor starts it again. */
export const EXIT_REBOOTED = 75;
/** A simulated reboot leaves this much time for the last words on the stream; a real one does too. */
const SIMULATED_SHUTDOWN_MS = 100;

/** The machine the agent runs on. */
export class RealMachine implements Machine {
  readonly #bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  readonly #survey = new HostSurvey(uptimeMs);

  bootId(): string {
    return this.#bootId;
  }
  wallMs(): number {
    return Date.now();
  }
  monotonicMs(): number {
    return uptimeMs();
  }
  facts(id: string): HostFacts | undefined {
    return this.#survey.facts(id);
  }
  reboot(failed: (reason: string) => void): void {
    execFile("systemctl", ["reboot"], { timeout: REBOOT_DEADLINE_MS, maxBuffer: 64 * 1024 }, (error, _out, stderr) => {
      // On success the host is about to go down; the next boot proves it.
      if (error === null) return;
      const text = stderr.trim().replace(/\s+/g, " ").slice(0, 500);
      failed(`systemctl reboot: ${error.killed ? `no answer in ${REBOOT_DEADLINE_MS} ms` : text || error.message}`);
    });
  }
}

export interface SimulatedMachineOptions {
  readonly stateDir: string;
  /** Ends every process of the host's running steps. */
  readonly cutPower: () => void;
  /** Ends this process. */
  readonly exit: (status: number) => void;
}

/** A host whose power cycle takes nothing but its agent and its hooks with it; for embedded pools. */
export class SimulatedMachine implements Machine {
  readonly #options: SimulatedMachineOptions;
  readonly #file: string;
  readonly #bootId: string;
  #goingDown = false;

  constructor(options: SimulatedMachineOptions) {
    this.#options = options;
    this.#file = join(options.stateDir, "simulated-boot-id");
    if (!existsSync(this.#file)) writeFileDurably(this.#file, `${crypto.randomUUID()}\n`);
    this.#bootId = readFileSync(this.#file, "utf8").trim();
  }

  bootId(): string {
    return this.#bootId;
  }
  wallMs(): number {
    return Date.now();
  }
  monotonicMs(): number {
    return uptimeMs();
  }
  reboot(failed: (reason: string) => void): void {
    if (this.#goingDown) return;
    this.#goingDown = true;
    setTimeout(() => {
      try {
        this.#options.cutPower();
        writeFileDurably(this.#file, `${crypto.randomUUID()}\n`);
      } catch (thrown) {
        this.#goingDown = false;
        failed(`simulated reboot: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
        return;
      }
      this.#options.exit(EXIT_REBOOTED);
    }, SIMULATED_SHUTDOWN_MS);
  }
}

/** From CLOCK_MONOTONIC, which starts at boot: setting the clock does not move it. */
function uptimeMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
