import { mkdirSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { SlipwayError } from "@slipway/shared";
import { createLogger } from "@slipway/shared/log";
import { createNotifier } from "@slipway/shared/notifier";
import type { Settings } from "../config/settings.ts";
import { chooseExecutor, hasSystemd } from "../executors/choose.ts";
import { DirectExecutor } from "../executors/direct/direct.ts";
import { hostSystemd } from "../executors/systemd/systemctl.ts";
import { SystemdExecutor } from "../executors/systemd/systemd.ts";
import { HooksDirectory } from "../hooks/directory.ts";
import { finishInstall } from "../hooks/install.ts";
import { RealMachine, SimulatedMachine } from "../host/machine.ts";
import { openSqliteJournal, type SqliteJournal } from "../journal/sqlite.ts";
import { openPlatform } from "../platform/open.ts";
import { createProbes } from "../probes/index.ts";
import { createServices } from "../services/index.ts";
import { readCertificate } from "../session/certificate.ts";
import { enrolIfNeeded } from "../session/enrol.ts";
import { Session } from "../session/session.ts";
import { AgentCore } from "../steps/core.ts";
import type { Machine } from "../steps/ports.ts";
import { VERSION } from "../version.ts";
import { Reporter } from "./report.ts";
import { refuseSandboxedHooks } from "./sandbox.ts";

/** How often everything in hand is looked at; ends of hooks are noticed at once without it. */
const TICK_MS = 250;

/** Runs the agent until SIGTERM or SIGINT. Errors are those of a start; later ones are logged and repaired. */
export async function runAgent(settings: Settings): Promise<void> {
  const logger = createLogger("slipway-agent");
  const log = (level: "info" | "warn" | "error", text: string) => logger[level](text);
  if (settings.controllers.length === 0)
    throw new SlipwayError("bad-input", "slipway.controllers is not set", {
      fix: "set it to host:port in agent.properties",
    });
  const notifier = createNotifier();
  const journal = openJournal(settings.stateDir);
  try {
    await enrolIfNeeded(settings, log, (reason) => {
      // An attempt was made, which is what a start waits for; the next ones are this agent's work until then.
      notifier.ready();
      notifier.status(`waiting for enrolment: ${reason}`);
      notifier.watchdog();
    });
    const tls = readCertificate(settings.tls, settings.host);
    const choice = chooseExecutor(settings, hasSystemd());
    refuseSandboxedHooks(choice.executor, process.env);
    log("info", `executor: ${choice.executor} (${choice.reason})`);
    let core: AgentCore | undefined;
    let machine: Machine | undefined;
    const announce = (id: string) => core?.ended(id);
    const execution = {
      dir: join(settings.stateDir, "steps"),
      bootId: () => machine?.bootId() ?? "",
      announce,
      log,
    };
    const executor =
      choice.executor === "systemd"
        ? new SystemdExecutor({ ...execution, limits: settings.limits, systemd: hostSystemd })
        : new DirectExecutor(execution);
    const cutPower = () => {
      executor.cutPower();
      instances.cutPower();
    };
    machine =
      settings.platform === "simulated"
        ? new SimulatedMachine({ stateDir: settings.stateDir, cutPower, exit: (status) => process.exit(status) })
        : new RealMachine();
    const instances = openPlatform(settings, { machine, announce, log });
    const probes = createProbes({ host: settings.host, announce, probesDir: settings.probesDir });
    // A simulated host shares its machine with others, and with whoever works on it: what really runs there is not its own.
    const services =
      settings.platform === "simulated"
        ? undefined
        : createServices({ host: settings.host, announce, stateDir: settings.stateDir });
    const unfinished = finishInstall(settings.hooksDir);
    if (unfinished !== "") log("warn", `hooks: a push that was cut off cannot be ended (${unfinished})`);
    const hooks = new HooksDirectory(settings.hooksDir, settings.hooksPush);
    core = new AgentCore(
      {
        journal,
        executor,
        hooks,
        machine,
        ...(instances.platform === undefined ? {} : { platform: instances.platform }),
        probes,
        ...(services === undefined ? {} : { services }),
        log,
      },
      {
        host: settings.host,
        labels: settings.labels,
        agentVersion: VERSION,
        incarnation: crypto.randomUUID(),
        kernel: release(),
        nodeVersion: process.version,
        executor: choice.executor,
      },
    );
    log("info", `agent ${VERSION}: starting for host ${settings.host} (boot ${machine.bootId()})`);
    const { problem } = hooks.inventory();
    if (problem !== "") log("warn", `hooks: ${problem}`);
    instances.tick();
    core.recover();
    const tuning = { keepaliveMs: settings.keepaliveMs, keepaliveTimeoutMs: settings.keepaliveTimeoutMs };
    const reporter = new Reporter({
      notifier,
      inHand: () => journal.open(),
      hooks: () => hooks.inventory(),
      trouble: () => core.trouble,
    });
    const session = new Session({
      controllers: settings.controllers,
      tls,
      tuning,
      core,
      log,
      linked: (link) => reporter.linked(link),
    });
    session.start();
    const ticker = setInterval(() => {
      instances.tick();
      core.tick();
      reporter.ticked();
    }, TICK_MS);
    const name = await signalled();
    log("info", `agent: stopping (${name}); steps in hand go on`);
    notifier.stopping();
    clearInterval(ticker);
    await session.stop();
    executor.close();
    probes.close();
    services?.close();
    instances.close();
  } finally {
    journal.close();
  }
}

function openJournal(stateDir: string): SqliteJournal {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new SlipwayError("bad-input", `${stateDir}: the state directory cannot be made (${code})`, {
      cause,
      fix: "make it, or set slipway.state.dir to another one",
    });
  }
  return openSqliteJournal(join(stateDir, "journal.db"));
}

function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve(name));
  });
}
