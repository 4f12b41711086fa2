import { fromWire, type Incoming, type Outgoing, toWire } from "@slipway/agent/internals";
import type { agentWire } from "@slipway/shared/wire";
import type { AgentProcess, SimHost } from "./host.ts";
import { requestMessage, responseMessage } from "./wire.ts";
import type { World } from "./world.ts";

/** Silence after which an end of a stream gives it up. */
const KEEPALIVE_MS = 5_000;

/**
 * One stream between an agent and a controller. In it nothing is lost or reordered; what was on its way is lost when it dies. Each
 * end learns of the death in its own time.
 */
export class Session {
  agentOpen = true;
  controllerOpen = true;
  readonly host: SimHost;
  readonly process: AgentProcess;
  /** Incarnation of the controller that it was dialled to. */
  readonly controllerId: number;
  /** Earliest time at which the next message of a direction may arrive. */
  upAt = 0;
  downAt = 0;
  /** What a partition holds back. */
  held: (() => void)[] = [];

  constructor(host: SimHost, process: AgentProcess, controllerId: number) {
    this.host = host;
    this.process = process;
    this.controllerId = controllerId;
  }
}

export class Network {
  readonly #world: World;
  /** Streams of which the controller's end is open, whether or not a Hello has come through. */
  readonly #open = new Set<Session>();

  constructor(world: World) {
    this.#world = world;
  }

  /** The agent dials until it gets through. */
  dial(host: SimHost, process: AgentProcess, delayMs: number): void {
    const world = this.#world;
    world.after(delayMs + world.chance.latencyMs(), () => {
      if (!process.alive || host.process !== process || process.session !== undefined) return;
      if (host.partitioned || !world.controller.up) return this.dial(host, process, world.chance.redialMs());
      const session = new Session(host, process, world.controller.incarnation);
      process.session = session;
      this.#open.add(session);
      host.use((core) => core.connected((message) => this.#up(session, message)));
    });
  }

  /** The process is gone; a kernel that is still there says so to the peer. */
  agentGone(host: SimHost, process: AgentProcess, noticed: boolean): void {
    const { session } = process;
    if (session === undefined) return;
    session.agentOpen = false;
    this.#tellController(session, noticed && !host.partitioned ? this.#world.chance.latencyMs() : KEEPALIVE_MS);
  }

  /** The controller's process is gone: every agent that can hear it learns of it. */
  controllerGone(): void {
    for (const session of this.#open) {
      session.controllerOpen = false;
      this.#tellAgent(session, session.host.partitioned ? KEEPALIVE_MS : this.#world.chance.latencyMs());
    }
    this.#open.clear();
  }

  /** The controller ends a session: a newer one has taken its place. */
  replaced(session: Session): void {
    this.#open.delete(session);
    session.controllerOpen = false;
    this.#tellAgent(session, session.host.partitioned ? KEEPALIVE_MS : this.#world.chance.latencyMs());
  }

  /** The connection is reset from outside. */
  reset(host: SimHost): void {
    const session = host.process?.session;
    if (session === undefined) return;
    this.#tellAgent(session, this.#world.chance.latencyMs());
    this.#tellController(session, this.#world.chance.latencyMs());
  }

  partition(host: SimHost): void {
    if (host.partitioned) return;
    host.partitioned = true;
    const session = host.process?.session;
    if (session === undefined) return;
    const giveUp = (tell: () => void) =>
      this.#world.after(KEEPALIVE_MS, () => {
        if (host.partitioned) tell();
      });
    giveUp(() => this.#tellAgent(session, 0));
    giveUp(() => this.#tellController(session, this.#world.chance.latencyMs()));
  }

  heal(host: SimHost): void {
    if (!host.partitioned) return;
    host.partitioned = false;
    const session = host.process?.session;
    if (session === undefined) return;
    const { held } = session;
    session.held = [];
    for (const deliver of held) deliver();
    // One end may have given up meanwhile; the other one is told at once now.
    if (!session.controllerOpen) this.#tellAgent(session, this.#world.chance.latencyMs());
    if (!session.agentOpen) this.#tellController(session, this.#world.chance.latencyMs());
  }

  #tellAgent(session: Session, delayMs: number): void {
    this.#world.after(delayMs, () => {
      if (!session.agentOpen) return;
      session.agentOpen = false;
      const { host, process } = session;
      if (!process.alive || process.session !== session) return;
      process.session = undefined;
      host.use((core) => core.disconnected());
      if (process.alive) this.dial(host, process, this.#world.chance.redialMs());
    });
  }

  #tellController(session: Session, delayMs: number): void {
    this.#world.after(delayMs, () => {
      if (!session.controllerOpen) return;
      session.controllerOpen = false;
      this.#open.delete(session);
      const { controller } = this.#world;
      if (controller.incarnation === session.controllerId) controller.sessionEnded(session);
    });
  }

  /** From agent to controller. */
  #up(session: Session, message: Outgoing): void {
    const world = this.#world;
    if (!session.process.alive || !session.agentOpen) return;
    const request = requestMessage(toWire(message), world.timing.throughBytes);
    // Only what the protocol promises to survive is maltreated: without Hello and Welcome there is no session.
    const what =
      message.type === "report"
        ? () => `${message.report.state} ${message.report.key.step} from ${session.host.name}`
        : undefined;
    this.#carry(session, "upAt", what, () => {
      const { controller } = world;
      if (!session.controllerOpen || !controller.up || controller.incarnation !== session.controllerId) return;
      controller.received(session, request);
    });
  }

  /** From controller to agent. */
  down(session: Session, message: agentWire.SessionResponse): void {
    if (!session.controllerOpen) return;
    const response = responseMessage(message, this.#world.timing.throughBytes);
    const incoming = fromWire(response);
    if (typeof incoming === "string") throw new Error(`the agent does not understand the controller: ${incoming}`);
    const { name } = session.host;
    const what =
      // A cordon mark is told once in a session, which loses nothing; a new session is told it anew.
      incoming.type === "welcome" || incoming.type === "set-cordon"
        ? undefined
        : () =>
            "key" in incoming ? `${incoming.type} ${incoming.key.step} to ${name}` : `${incoming.type} to ${name}`;
    this.#carry(session, "downAt", what, () => this.#arrive(session, incoming));
  }

  #arrive(session: Session, incoming: Incoming): void {
    const { host, process } = session;
    // The stream is cut where the controller's process has died.
    if (!session.agentOpen || !process.alive || process.session !== session) return;
    if (!this.#world.controller.up || this.#world.controller.incarnation !== session.controllerId) return;
    host.receive([incoming]);
  }

  #carry(session: Session, direction: "upAt" | "downAt", what: (() => string) | undefined, deliver: () => void): void {
    const world = this.#world;
    const fate = what ? world.chance.message(what) : { copies: 1, delayMs: 0 };
    for (let i = 0; i < fate.copies; i++) {
      const late = fate.delayMs * (i + 1);
      const at = Math.max(session[direction], world.now + world.chance.latencyMs());
      if (late === 0) session[direction] = at;
      const arrive = () => {
        if (session.host.partitioned) session.held.push(arrive);
        else deliver();
      };
      world.after(at + late - world.now, arrive);
    }
  }
}
