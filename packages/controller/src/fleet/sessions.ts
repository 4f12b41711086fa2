import type { ServerDuplexStream } from "@grpc/grpc-js";
import { keyText, PROTOCOL_VERSION, type StepKey } from "@slipway/shared";
import type { Logger } from "@slipway/shared/log";
import type { Identity } from "@slipway/shared/tls";
import type { agentWire } from "@slipway/shared/wire";
import type { Coordinator } from "../coordinator/coordinator.ts";
import type { AgentCommand, AgentLink } from "../coordinator/ports.ts";
import { isActionName } from "../domain/action.ts";
import { hostOf, type Run, recordOf } from "../domain/run.ts";
import { isStepName } from "../domain/words.ts";
import {
  commandTo,
  factsFrom,
  inventoryFrom,
  keyFrom,
  platformFrom,
  resultFrom,
  stateFrom,
  type ToAgent,
} from "./convert.ts";
import type { CordonMarks } from "./cordons.ts";
import type { InventoryBook } from "./inventories.ts";
import { PING_PREFIX, type PingDesk } from "./pings.ts";
import { PROBE_PREFIX, type ProbeDesk } from "./probes.ts";
import type { ProgressBoard } from "./progress.ts";
import type { PushDesk } from "./pushes.ts";
import type { Registry } from "./registry.ts";
import { Session } from "./session.ts";
import { type Status, status } from "./status.ts";

/** An agent that has been silent for this many heartbeat intervals counts as disconnected. */
const MISSED_HEARTBEATS = 3;

export interface SessionPorts {
  readonly coordinator: Coordinator;
  readonly registry: Registry;
  readonly progress: ProgressBoard;
  readonly pings: PingDesk;
  readonly pushes: PushDesk;
  readonly probes: ProbeDesk;
  readonly book: InventoryBook;
  readonly cordons: CordonMarks;
  readonly log: Logger;
  /** Who is at the other end; undefined when the certificate says nothing that can be understood. */
  readonly identify: (call: AgentCall) => Identity | undefined;
  /** May the certificate at the other end still speak for this host? */
  readonly accepts: (call: AgentCall, host: string) => boolean;
  /** Something was refused that an auditor wants to know of. */
  readonly refused: (who: string, role: string, what: string, result: string) => void;
  /** There are acknowledgements to send or hosts to save. */
  readonly work: () => void;
  readonly controller: string;
  readonly version: string;
  /** Milliseconds between an agent's heartbeats. */
  readonly heartbeatMs: number;
}

export type AgentCall = ServerDuplexStream<agentWire.SessionRequest, ToAgent>;

/** How long a new stream may take to say who it is, in milliseconds. */
const HELLO_MS = 10_000;

/** Why a stream is ended by the controller. */
class Refusal {
  readonly code: Status;
  readonly details: string;
  constructor(code: Status, details: string) {
    this.code = code;
    this.details = details;
  }
}

