import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server } from "@grpc/grpc-js";
import { SlipwayError } from "@slipway/shared";
import {
  type Handlers,
  implementation,
  serverCredentials,
  serverOptions,
  serviceDefinition,
} from "@slipway/shared/grpc";
import { createAuthority, issueWithNewKey } from "@slipway/shared/tls";
import { operatorWire } from "@slipway/shared/wire";
import type { Io } from "../io.ts";

type OperatorHandlers = Handlers<typeof operatorWire.OperatorService>;

/** A controller's operator API in this process, with real certificates; methods that a test does not give are refused. */
export class FakeOperator {
  readonly dir = mkdtempSync(join(tmpdir(), "slipway-cli-"));
  readonly handlers: Partial<OperatorHandlers> = {};
  port = 0;
  #server: Server | undefined;
  #tls = { ca: "", certificate: "", key: "" };

  get config(): string {
    return join(this.dir, "cli.yaml");
  }

  async start(): Promise<void> {
    if (this.#tls.ca === "") await this.#makeCertificates();
    const server = new Server(serverOptions());
    const all: Record<string, unknown> = {};
    for (const method of operatorWire.OperatorService.methods)
      all[method.localName] = (...args: unknown[]) => {
        const handler = (this.handlers as Record<string, unknown>)[method.localName];
        if (typeof handler !== "function") throw new SlipwayError("internal", `${method.name} is not faked`);
        return handler(...args);
      };
    server.addService(
      serviceDefinition(operatorWire.OperatorService),
      implementation(operatorWire.OperatorService, all as OperatorHandlers),
    );
    this.port = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${this.port}`, serverCredentials(this.#tls, true), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
    this.#server = server;
    writeFileSync(this.config, `controller: 127.0.0.1:${this.port}\nca: ca.pem\ncertificate: me.pem\nkey: me.key\n`);
  }

  /** Dies at once, as a killed process does. */
  die(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  remove(): void {
    this.die();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async #makeCertificates(): Promise<void> {
    const authority = await createAuthority("test");
    const identity = { role: "controller", name: "controller" } as const;
    const own = await issueWithNewKey(authority, { identity, dnsNames: ["controller.slipway.internal"] });
    const operator = await issueWithNewKey(authority, { identity: { role: "operator", name: "alice" } });
    this.#tls = { ca: authority.ca, ...own };
    mkdirSync(this.dir, { recursive: true });
    writeFileSync(join(this.dir, "ca.pem"), authority.ca);
    writeFileSync(join(this.dir, "me.pem"), operator.certificate);
    writeFileSync(join(this.dir, "me.key"), operator.key);
  }
}

/** Collects what a command prints. */
export class FakeIo implements Io {
  stdout = "";
  stderr = "";
  isTerminal = false;
  env: NodeJS.ProcessEnv;
  constructor(env: NodeJS.ProcessEnv = {}) {
    // No configuration of the machine that the tests run on.
    this.env = { HOME: "/nonexistent", ...env };
  }
  out(text: string): void {
    this.stdout += text;
  }
  err(text: string): void {
    this.stderr += text;
  }
  columns(): number {
    return 100;
  }
  rows(): number {
    return 24;
  }
  now(): number {
    return Date.UTC(2026, 0, 2, 3, 4, 5);
  }
}
