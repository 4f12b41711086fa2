import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { SlipwayError } from "@slipway/shared";
import { implementation, serverCredentials, serverOptions, serviceDefinition } from "@slipway/shared/grpc";
import type { Logger } from "@slipway/shared/log";
import { type Authority, type Identity, identityOf } from "@slipway/shared/tls";
import { agentWire, operatorWire } from "@slipway/shared/wire";
import { Auditor } from "./api/audit.ts";
import { enrolment } from "./api/enrolment.ts";
import { operatorService } from "./api/service.ts";
import { Watchers } from "./api/watch.ts";
import { checkAddress, filesOf, readConfig } from "./config.ts";
import { Coordinator } from "./coordinator/coordinator.ts";
import type { Gate } from "./coordinator/ports.ts";
import { actionName } from "./domain/action.ts";
import { EngineClock } from "./effects/clock.ts";
import { QuorumGate } from "./effects/quorum-gate.ts";
import { CordonMarks } from "./fleet/cordons.ts";
import { InventoryBook } from "./fleet/inventories.ts";
import { WorkLoop } from "./fleet/loop.ts";
import { PingDesk } from "./fleet/pings.ts";
import { ProbeDesk } from "./fleet/probes.ts";
import { ProgressBoard } from "./fleet/progress.ts";
import { PushDesk } from "./fleet/pushes.ts";
import { Registry } from "./fleet/registry.ts";
import { FleetRoster } from "./fleet/roster.ts";
import { AgentSessions } from "./fleet/sessions.ts";
import { status } from "./fleet/status.ts";
import { bind, logRefusedConnections, shutdown } from "./listen.ts";
import { pictureProblem } from "./placement/index.ts";
import { PoolKeeper } from "./pool/keeper.ts";
import { stopsWithHost } from "./quorum/reading.ts";
import { holdLock } from "./store/lock.ts";
import { type ControllerStore, openStore } from "./store/store.ts";
import { VERSION } from "./version.ts";

/** How often time is told to the coordinator, and silence is looked for, in milliseconds. */
const TICK_MS = 250;
/** How often the engine clock is saved, in milliseconds: a crash sets deadlines back by at most this much. */
const CLOCK_SAVE_MS = 5_000;

export interface ControllerOptions {
  /** Directory made by `init`. */
  readonly dir: string;
  readonly log: Logger;
  /** Instead of what controller.yaml says. */
  readonly listen?: string;
  readonly enrolListen?: string;
  readonly gate?: Gate;
  /** Called after each round of the regular work. */
  readonly ticked?: () => void;
}

export interface RunningController {
  /** The addresses in use, with the real ports. */
  readonly listen: string;
  readonly enrolListen: string;
  readonly coordinator: Coordinator;
  readonly store: ControllerStore;
  readonly registry: Registry;
  /** Ends all streams, saves the clock, closes the store. */
  stop(): Promise<void>;
}

/**
 * Starts a controller on its directory; it serves when the promise resolves.
 * Errors: `bad-input` (no or wrong configuration), `conflict` (another controller, a port in use), `refused`, `out-of-space`.
 */
