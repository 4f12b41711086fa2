import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { SlipwayError } from "@slipway/shared";
import { writeFileDurably } from "@slipway/shared/node";
import type { PoolHost } from "./pool.ts";
import { commandOf, endLeftovers, readPid } from "./processes.ts";

/** Where everything of an embedded pool lies. */
export class PoolDir {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }
  get cliConfig(): string {
    return join(this.root, "cli.yaml");
  }
  get controller(): string {
    return join(this.root, "controller");
  }
  get lock(): string {
    return join(this.root, "dev.pid");
  }
  get ports(): string {
    return join(this.root, "ports.json");
  }
  /** What the simulated platforms of all hosts share. */
  get world(): string {
    return join(this.root, "world");
  }
  host(name: string): string {
    return join(this.root, "hosts", name);
  }

  /** Makes sure that no other dev works here; leaves its own pid. The file is made exclusively, so two cannot both win. */
  acquire(): void {
    mkdirSync(this.root, { recursive: true, mode: 0o700 });
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        const fd = openSync(this.lock, "wx", 0o644);
        writeSync(fd, `${process.pid}\n`);
        closeSync(fd);
        return;
      } catch (cause) {
        if ((cause as { code?: unknown }).code !== "EEXIST")
          throw new SlipwayError("bad-input", `dev: ${this.root} cannot be written: ${(cause as Error).message}`, {
            fix: "name a directory of your own with --dir",
          });
      }
      const pid = readPid(this.lock);
      if (pid !== undefined && pid !== process.pid && commandOf(pid)?.split(" ").includes("dev"))
        throw new SlipwayError("refused", `dev: process ${pid} already runs the pool in ${this.root}`, {
          fix: `stop it with \`kill ${pid}\`, or name another --dir`,
        });
      rmSync(this.lock, { force: true });
    }
    throw new SlipwayError("refused", `dev: another dev is starting in ${this.root}`, { fix: "name another --dir" });
  }

  release(): void {
    if (readPid(this.lock) === process.pid) rmSync(this.lock, { force: true });
  }

  /** Ends processes that a killed dev left behind. */
  async endLeftovers(): Promise<number> {
    const files = [join(this.controller, "controller.pid")];
    const hosts = join(this.root, "hosts");
    if (existsSync(hosts)) for (const name of readdirSync(hosts)) files.push(join(hosts, name, "agent.pid"));
    const pids = files.map(readPid).filter((pid) => pid !== undefined);
    const ended = await endLeftovers(pids, `${this.root}/`);
    for (const file of files) rmSync(file, { force: true });
    return ended;
  }

  /** Two free loopback ports; those of last time where they are still free, so that old configurations stay right. */
  async choosePorts(): Promise<{ operator: number; enrol: number }> {
    const before = this.#portsBefore();
    const operator = (before && (await freePort(before.operator))) ?? (await freePort(0)) ?? 0;
    let enrol = (before && (await freePort(before.enrol))) ?? operator;
    while (enrol === operator) enrol = (await freePort(0)) ?? 0;
    const ports = { operator, enrol };
    writeFileDurably(this.ports, `${JSON.stringify(ports)}\n`, 0o644);
    return ports;
  }

  #portsBefore(): { operator: number; enrol: number } | undefined {
    try {
      const { operator, enrol } = JSON.parse(readFileSync(this.ports, "utf8")) as Record<string, unknown>;
      return isPort(operator) && isPort(enrol) ? { operator, enrol } : undefined;
    } catch {
      return undefined;
    }
  }

  /** Writes agent.properties of a host and makes its directories. Returns the file. */
  prepareHost(host: PoolHost, ports: { operator: number; enrol: number }, platform: string): string {
    const dir = this.host(host.name);
    const hooks = host.hooksDir ?? join(dir, "hooks");
    const probes = join(dir, "probes");
    if (host.hooksDir === undefined) mkdirSync(hooks, { recursive: true, mode: 0o755 });
    mkdirSync(probes, { recursive: true, mode: 0o755 });
    mkdirSync(join(dir, "state"), { recursive: true, mode: 0o700 });
    const properties = {
      "rolling.maintenance.hooks.dir": hooks,
      "rolling.maintenance.service.executor.disabled": "true",
      "slipway.controllers": `127.0.0.1:${ports.operator}`,
      "slipway.enrol": `127.0.0.1:${ports.enrol}`,
      "slipway.token.file": join(dir, "token"),
      "slipway.host": host.name,
      "slipway.labels": Object.entries(host.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
      "slipway.state.dir": join(dir, "state"),
      // Not the machine's own: these hosts only pretend to be machines.
      "slipway.probes.dir": probes,
      "slipway.platform": platform,
      ...(platform === "simulated" ? { "slipway.simulated.world": this.world } : {}),
      // A directory that was named on the command line, perhaps one for all hosts, is the operator's own.
      "slipway.hooks.push": String(host.hooksDir === undefined),
    };
    const file = join(dir, "agent.properties");
    const text = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
    writeFileDurably(file, `# Written by slipway dev at every start.\n${text.join("")}`, 0o600);
    return file;
  }

  /**
   * Puts the first instances into the world of the simulated platform: one file for each, in its own words. A world that is
   * there stays as it is: its instances may be anywhere by now.
   */
  seedWorld(hosts: readonly PoolHost[]): void {
    if (existsSync(this.world)) return;
    const making = `${this.world}.making`;
    rmSync(making, { recursive: true, force: true });
    for (const { name, instances, machine } of hosts) {
      const dir = join(making, name);
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      if (Object.keys(machine).length > 0)
        writeFileDurably(join(dir, "host.json"), `${JSON.stringify(machine)}\n`, 0o644);
      for (const instance of instances)
        writeFileDurably(join(dir, `${uuidOf(instance.name)}.json`), `${JSON.stringify(instance)}\n`, 0o644);
    }
    renameSync(making, this.world);
  }

  /** Whether the host got its certificate in an earlier life of the pool. */
  isEnrolled(host: string): boolean {
    // The agent writes it last, after its key.
    return existsSync(join(this.host(host), "state", "tls", "agent.pem"));
  }
}

/** The same for the same name, so that a pool is the same each time it is made. */
function uuidOf(name: string): string {
  const hex = createHash("sha256").update(name).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value < 65_536;
}

/** The port if it is free (0: any free one), else undefined. */
function freePort(wanted: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(wanted, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : undefined));
    });
  });
}
