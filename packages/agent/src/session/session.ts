import { SlipwayError } from "@slipway/shared";
import { type ChannelTuning, type Client, connect, openStream, type TlsFiles } from "@slipway/shared/grpc";
import { agentWire } from "@slipway/shared/wire";
import type { AgentCore } from "../steps/core.ts";
import type { Log } from "../steps/ports.ts";
import type { Incoming, Outgoing } from "../steps/types.ts";
import { backoffMs } from "./backoff.ts";
import { fromWire, toWire } from "./convert.ts";

/** A controller that takes the connection but does not say Welcome within this time is as good as gone. */
const WELCOME_DEADLINE_MS = 10_000;
const GOODBYE_MS = 500;

/** Where the session is, for people. */
export type Link =
  | { readonly state: "connected"; readonly controller: string }
  | { readonly state: "disconnected"; readonly controller: string; readonly reason: string };

export interface SessionOptions {
  /** Tried in turn. */
  readonly controllers: readonly string[];
  readonly tls: TlsFiles;
  readonly tuning: ChannelTuning;
  readonly core: AgentCore;
  readonly log: Log;
  /** Called after every attempt to connect, and when a connection ends. */
  readonly linked?: (link: Link) => void;
}

/**
 * Keeps one stream to a controller open.
 *
 *   waiting --backoff--> connecting --Welcome--> connected --end or error--> waiting
 */
export class Session {
  readonly #options: SessionOptions;
  #attempt = 0;
  #next = 0;
  #isStopping = false;
  #lastFailure = "";
  #timer: NodeJS.Timeout | undefined;
  #current: Connection | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  start(): void {
    const { controllers, log, linked } = this.#options;
    const address = controllers[this.#next % controllers.length];
    if (address === undefined || this.#isStopping) return;
    const subject = `controller ${address}`;
    let wasWelcomed = false;
    this.#current = new Connection(address, this.#options, {
      welcomed: (name) => {
        wasWelcomed = true;
        this.#attempt = 0;
        this.#lastFailure = "";
        log("info", `${subject}: connecting => connected (${name})`);
        linked?.({ state: "connected", controller: address });
      },
      ended: (reason) => {
        this.#current = undefined;
        if (this.#isStopping) return;
        linked?.({ state: "disconnected", controller: address, reason });
        // Each change of state once, not every attempt: an outage of a night is one line, not thousands.
        if (wasWelcomed) log("warn", `${subject}: connected => disconnected (${reason})`);
        else if (this.#lastFailure !== `${subject} ${reason}`)
          log("warn", `${subject}: connecting => disconnected (${reason})`);
        if (!wasWelcomed) {
          this.#lastFailure = `${subject} ${reason}`;
          this.#next++;
        }
        this.#timer = setTimeout(() => this.start(), backoffMs(this.#attempt++, Math.random()));
      },
    });
  }

  /** Says goodbye. Steps in hand are left alone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    await this.#current?.stop();
  }
}

interface Events {
  welcomed(controller: string): void;
  ended(reason: string): void;
}

class Connection {
  readonly #core: AgentCore;
  readonly #log: Log;
  readonly #client: Client;
  readonly #stream: ReturnType<
    typeof openStream<typeof agentWire.SessionRequestSchema, typeof agentWire.SessionResponseSchema>
  >;
  readonly #events: Events;
  readonly #deadline: NodeJS.Timeout;
  readonly #closed: Promise<void>;
  #markClosed: () => void = () => {};
  #queue: Incoming[] = [];
  #isCongested = false;
  #isOver = false;

  constructor(address: string, options: SessionOptions, events: Events) {
    this.#core = options.core;
    this.#log = options.log;
    this.#events = events;
    this.#closed = new Promise((resolve) => {
      this.#markClosed = resolve;
    });
    this.#client = connect(address, options.tls, options.tuning);
    this.#stream = openStream(this.#client, agentWire.AgentService.method.session);
    this.#stream.on("data", (message: agentWire.SessionResponse) => this.#take(message));
    this.#stream.on("drain", () => {
      this.#isCongested = false;
    });
    this.#stream.on("error", (error) => this.#end(SlipwayError.from(error).message));
    this.#stream.on("end", () => this.#end("the controller ended the stream"));
    this.#deadline = setTimeout(() => {
      this.#end(`no welcome in ${WELCOME_DEADLINE_MS} ms`);
    }, WELCOME_DEADLINE_MS);
    this.#core.connected((message) => this.#send(message));
  }

  async stop(): Promise<void> {
    this.#stream.end();
    const timer = setTimeout(() => this.#end("stopping"), GOODBYE_MS);
    await this.#closed;
    clearTimeout(timer);
  }

  #send(message: Outgoing): void {
    if (this.#isOver) return;
    // A peer that does not read must not fill this host's memory: what is only for display, or comes again, is dropped.
    if (this.#isCongested && (message.type === "progress" || message.type === "heartbeat")) return;
    this.#isCongested = !this.#stream.write(toWire(message));
  }

  /** Messages that arrive together are handled together: one durable write instead of many. */
  #take(response: agentWire.SessionResponse): void {
    if (this.#isOver) return;
    const message = fromWire(response);
    if (typeof message === "string") {
      this.#log("warn", `controller: ignored ${message}`);
      return;
    }
    if (message.type === "welcome") {
      clearTimeout(this.#deadline);
      this.#events.welcomed(`${message.controller || "unnamed"} ${message.controllerVersion}`.trim());
    }
    this.#queue.push(message);
    if (this.#queue.length > 1) return;
    setImmediate(() => {
      const messages = this.#queue;
      this.#queue = [];
      if (!this.#isOver) this.#core.received(messages);
    });
  }

  #end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#deadline);
    this.#core.disconnected();
    this.#stream.on("error", () => {});
    this.#stream.cancel();
    this.#client.close();
    this.#markClosed();
    this.#events.ended(reason);
  }
}
