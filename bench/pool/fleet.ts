import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Metadata } from "@grpc/grpc-js";
import { init } from "@slipway/controller";
import { type Client, connect, type TlsFiles, unaryClient } from "@slipway/shared/grpc";
import { type Authority, issueWithNewKey } from "@slipway/shared/tls";
import { operatorWire } from "@slipway/shared/wire";
import type { Scratch } from "../kit/scratch.ts";
import { ask, until } from "../kit/wait.ts";
import { echoService } from "../peers/echo.ts";
import { configure } from "./controller.ts";
import { patience } from "./messages.ts";

/** More agents in one event loop would keep each other from beating while they wait for the disk. */
const MAX_AGENTS_A_PROCESS = 125;
const MIN_PROCESSES = 4;

/** Processes that the agents of a fleet are spread over. */
export const processesFor = (agents: number) => Math.max(MIN_PROCESSES, Math.ceil(agents / MAX_AGENTS_A_PROCESS));

const ROUND_MS = 60_000;

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const slipwayController = file("../../packages/controller/bin/slipway-controller.mjs");

/** A directory of a controller with certificates for an operator and for every host: what both kinds of fleet use. */
export class Identities {
  readonly dir: string;
  readonly operator: TlsFiles;
  readonly controller: TlsFiles;
  readonly hosts: readonly { name: string; tls: TlsFiles }[];

  private constructor(parts: Pick<Identities, "dir" | "operator" | "controller" | "hosts">) {
    this.dir = parts.dir;
    this.operator = parts.operator;
    this.controller = parts.controller;
    this.hosts = parts.hosts;
  }

  static async make(dir: string, count: number): Promise<Identities> {
    await init({ dir, listen: "127.0.0.1:0", enrolListen: "127.0.0.1:0" });
    const read = (name: string) => readFileSync(join(dir, name), "utf8");
    const authority: Authority = { ca: read("ca.pem"), caKey: read("ca.key") };
    const issue = async (role: "operator" | "agent", name: string): Promise<TlsFiles> => ({
      ca: authority.ca,
      ...(await issueWithNewKey(authority, { identity: { role, name } })),
    });
    const hosts: { name: string; tls: TlsFiles }[] = [];
    for (let i = 1; i <= count; i++) hosts.push({ name: `hv${i}`, tls: await issue("agent", `hv${i}`) });
    const controller = { ca: authority.ca, certificate: read("server.pem"), key: read("server.key") };
    return new Identities({ dir, hosts, controller, operator: await issue("operator", "bench") });
  }
}

/** A controller (or the floor's server) and its agents in processes of their own. */
export interface Fleet {
  /** Process id of the controller or the floor's server. */
  readonly pid: number;
  /** Connects all agents at once; milliseconds until the last of them has heard from the other end. */
  connect(): Promise<number>;
  /** One command to every agent and back; milliseconds as its caller sees them. */
  round(): Promise<number>;
  stop(): Promise<void>;
}

export async function productFleet(scratch: Scratch, identities: Identities, name: string): Promise<Fleet> {
  const dir = scratch.fresh(name);
  const log = join(dir, "controller.log");
  configure(identities.dir, patience);
  const stderr = openSync(log, "a");
  const args = [slipwayController, "run", "--dir", identities.dir];
  const controller = scratch.spawn(process.execPath, args, { stdio: ["ignore", "ignore", stderr] });
  closeSync(stderr);
  const ready = await until("the controller", () => {
    if (controller.exitCode !== null) throw new Error(`the controller ended: ${readFileSync(log, "utf8")}`);
    return readFileSync(log, "utf8")
      .split("\n")
      .find((line) => line.includes('"msg":"ready"'));
  });
  const address = (JSON.parse(ready) as { listen: string }).listen;
  const workers = await startWorkers(scratch, file("agents.ts"), identities, address, dir, false);
  const client = connect(address, identities.operator);
  const operator = unaryClient(client, operatorWire.OperatorService);
  return fleet(scratch, controller, workers, client, async () => {
    const { hosts } = await operator.pingHosts({ timeoutMs: BigInt(ROUND_MS) }, { deadlineMs: ROUND_MS });
    const bad = hosts.find((host) => !host.ok);
    if (bad || hosts.length !== identities.hosts.length)
      throw new Error(`ping of ${hosts.length} hosts: ${bad?.host} ${bad?.problem}`);
  });
}

export async function echoFleet(
  scratch: Scratch,
  identities: Identities,
  name: string,
  durable = false,
): Promise<Fleet> {
  const dir = scratch.fresh(name);
  const server = scratch.fork(file("../peers/echo-server.ts"));
  const start = { type: "start", tls: identities.controller, file: durable ? join(dir, "log") : "" };
  const { port } = await ask<{ type: "listening"; port: number }>(server, start, "listening");
  const address = `127.0.0.1:${port}`;
  const workers = await startWorkers(scratch, file("../peers/echo-agents.ts"), identities, address, dir, durable);
  const client = connect(address, identities.operator);
  const { path, requestSerialize, responseDeserialize } = echoService.round;
  return fleet(
    scratch,
    server,
    workers,
    client,
    () =>
      new Promise<void>((resolve, reject) => {
        const options = { deadline: Date.now() + ROUND_MS };
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          Buffer.alloc(8),
          new Metadata(),
          options,
          (error) => (error ? reject(error) : resolve()),
        );
      }),
  );
}

async function startWorkers(
  scratch: Scratch,
  module: string,
  { hosts }: Identities,
  address: string,
  dir: string,
  durable: boolean,
): Promise<ChildProcess[]> {
  const count = processesFor(hosts.length);
  const share = Math.ceil(hosts.length / count);
  const workers = Array.from({ length: count }, () => scratch.fork(module));
  await Promise.all(
    workers.map((worker, i) => {
      const own = hosts.slice(i * share, (i + 1) * share);
      return ask(worker, { type: "prepare", address, dir: join(dir, "hosts"), hosts: own, durable }, "prepared");
    }),
  );
  return workers;
}

function fleet(
  scratch: Scratch,
  server: ChildProcess,
  workers: readonly ChildProcess[],
  client: Client,
  round: () => Promise<void>,
): Fleet {
  const timed = async (action: () => Promise<unknown>) => {
    const started = performance.now();
    await action();
    return performance.now() - started;
  };
  return {
    pid: server.pid ?? 0,
    connect: () => timed(() => Promise.all(workers.map((worker) => ask(worker, { type: "connect" }, "connected")))),
    round: () => timed(round),
    async stop() {
      client.close();
      await Promise.all(workers.map((worker) => scratch.stop(worker)));
      await scratch.stop(server);
    },
  };
}