export async function startController(options: ControllerOptions): Promise<RunningController> {
  const { dir, log } = options;
  const files = filesOf(dir);
  const config = readConfig(dir);
  const listen = checkAddress(options.listen ?? config.listen, "--listen");
  const enrolListen = checkAddress(options.enrolListen ?? config.enrolListen, "--enrol-listen");
  const authority: Authority = { ca: readPem(files.ca, dir), caKey: readPem(files.caKey, dir) };
  const tls = { ca: authority.ca, certificate: readPem(files.certificate, dir), key: readPem(files.key, dir) };
  const lock = holdLock(files.lock);
  let store: ControllerStore;
  let keeper: PoolKeeper;
  try {
    store = openStore(files.store);
    try {
      keeper = new PoolKeeper(store.pools);
    } catch (thrown) {
      store.close();
      throw thrown;
    }
  } catch (thrown) {
    lock.release();
    throw thrown;
  }

  const clock = new EngineClock(Math.max(store.runs.engineClock(), store.runs.lastEventT()));
  const registry = new Registry(store.hosts, clock);
  const book = new InventoryBook(store.hosts, clock, () => coordinator.worldChanged());
  const roster = new FleetRoster(registry, book, () => keeper);
  const progress = new ProgressBoard();
  const auditor = new Auditor((record) => store.audit.append(record), log);
  const trouble = (text: string) => log.error(text);
  const loop = new WorkLoop([() => coordinator.flush(), () => pings.flush()], () => sessions.sendAcks());
  const work = () => loop.schedule();
  const quorum = quorumGate({ keeper, registry, book, clock, probes: () => probes, runs: () => coordinator });
  const coordinator: Coordinator = new Coordinator({
    store: store.runs,
    agents: { send: (host, command) => sessions.send(host, command) },
    gate: options.gate ?? quorum,
    clock,
    roster,
    trouble,
    work,
  });
  const pings = new PingDesk({
    session: (host) => sessions.session(host),
    append: (records) => store.pings.append(records),
    wallMs: () => clock.wallMs(),
    work,
    trouble,
  });
  const pushes = new PushDesk((host) => sessions.session(host));
  const probes = new ProbeDesk((host) => sessions.session(host));
  const cordons = new CordonMarks({
    session: (host) => sessions.session(host),
    holders: (host) => coordinator.cordonHolders(host),
    reason: (host) => registry.entry(host)?.cordon?.reason ?? "",
  });
  const sessions: AgentSessions = new AgentSessions({
    coordinator,
    registry,
    progress,
    pings,
    pushes,
    probes,
    book,
    cordons,
    log,
    identify,
    accepts: (call, host) => store.membership.accepts(host, fingerprintOf(call)),
    refused: (who, role, what, result) => auditor.intruder({ who, role, method: "session", what, result }),
    work,
    controller: "slipway-controller",
    version: VERSION,
    heartbeatMs: config.heartbeatMs,
  });
  coordinator.onUpdate(({ run, recorded, lines }) => {
    for (const { subject, text } of lines) log.info({ run: run.spec.run, seq: recorded.seq }, `${subject}: ${text}`);
    const { event } = recorded;
    if (event.type === "step-ended") progress.forget(run.spec.run, { host: event.host, stage: event.step });
    if (event.type === "action-ended" || event.type === "action-abandoned")
      progress.forget(run.spec.run, { host: event.on, stage: actionName(event) });
    if (event.type === "ledger-opened" || event.type === "ledger-closed") cordons.look(event.host);
    if (run.state === "ended") progress.forget(run.spec.run);
  });
  let enrolBound = "";
  const api = {
    ...{ coordinator, store, registry, roster, book, keeper, sessions, progress, pings, pushes, cordons, clock, log },
    ...{ probes, quorum },
    ca: authority.ca,
    enrolPort: () => Number(enrolBound.slice(enrolBound.lastIndexOf(":") + 1)),
  };
  const watchers = new Watchers(api);

  let hostsInTrouble = false;
  /**
   * What agents said of themselves may be written late, for it is said again at the next session anyway: with a tick, so
   * that a fleet that dials in at once does not wait for the disk host by host.
   */
  function saveHosts(): void {
    if (!registry.hasUnsaved && !book.hasUnsaved) return;
    try {
      registry.save();
      book.save();
      hostsInTrouble = false;
    } catch (thrown) {
      if (!hostsInTrouble) log.error(`hosts cannot be saved: ${(thrown as Error).message}`);
      hostsInTrouble = true;
    }
  }

  function saveClock(): void {
    try {
      store.runs.saveEngineClock(clock.engineMs());
    } catch (thrown) {
      log.warn(`the engine clock cannot be saved: ${(thrown as Error).message}`);
    }
  }

  const tuning = { keepaliveMs: config.keepaliveMs, keepaliveTimeoutMs: config.keepaliveTimeoutMs };
  const main = new Server(serverOptions(tuning));
  main.addService(
    serviceDefinition(agentWire.AgentService),
    implementation(agentWire.AgentService, { session: (call) => sessions.accept(call) }),
  );
  main.addService(
    serviceDefinition(operatorWire.OperatorService),
    implementation(operatorWire.OperatorService, operatorService({ ...api, auditor, watchers, identify })),
  );
  const enrol = new Server(serverOptions(tuning));
  enrol.addService(
    serviceDefinition(agentWire.EnrolmentService),
    implementation(
      agentWire.EnrolmentService,
      enrolment(store, authority, auditor, (host) => registry.entry(host) !== undefined),
    ),
  );

  const timers: NodeJS.Timeout[] = [];
  let stopping: Promise<void> | undefined;
  function stop(): Promise<void> {
    stopping ??= (async () => {
      probes.stop();
      const leave = { code: status.unavailable, details: "the controller stops" };
      for (const timer of timers) clearInterval(timer);
      watchers.stop(leave);
      sessions.stop();
      await Promise.all([shutdown(main), shutdown(enrol)]);
      registry.saveSeen(Number.MAX_SAFE_INTEGER);
      saveHosts();
      loop.stop();
      saveClock();
      store.close();
      lock.release();
    })();
    return stopping;
  }

  try {
    coordinator.restore();
    const bound = await bind(main, listen, "--listen", serverCredentials(tls, true));
    enrolBound = await bind(enrol, enrolListen, "--enrol-listen", serverCredentials(tls, false));
    logRefusedConnections(main, log, "agents and operators");
    logRefusedConnections(enrol, log, "enrolment");
    timers.push(
      setInterval(() => {
        coordinator.tick();
        sessions.watchSilence(TICK_MS);
        registry.saveSeen(performance.now());
        saveHosts();
        options.ticked?.();
      }, TICK_MS),
      setInterval(saveClock, CLOCK_SAVE_MS),
    );
    work();
    return { listen: bound, enrolListen: enrolBound, coordinator, store, registry, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** The gate over the systems of the pool file; without any it has nothing to ask. */
function quorumGate(ports: {
  readonly keeper: PoolKeeper;
  readonly registry: Registry;
  readonly book: InventoryBook;
  readonly clock: EngineClock;
  readonly probes: () => ProbeDesk;
  readonly runs: () => Coordinator;
}): QuorumGate {
  const { keeper, registry, book, clock, probes, runs } = ports;
  const inventories = () =>
    registry
      .entries()
      .map((e) => book.of(e))
      .filter((i) => i !== undefined);
  return new QuorumGate({
    config: () => keeper.quorum,
    read: (request) => probes().read(request),
    inventories,
    isFresh: (host) => pictureProblem(host, clock.engineMs()) === undefined,
    out: () => registry.names().filter((name) => runs().cordonHolders(name).length > 0),
    stopsWith: (host, uuid) => stopsWithHost(inventories(), keeper.pool, runs().active())(host, uuid),
    pause: (ms) => delay(ms, undefined, { ref: false }),
  });
}

/** Who is at the other end, by the certificate that TLS has verified. */
function identify(call: Pick<ServerDuplexStream<unknown, unknown>, "getAuthContext">): Identity | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  return certificate ? identityOf(certificate) : undefined;
}

/** Lower-case hex SHA-256 of the certificate at the other end. */
function fingerprintOf(call: Pick<ServerDuplexStream<unknown, unknown>, "getAuthContext">): string {
  const certificate = call.getAuthContext().sslPeerCertificate;
  return certificate ? createHash("sha256").update(certificate.raw).digest("hex") : "";
}

function readPem(file: string, dir: string): string {
  if (!existsSync(file))
    throw new SlipwayError("bad-input", `${file} is missing`, {
      fix: `slipway-controller init --dir ${dir} makes what is missing and keeps the rest`,
    });
  return readFileSync(file, "utf8");
}
