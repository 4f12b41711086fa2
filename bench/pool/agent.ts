import type { ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TlsFiles } from "@slipway/shared/grpc";
import type { Scratch } from "../kit/scratch.ts";

const slipwayAgent = fileURLToPath(new URL("../../packages/agent/bin/slipway-agent.mjs", import.meta.url));

export interface AgentOptions {
  readonly dir: string;
  readonly host: string;
  readonly address: string;
  readonly tls: TlsFiles;
  readonly hooksDir?: string;
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
}

/** Starts `slipway-agent run` as it is installed, as a process of its own. */
export function startAgent(scratch: Scratch, options: AgentOptions): ChildProcess {
  const { dir, host, address, tls } = options;
  const stateDir = join(dir, "state");
  const tlsDir = join(stateDir, "tls");
  const hooksDir = options.hooksDir ?? join(dir, "hooks");
  for (const path of [tlsDir, hooksDir]) mkdirSync(path, { recursive: true, mode: 0o700 });
  writeFileSync(join(tlsDir, "ca.pem"), tls.ca);
  writeFileSync(join(tlsDir, "agent.pem"), tls.certificate);
  writeFileSync(join(tlsDir, "agent.key"), tls.key, { mode: 0o600 });
  const properties = join(dir, "agent.properties");
  const lines = {
    "slipway.controllers": address,
    "slipway.host": host,
    "slipway.labels": "cluster=c1,pod=p1,zone=z1",
    "slipway.state.dir": stateDir,
    "rolling.maintenance.hooks.dir": hooksDir,
    "slipway.keepalive.ms": options.keepaliveMs ?? 3_000,
    "slipway.keepalive.timeout.ms": options.keepaliveTimeoutMs ?? 2_000,
  };
  writeFileSync(
    properties,
    Object.entries(lines)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(""),
  );
  const env = { ...process.env, SLIPWAY_LOG: "error" };
  return scratch.spawn(process.execPath, [slipwayAgent, "run", "--properties", properties], { env });
}
