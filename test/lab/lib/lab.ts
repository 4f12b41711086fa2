import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PATH } from "./image.ts";
import { type HostStatus, LAB_DIR, type LabSettings, type Reply } from "./protocol.ts";
import { claim, clear, clearDead, controlSocket, isAlive, labDir, logFile, readEntry } from "./registry.ts";
import { attempt, type Ended, LabError, messageOf, until } from "./system.ts";

export interface BootOptions {
  readonly settings: LabSettings;
  /** The lab ends with this process, even if this process is killed. */
  readonly dieWithParent: boolean;
}

/** A lab that is up, from the machine's side. */
export class Lab {
  readonly name: string;
  readonly #init: number;

  private constructor(name: string, init: number) {
    this.name = name;
    this.#init = init;
  }

  /** Boots the hosts of a new lab; they are up when this returns, with nothing of Slipway started. */
  static async boot({ settings, dieWithParent }: BootOptions): Promise<Lab> {
    claim(settings.name);
    const log = openSync(logFile(settings.name), "a", 0o600);
    const keeper = spawn(
      process.execPath,
      [fileURLToPath(new URL("keeper.ts", import.meta.url)), JSON.stringify({ settings, dieWithParent })],
      { stdio: ["ignore", log, log, "ipc"], detached: true },
    );
    try {
      await booted(keeper, settings.name);
      return Lab.find(settings.name);
    } catch (thrown) {
      clear(settings.name);
      throw thrown;
    } finally {
      keeper.removeAllListeners();
      keeper.unref();
      // The channel is the lifeline of a lab that is to die with this process; it must not keep this process alive, though.
      if (dieWithParent) keeper.channel?.unref();
      else if (keeper.connected) keeper.disconnect();
    }
  }

  /** A lab that somebody brought up. */
  static find(name: string): Lab {
    const entry = readEntry(name);
    if (entry === undefined || !isAlive(entry) || entry.init === 0) {
      clearDead();
      throw new LabError(`lab ${name} is not up; npm run lab -- up --hosts 3 brings one up`);
    }
    return new Lab(name, entry.init);
  }

  async #ask(request: object, limitMs = 120_000): Promise<readonly HostStatus[]> {
    const reply = await new Promise<Reply>((resolve, reject) => {
      const socket = connect(controlSocket(this.name));
      let text = "";
      socket.setTimeout(limitMs, () => socket.destroy(new Error("no answer")));
      socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      socket.once("error", (error) => reject(new LabError(`lab ${this.name}: ${error.message}`)));
      socket.once("close", () => {
        try {
          resolve(JSON.parse(text) as Reply);
        } catch {
          reject(new LabError(`lab ${this.name}: went down`));
        }
      });
      socket.write(`${JSON.stringify(request)}\n`);
    });
    if (reply.error !== undefined) throw new LabError(reply.error);
    return reply.hosts ?? [];
  }

  status(): Promise<readonly HostStatus[]> {
    return this.#ask({ command: "status" });
  }

  async host(name: string): Promise<HostStatus> {
    const hosts = await this.status();
    const found = hosts.find((host) => host.name === name);
    if (found === undefined) throw new LabError(`no host ${name}; there are ${hosts.map((h) => h.name).join(", ")}`);
    return found;
  }

  /** `systemctl reboot` in the host; returns at once. */
  async reboot(host: string): Promise<void> {
    await this.#ask({ command: "reboot", host });
  }

  /** All processes of the host are gone at once, and nobody is told. It starts again unless `stayDown`. */
  async powercut(host: string, stayDown = false): Promise<void> {
    await this.#ask({ command: "powercut", host, stayDown });
  }

  /** Starts a host that is off; returns when it is up. */
  async boots(host: string): Promise<void> {
    await this.#ask({ command: "boot", host });
  }

  /** Pulls the host's network cable. */
  async isolate(host: string): Promise<void> {
    await this.#ask({ command: "isolate", host });
  }

  async heal(host: string): Promise<void> {
    await this.#ask({ command: "heal", host });
  }

  /** Waits until the host has booted `boots` times and is up. */
  async waitForBoot(host: string, boots: number): Promise<void> {
    await until(`${host} has booted ${boots} times`, async () => {
      const now = await this.host(host);
      return now.boots >= boots && now.state === "up";
    });
  }

  /** The words that run a command in a host from the machine; `tty`: keep the terminal's type. */
  async enter(host: string, words: readonly string[], term = "dumb"): Promise<string[]> {
    const { leader } = await this.host(host);
    if (leader === 0) throw new LabError(`${host} is off; npm run lab -- boot ${host} starts it`);
    return [
      // Ends with this process, as everything inside ends with the lab.
      ...["setpriv", "--pdeathsig", "KILL"],
      ...["nsenter", "-t", String(this.#init), "-m", "-n", "-p", "--", "nsenter", "-t", String(leader), "-a", "--"],
      ...["env", "-i", `PATH=${PATH}`, "HOME=/root", "LANG=C.UTF-8", `TERM=${term}`, ...words],
    ];
  }

  async exec(
    host: string,
    words: readonly string[],
    options: { input?: string; limitMs?: number } = {},
  ): Promise<Ended> {
    const limitMs = options.limitMs ?? 120_000;
    // Ended inside: to kill nsenter would leave what it started in the host.
    const bounded = ["timeout", "-s", "KILL", (limitMs / 1000).toFixed(1), ...words];
    const [command = "", ...args] = await this.enter(host, bounded);
    return attempt(command, args, limitMs + 10_000, options.input ?? "");
  }

  /** Runs a shell script in a host; its failure is an error. */
  async sh(host: string, script: string, options: { input?: string; limitMs?: number } = {}): Promise<string> {
    const { status, stdout, stderr } = await this.exec(host, ["sh", "-c", script], options);
    if (status !== 0)
      throw new LabError(
        `${host}: ${script.slice(0, 200)}: status ${status}: ${(stderr || stdout).trim().slice(-1000)}`,
      );
    return stdout;
  }

  /** Where a host's file is on this machine, also while the host is off. Only what is on its disk: not /run, /tmp, /proc. */
  path(host: string, file: string): string {
    return join(`/proc/${this.#init}/root`, LAB_DIR, "hosts", host, "root", file);
  }

  /** With libvirt: where the guests' files are on this machine, see hypervisor.ts. */
  get guests(): string {
    return join(`/proc/${this.#init}/root`, LAB_DIR, "guests");
  }

  /** Ends everything; returns when nothing is left. */
  async down(): Promise<void> {
    const entry = readEntry(this.name);
    await this.#ask({ command: "down" }).catch(() => {});
    await until(`lab ${this.name} is gone`, () => entry === undefined || !isAlive(entry), 30_000);
    clear(this.name);
  }
}

/** Writes a file onto a host's disk, whether the host is on or off. */
export function putFile(lab: Lab, host: string, file: string, text: string | Buffer, mode = 0o644): void {
  const path = lab.path(host, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, mode);
}

function booted(keeper: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new LabError(`lab ${name} did not come up: ${why}`));
    keeper.on("message", (message: { booted?: true; failed?: string }) => {
      if (message.booted) resolve();
      else fail(message.failed ?? "no reason given");
    });
    keeper.once("error", (error) => fail(messageOf(error)));
    keeper.once("exit", (status, signal) => fail(`its keeper ended: ${signal ?? status}; see ${labDir(name)}/log`));
  });
}
