import { operatorWire } from "@slipway/shared/wire";
import type { Command } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { toPlain } from "../json.ts";
import type { Register } from "../program.ts";
import { isWell, renderHealth } from "../render/health.ts";

/** As long as the slowest system may take (see CheckHealth); agents answer one question after the other. */
const HEALTH_MS = 330_000;
/** How long nobody wonders what takes so long, in milliseconds. */
const QUIET_MS = 500;

interface CheckFlags {
  cluster?: string;
  system?: string;
  host?: string;
  evidence?: boolean;
}

export function registerHealth(register: Register, program: Command): void {
  register(
    program
      .command("check")
      .summary("show the health of every replicated system, and who could go down now")
      .option("--cluster <name>", "only systems with members on hosts of this cluster, and its hosts")
      .option("--system <name>", "only this system or group of the pool file")
      .option("--host <name>", "only systems with members on this host, and the host")
      .option("-v, --evidence", "also what was asked and what came back"),
    "Has agents read every system of the pool file now, from all hosts that can. Shows each with its members and how many more may " +
      "go, which host could go down now and why not, and the most hosts that could go together.\nExit status 0 when everything is healthy, 1 when not.",
    ["slipway check", "slipway check --cluster c1", "slipway check --system etcd-main --evidence"],
    async (context, _args, flags) => check(context, flags as CheckFlags),
  );
}

async function check(context: Context, flags: CheckFlags): Promise<ExitStatus> {
  const { cluster = "", system = "", host = "", evidence = false } = flags;
  const health = await whileAsking(context, "asking the hosts ...", () =>
    context.client.call("checkHealth", { cluster, system, host, evidence }, { deadlineMs: HEALTH_MS }),
  );
  context.answer(
    () => ({ healthy: isWell(health), ...toPlain(operatorWire.CheckHealthResponseSchema, health) }),
    () => renderHealth(health, context.paint, context.columns),
  );
  return isWell(health) ? 0 : 1;
}

/** Tells somebody at a terminal what is being waited for, and takes it away again. */
export async function whileAsking<T>(context: Context, text: string, work: () => Promise<T>): Promise<T> {
  const { io } = context;
  if (context.json || !io.isTerminal || io.env["TERM"] === "dumb") return work();
  let shown = false;
  const timer = setTimeout(() => {
    shown = true;
    io.err(text);
  }, QUIET_MS);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
    if (shown) io.err("\r\x1b[K");
  }
}