/** The sessions of all agents: who speaks, what they say, and the way to them. */
export class AgentSessions implements AgentLink {
  readonly #ports: SessionPorts;
  readonly #sessions = new Map<string, Session>();
  readonly #acking = new Set<Session>();
  /** Steps whose reports could not be understood, so that each is logged once. */
  readonly #notUnderstood = new Set<string>();
  /** A clock that stands still while this process does: its own sleep is not the agents' silence. */
  #watchNow = 0;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
  }

  session(host: string): Session | undefined {
    return this.#sessions.get(host);
  }

  send(host: string, command: AgentCommand): void {
    const weight =
      command.kind === "start" && command.task.kind === "hook"
        ? command.task.args.reduce((sum, word) => sum + word.length, 0)
        : 0;
    this.#sessions.get(host)?.send(commandTo(command), weight);
  }

  /** Serves one stream, from its first message to its end. */
  accept(call: AgentCall): void {
    const { log } = this.#ports;
    let identity: Identity | undefined;
    let session: Session | undefined;
    let over = false;
    const end = (why: string) => {
      clearTimeout(mute);
      if (over) return;
      over = true;
      if (session) this.#gone(session, why);
    };
    const refuse = ({ code, details }: Refusal) => {
      clearTimeout(mute);
      over = true;
      const who = identity?.name ?? "unknown";
      log.warn({ who, role: identity?.role, host: session?.host }, `session refused: ${details}`);
      if (code === status.permissionDenied)
        this.#ports.refused(who, identity?.role ?? "", `as agent of ${session?.host ?? who}`, details);
      if (session) {
        session.close({ code, details });
        this.#gone(session, details);
      } else call.emit("error", { code, details });
    };
    const mute = setTimeout(
      () => refuse(new Refusal(status.invalidArgument, `no Hello within ${HELLO_MS} ms`)),
      HELLO_MS,
    );
    call.on("data", (request: agentWire.SessionRequest) => {
      if (over || session?.closed) return;
      try {
        if (session) this.#hear(session, request);
        else {
          identity = this.#ports.identify(call);
          session = this.#open(call, identity, request);
          clearTimeout(mute);
        }
      } catch (thrown) {
        if (thrown instanceof Refusal) return refuse(thrown);
        // No message of an agent may end the controller.
        log.error({ who: identity?.name, err: thrown }, "a message of an agent could not be handled");
        refuse(new Refusal(status.internal, "the controller could not handle a message; see its log"));
      }
    });
    call.on("error", (error) => end(error.message));
    call.on("cancelled", () => end("its stream ended"));
    call.on("end", () => {
      session?.close();
      end("it closed its stream");
    });
  }

  /** Sends the acknowledgements of this turn. */
  sendAcks(): void {
    for (const session of this.#acking) session.sendAcks();
    this.#acking.clear();
  }

  /**
   * Ends sessions that have been silent too long; called every `everyMs` milliseconds. A longer pause between two calls is
   * this process's own.
   */
  watchSilence(everyMs: number): void {
    this.#watchNow += everyMs;
    const limit = MISSED_HEARTBEATS * this.#ports.heartbeatMs;
    for (const session of this.#sessions.values()) {
      if (this.#watchNow - session.heardAt <= limit) continue;
      const details = `no heartbeat for ${this.#watchNow - session.heardAt} ms`;
      session.close({ code: status.unavailable, details });
      this.#gone(session, details);
    }
  }

  /** Asks hosts to look at their hooks now; returns those that did not answer in time. */
  async refreshHooks(hosts: readonly string[], timeoutMs: number): Promise<string[]> {
    const asked = hosts.map(async (host) => {
      const session = this.#sessions.get(host);
      return !session || (await session.refreshHooks(timeoutMs)) ? "" : host;
    });
    return (await Promise.all(asked)).filter((host) => host !== "");
  }

  /** Ends the session of a host that is no member any more. */
  remove(host: string, details: string): void {
    const session = this.#sessions.get(host);
    if (!session) return;
    session.close({ code: status.permissionDenied, details });
    this.#gone(session, details);
  }

  /** Ends all sessions because the controller stops. */
  stop(): void {
    for (const session of this.#sessions.values())
      session.close({ code: status.unavailable, details: "the controller stops" });
    this.#sessions.clear();
  }

  #open(call: AgentCall, identity: Identity | undefined, { message }: agentWire.SessionRequest): Session {
    const { registry, coordinator, log } = this.#ports;
    if (identity === undefined) throw new Refusal(status.permissionDenied, "the certificate names nobody");
    const { role, name } = identity;
    if (role !== "agent")
      throw new Refusal(status.permissionDenied, `${name} has the role ${role}; only agents open sessions`);
    if (message.case !== "hello") throw new Refusal(status.invalidArgument, "the first message must be a Hello");
    const hello = message.value;
    if (hello.host !== name)
      throw new Refusal(
        status.permissionDenied,
        `the certificate is for ${name}, it cannot speak for ${JSON.stringify(hello.host.slice(0, 80))}`,
      );
    if (!this.#ports.accepts(call, name))
      throw new Refusal(
        status.permissionDenied,
        `${name} was removed, and its certificate with it; enrol it anew with a token: slipway host add, or slipway token --host ${name}`,
      );
    if (hello.protocol !== PROTOCOL_VERSION)
      throw new Refusal(
        status.failedPrecondition,
        `the agent of ${name} speaks protocol ${hello.protocol}, this controller ${PROTOCOL_VERSION}; upgrade the older one`,
      );
    const session = new Session(name, hello.incarnation, call, (slow) => {
      const details = "the agent does not read what it is sent";
      slow.close({ code: status.resourceExhausted, details });
      this.#gone(slow, details);
    });
    const earlier = this.#sessions.get(name);
    this.#sessions.set(name, session);
    if (earlier) {
      const another = earlier.incarnation === hello.incarnation ? "" : " of another process";
      earlier.close({ code: status.aborted, details: `replaced by a newer session${another}` });
      log.info({ host: name }, `agent replaced its session by one${another || " of the same process"}`);
    }
    session.heardAt = this.#watchNow;
    session.send({
      message: {
        case: "welcome",
        value: {
          controller: this.#ports.controller,
          controllerVersion: this.#ports.version,
          heartbeatIntervalMs: this.#ports.heartbeatMs,
        },
      },
    });
    registry.connected(name, factsFrom(hello));
    this.#ports.book.connected(name);
    this.#ports.cordons.look(name);
    log.info({ host: name, boot: hello.bootId, version: hello.agentVersion }, "agent connected");
    coordinator.agentConnected(name);
    this.#ports.pushes.connected(name, hello.hooks?.hash ?? "");
    this.#ports.work();
    return session;
  }

  /** An agent whose disk was full when it was told its mark keeps the old one, and has no news to tell. */
  #markStillHolds(host: string, seq: number): void {
    const picture = this.#ports.book.picture(host);
    if (picture?.current && picture.inventory.seq === seq)
      this.#ports.cordons.heard(host, picture.inventory.cordonedBy);
  }

  #gone(session: Session, why: string): void {
    const { host } = session;
    session.close();
    this.#acking.delete(session);
    if (this.#sessions.get(host) !== session) return;
    this.#sessions.delete(host);
    this.#ports.log.info({ host }, `agent disconnected: ${why}`);
    this.#ports.registry.disconnected(host);
    this.#ports.pings.disconnected(host);
    this.#ports.pushes.disconnected(host);
    this.#ports.probes.disconnected(host);
    this.#ports.coordinator.agentDisconnected(host);
    this.#ports.work();
  }

  #hear(session: Session, { message }: agentWire.SessionRequest): void {
    const { registry, progress, coordinator } = this.#ports;
    session.heardAt = this.#watchNow;
    registry.seen(session.host);
    switch (message.case) {
      case "heartbeat":
        for (const key of message.value.running) this.#own(session, key);
        this.#ports.book.stillHolds(session.host, message.value.inventorySeq, message.value.inventoryAgeMs);
        this.#markStillHolds(session.host, message.value.inventorySeq);
        return;
      case "inventory":
        this.#ports.book.told(session.host, platformFrom(message.value), message.value.ageMs);
        this.#ports.cordons.heard(session.host, message.value.cordonedBy);
        this.#ports.work();
        return;
      case "report":
        this.#report(session, this.#own(session, message.value.key), message.value);
        return;
      case "progress": {
        const { run, host, step } = this.#own(session, message.value.key);
        const { percent, message: text } = message.value;
        // A move is told by its source, and that need not be in the run's scope.
        const isAsked = (r: Run) => hostOf(r, host) ?? r.hosts.some((h) => h.actions.some((a) => a.on === host));
        if (!coordinator.active().some((r) => r.spec.run === run && isAsked(r))) return;
        progress.report({ run, host, stage: step, message: text, ...(percent === undefined ? {} : { percent }) });
        return;
      }
      case "hooks":
        registry.hooks(session.host, inventoryFrom(message.value));
        session.hooksRefreshed(message.value.nonce);
        this.#ports.work();
        return;
      case "hooksPushed": {
        const { hooks } = message.value;
        if (hooks) registry.hooks(session.host, inventoryFrom(hooks));
        this.#ports.pushes.answered(session.host, message.value, hooks?.hash ?? "");
        this.#ports.work();
        return;
      }
      case "hello":
        throw new Refusal(status.invalidArgument, "a second Hello in one session");
      default:
        this.#ports.log.warn({ host: session.host }, "a message of a kind that this controller does not know");
    }
  }

  /** The key of a message, which must be about the session's own host. */
  #own(session: Session, wire: agentWire.StepKey | undefined): StepKey {
    const key = keyFrom(wire);
    if (typeof key === "string") throw new Refusal(status.invalidArgument, key);
    if (key.host !== session.host)
      throw new Refusal(status.permissionDenied, `it spoke for ${key.host} (${keyText(key)}) and may not`);
    return key;
  }

  #report(session: Session, key: StepKey, report: agentWire.StepReport): void {
    const { coordinator, pings, log } = this.#ports;
    const { host } = session;
    const ack = () => {
      if (report.outboxId === 0n || session.closed) return;
      session.ack(report.outboxId);
      this.#acking.add(session);
      this.#ports.work();
    };
    const state = stateFrom(report.state);
    const result = state === "ended" ? resultFrom(report) : "";
    if (state === undefined || (state === "ended" && typeof result === "string")) {
      const what = state === undefined ? `the state ${report.state} is not known to this controller` : result;
      const text = keyText(key);
      if (this.#notUnderstood.size > 1_000) this.#notUnderstood.clear();
      if (!this.#notUnderstood.has(text))
        log.error({ host, step: text }, `report refused, and not acknowledged: ${what}; upgrade the controller`);
      this.#notUnderstood.add(text);
      return;
    }
    if (key.run.startsWith(PING_PREFIX)) {
      // That it was accepted says nothing new: its acknowledgement goes with that of the end.
      if (typeof result === "string") session.ack(report.outboxId);
      else pings.ended(key.run, host, result.verdict, ack);
      return;
    }
    if (key.run.startsWith(PROBE_PREFIX)) {
      const system = key.step.slice(key.step.indexOf(":") + 1);
      if (typeof result !== "string") this.#ports.probes.ended(key.run, host, system, report.health, result.reason);
      ack();
      return;
    }
    const { step } = key;
    const run = coordinator.run(key.run);
    const record = run && recordOf(run, { host, step, attempt: key.attempt });
    if (!(isStepName(step) || isActionName(step)) || !record) {
      log.warn({ host, step: keyText(key) }, "report of a step that was never asked for; acknowledged and dropped");
      ack();
      return;
    }
    const ref = { run: key.run, host, step, attempt: key.attempt };
    if (typeof result !== "string") coordinator.stepEnded(ref, result, ack);
    else if (state === "accepted") coordinator.stepAccepted(ref, ack);
    else coordinator.stepNotKnown(ref);
  }
}
