import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TlsFiles, type UnaryClient, unaryClient } from "@slipway/shared/grpc";
import type { Logger } from "@slipway/shared/log";
import { issueWithNewKey, type Role } from "@slipway/shared/tls";
import { operatorWire } from "@slipway/shared/wire";
import { init } from "../commands/init.ts";
import { type RunningController, startController } from "../controller.ts";
import { FakeAgent, type FakeAgentOptions } from "./fake-agent.ts";

export type OperatorClient = UnaryClient<typeof operatorWire.OperatorService>;

/** Log lines as they come, instead of on stderr. */
export function collectLog(): { log: Logger; lines: { level: string; text: string }[] } {
  const lines: { level: string; text: string }[] = [];
  const at = (level: string) => (a: unknown, b?: unknown) => {
    lines.push({ level, text: typeof a === "string" ? a : `${b ?? ""} ${JSON.stringify(a)}` });
  };
  const names = ["trace", "debug", "info", "warn", "error", "fatal"];
  return { log: Object.fromEntries(names.map((n) => [n, at(n)])) as unknown as Logger, lines };
}

/** A real controller in this process on a directory of its own, real TLS, free ports. `end` leaves nothing behind. */
export class World {
  readonly dir: string;
  readonly logs = collectLog();
  controller!: RunningController;
  readonly #closers: (() => void)[] = [];

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async make(yaml: Record<string, number> = {}): Promise<World> {
    const world = new World(mkdtempSync(join(tmpdir(), "slipway-controller-")));
    await init({ dir: world.dir, listen: "127.0.0.1:0", enrolListen: "127.0.0.1:0" });
    const extra = Object.entries(yaml).map(([k, v]) => `${k}: ${v}\n`);
    writeFileSync(
      join(world.dir, "controller.yaml"),
      `listen: 127.0.0.1:0\nenrolListen: 127.0.0.1:0\n${extra.join("")}`,
    );
    await world.start();
    return world;
  }

  /** Starts a controller on the same directory; on the same port when one is given. */
  async start(listen?: string): Promise<void> {
    this.controller = await startController({ dir: this.dir, log: this.logs.log, ...(listen ? { listen } : {}) });
  }

  async tls(role: Role, name: string): Promise<TlsFiles> {
    const authority = { ca: this.file("ca.pem"), caKey: this.file("ca.key") };
    const { key, certificate } = await issueWithNewKey(authority, { identity: { role, name } });
    return { ca: authority.ca, key, certificate };
  }

  file(name: string): string {
    return readFileSync(join(this.dir, name), "utf8");
  }

  async client(role: Role, name: string): Promise<OperatorClient> {
    const client = connect(this.controller.listen, await this.tls(role, name));
    this.onEnd(() => client.close());
    return unaryClient(client, operatorWire.OperatorService);
  }

  async agent(host: string, options: Partial<FakeAgentOptions> = {}, ended?: FakeAgent["ended"]): Promise<FakeAgent> {
    const tls = await this.tls("agent", host);
    const agent = new FakeAgent({ address: this.controller.listen, host, tls, ...options }, ended);
    this.onEnd(() => agent.close());
    return agent;
  }

  onEnd(close: () => void): void {
    this.#closers.push(close);
  }

  async end(): Promise<void> {
    for (const close of this.#closers) close();
    await this.controller.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Waits until something holds; a test that waits in vain fails with `what`. */
export async function until<T>(what: string, probe: () => T | Promise<T>, withinMs = 10_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
