import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "@slipway/shared";
import { writeFileDurably } from "@slipway/shared/node";
import { OperatorClient } from "../client.ts";
import { loadConfig } from "../config.ts";
import type { ExitStatus } from "../context.ts";
import type { Io } from "../io.ts";
import { clean, count } from "../render/text.ts";
import { Child } from "./child.ts";
import type { PoolHost } from "./pool.ts";
import { PoolDir } from "./pooldir.ts";
import { findProgram, type Program, runProgram } from "./programs.ts";

export interface PoolOptions {
  readonly io: Io;
  /** Absolute. */
  readonly dir: string;
  readonly hosts: readonly PoolHost[];
  readonly platform: "simulated" | "none";
}

/** A pool that is not ready by then has a reason worth reading; large pools get a second more per host. */
const READY_MS = 60_000;
const POLL_MS = 150;
/** Agents finish what they write; the controller is stopped after them, so that it sees them go. */
const STOP_MS = 10_000;

/** Runs the pool in the foreground until a signal stops it. */
export async function runPool(options: PoolOptions): Promise<ExitStatus> {
  const { io, hosts } = options;
  const say = (line: string) => io.out(`${line}\n`);
  const dir = new PoolDir(options.dir);
  const controllerProgram = findProgram("controller", io.env);
  const agentProgram = findProgram("agent", io.env);
  dir.acquire();
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of signals) process.on(name, onSignal);
  const agents: Child[] = [];
  let controller: Child | undefined;
  let client: OperatorClient | undefined;
  try {
    const ended = await dir.endLeftovers();
    if (ended > 0) say(`ended ${ended === 1 ? "1 process" : `${ended} processes`} of an earlier dev`);
    const ports = await dir.choosePorts();
    await initController(controllerProgram, dir, ports);
    controller = new Child(
      {
        name: "controller",
        program: controllerProgram,
        args: ["run", "--dir", dir.controller, ...listenFlags(ports)],
        logFile: join(dir.controller, "controller.log"),
        pidFile: join(dir.controller, "controller.pid"),
        env: io.env,
      },
      say,
    );
    controller.start();
    client = new OperatorClient(loadConfig(dir.cliConfig, {}));
    const deadline = performance.now() + READY_MS + Math.max(0, hosts.length - 60) * 1000;
    const connected = await waitFor(client, hosts, deadline, stop.signal, async (api) => {
      await startAgents(api, dir, ports, options, agentProgram, agents, say, stop.signal);
    });
    if (connected === "ready") {
      say(`ready: ${count(hosts.length, "host")}; slipway --config ${dir.cliConfig} host list`);
      await new Promise<void>((resolve) => {
        if (stop.signal.aborted) resolve();
        else stop.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    } else if (connected !== "stopped") throw notReady(connected, dir, hosts);
    say("stopping");
    return 0;
  } finally {
    client?.close();
    await Promise.all(agents.map((agent) => agent.stop(STOP_MS)));
    await controller?.stop(STOP_MS);
    dir.release();
    for (const name of signals) process.removeListener(name, onSignal);
  }
}

/** The arguments of `init` and `run` that say where to listen. */
function listenFlags(ports: { operator: number; enrol: number }): string[] {
  return ["--listen", `127.0.0.1:${ports.operator}`, "--enrol-listen", `127.0.0.1:${ports.enrol}`];
}

/** Makes what is missing: authority and server certificate, one operator and one viewer. */
async function initController(
  program: Program,
  dir: PoolDir,
  ports: { operator: number; enrol: number },
): Promise<void> {
  // `init` keeps a configuration that is there and refuses to change its addresses; `run` is told the real ones anyway.
  const first = !existsSync(join(dir.controller, "controller.yaml"));
  await runProgram(program, ["init", "--dir", dir.controller, ...(first ? listenFlags(ports) : [])]);
  const address = `127.0.0.1:${ports.operator}`;
  await Promise.all(
    (
      [
        ["admin", "operator", dir.root],
        ["viewer", "viewer", join(dir.root, "viewer")],
      ] as const
    ).map(async ([name, role, out]) => {
      if (isConfigFor(join(out, "cli.yaml"), address)) return;
      const where = ["--dir", dir.controller, "--out", out, "--address", address];
      await runProgram(program, ["operator", name, "--role", role, ...where]);
    }),
  );
}

/** Whether a configuration of an earlier dev is whole, not out of date, and names this address. */
function isConfigFor(file: string, address: string): boolean {
  try {
    return loadConfig(file, {}).controllers[0] === address;
  } catch {
    return false;
  }
}

async function startAgents(
  client: OperatorClient,
  dir: PoolDir,
  ports: { operator: number; enrol: number },
  options: PoolOptions,
  program: Program,
  agents: Child[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (options.platform === "simulated") dir.seedWorld(options.hosts);
  for (const host of options.hosts) {
    if (signal.aborted) return;
    const properties = dir.prepareHost(host, ports, options.platform);
    const home = dir.host(host.name);
    if (!dir.isEnrolled(host.name)) {
      const { token } = await client.call("createToken", { host: host.name });
      writeFileDurably(join(home, "token"), `${token}\n`, 0o600);
    }
    const agent = new Child(
      {
        name: host.name,
        program,
        args: ["run", "--properties", properties],
        logFile: join(home, "agent.log"),
        pidFile: join(home, "agent.pid"),
        env: options.io.env,
      },
      say,
    );
    agents.push(agent);
    agent.start();
  }
}

/** Waits for the controller, has the agents started once it answers, then waits for all of them to be connected. */
async function waitFor(
  client: OperatorClient,
  hosts: readonly PoolHost[],
  deadline: number,
  signal: AbortSignal,
  onController: (client: OperatorClient) => Promise<void>,
): Promise<"ready" | "stopped" | { missing: string; why: string }> {
  let started = false;
  let missing = "controller";
  let why = "";
  while (!signal.aborted && performance.now() < deadline) {
    try {
      const { hosts: known } = await client.call("listHosts", {}, { deadlineMs: 5000 });
      if (!started) {
        started = true;
        await onController(client);
      }
      const here = new Set(known.filter((host) => host.connected).map((host) => host.name));
      const absent = hosts.filter((host) => !here.has(host.name));
      if (absent.length === 0) return "ready";
      missing = absent[0]?.name ?? "";
      why = absent.length > 1 ? ` (and ${absent.length - 1} more)` : "";
    } catch (thrown) {
      const error = SlipwayError.from(thrown);
      if (!["unreachable", "timed-out"].includes(error.code)) throw error;
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
  return signal.aborted ? "stopped" : { missing, why };
}

function notReady(state: { missing: string; why: string }, dir: PoolDir, hosts: readonly PoolHost[]): SlipwayError {
  const isHost = hosts.some((host) => host.name === state.missing);
  const log = isHost ? join(dir.host(state.missing), "agent.log") : join(dir.controller, "controller.log");
  const line = lastLine(log);
  return new SlipwayError(
    "timed-out",
    `dev: ${isHost ? "host " : ""}${state.missing}${state.why} is not connected; last line of ${log}: ${line || "(empty)"}`,
  );
}

/** Last line of a log, without reading a large one whole. */
export function lastLine(file: string): string {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch {
    return "";
  }
  try {
    const size = fstatSync(fd).size;
    const tail = Buffer.alloc(Math.min(size, 4096));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    return clean(tail.toString("utf8").trimEnd().split("\n").at(-1) ?? "").slice(0, 500);
  } finally {
    closeSync(fd);
  }
}
