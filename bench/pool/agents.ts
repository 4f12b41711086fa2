// A process with many agents, each with its own certificate, state directory, journal and connection: what
// `slipway-agent run` wires, without one process each.
import { mkdirSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { AgentCore, DirectExecutor, HooksDirectory, openSqliteJournal, RealMachine, Session } from "@slipway/agent";
import type { TlsFiles } from "@slipway/shared/grpc";
import { type FromAgents, patience, type ToAgents } from "./messages.ts";

/** As in the agent itself. */
const TICK_MS = 250;

const sessions: Session[] = [];
let missing = 0;
let troubles = 0;
const tell = (message: FromAgents) => process.send?.(message);

/** One line for the first trouble; of a fleet that falls apart nobody reads thousands. */
function trouble(host: string, text: string): void {
  if (troubles++ === 0) process.stderr.write(`${host}: ${text} (this process tells only its first trouble)\n`);
}

function prepare(host: string, dir: string, address: string, tls: TlsFiles): void {
  const stateDir = join(dir, host);
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const log = (level: "info" | "warn" | "error", text: string) => {
    if (/=> connected/.test(text) && --missing === 0) tell({ type: "connected" });
    else if (level !== "info" && !/^hooks/.test(text)) trouble(host, text);
  };
  const machine = new RealMachine();
  const core: AgentCore = new AgentCore(
    {
      journal: openSqliteJournal(join(stateDir, "journal.db")),
      executor: new DirectExecutor({
        dir: join(stateDir, "steps"),
        bootId: () => machine.bootId(),
        announce: (id) => core.ended(id),
        log,
      }),
      hooks: new HooksDirectory(join(dir, "hooks")),
      machine,
      log,
    },
    {
      host,
      labels: { cluster: "c1", pod: "p1", zone: "z1" },
      agentVersion: "bench",
      incarnation: crypto.randomUUID(),
      kernel: release(),
      nodeVersion: process.version,
      executor: "direct",
    },
  );
  core.recover();
  // Spread, as the tickers of agents that were started at different times are.
  setTimeout(() => setInterval(() => core.tick(), TICK_MS), Math.random() * TICK_MS);
  sessions.push(new Session({ controllers: [address], tls, tuning: patience, core, log }));
}

process.on("message", (message: ToAgents) => {
  if (message.type === "prepare") {
    mkdirSync(join(message.dir, "hooks"), { recursive: true });
    for (const { name, tls } of message.hosts) prepare(name, message.dir, message.address, tls);
    missing = sessions.length;
    tell({ type: "prepared" });
  } else for (const session of sessions) session.start();
});
// The bench is gone, or wants this process gone: agents are made to be killed.
process.on("disconnect", () => process.exit(0));
