import type {
  AgentCore,
  AgentIdentity,
  Executor,
  Journal,
  Platform,
  Ports,
  SimulatedInstance,
} from "@slipway/agent/internals";
import {
  type Command,
  type Coordinator,
  type CoordinatorPorts,
  defaultPool,
  describe,
  type GateAnswer,
  type GateQuestion,
  noQuorum,
  type PoolConfig,
  type QuorumConfig,
  type Recorded,
  type Run,
  type RunOptions,
  type reduce,
  type Scope,
} from "@slipway/controller/internals";
import { SlipwayError } from "@slipway/shared";
import { Checker } from "./checker.ts";
import { SimController } from "./controller.ts";
import { type GateRules, SimGate } from "./gate.ts";
import { Guests } from "./guests.ts";
import { type HostScript, SimHost } from "./host.ts";
import { Network } from "./network.ts";
import { EventQueue } from "./queue.ts";
import { SimServices } from "./services.ts";
import { Disk } from "./store.ts";
import { SimSystems } from "./systems.ts";

/** 2026-01-01T00:00:00Z. */
const WALL_BASE = 1_767_225_600_000;

/** What goes wrong at the ports, and how long things take. */
export interface Chance {
  latencyMs(): number;
  redialMs(): number;
  flushDelayMs(): number;
  /** Until a supervisor has started a dead process again. */
  restartDelay(): number;
  /** What becomes of a message inside a session: one copy at once, unless the network is worse than TCP. */
  message(what: () => string): { copies: number; delayMs: number };
  /** When a machine goes down: does its agent go before its hooks? */
  agentGoesFirst(): boolean;
  /** Does the executor's hint of an end get lost? */
  hintLost(): boolean;
  agentCrash(host: string, when: "before" | "after", what: string): boolean;
  controllerCrash(when: "before" | "after", what: string): boolean;
  gateFate(): { delayMs: number };
  gateAnswer(host: string, about: GateQuestion["about"]): GateAnswer;
}

/** A deliberately broken part, for tests of the tests. */
export interface Variant {
  readonly journal?: (inner: Journal, host: SimHost) => Journal;
  readonly executor?: (inner: Executor, host: SimHost) => Executor;
  readonly platform?: (inner: Platform, host: SimHost) => Platform;
  readonly agentCore?: (ports: Ports, identity: AgentIdentity) => AgentCore;
  readonly coordinator?: (ports: CoordinatorPorts, world: World) => Coordinator;
  readonly ports?: (ports: CoordinatorPorts, world: World) => CoordinatorPorts;
  readonly gate?: (world: World) => Partial<GateRules>;
  readonly reduce?: typeof reduce;
  readonly acknowledgesEarly?: boolean;
}

export interface Timing {
  readonly agentTickMs: number;
  readonly controllerTickMs: number;
  /** Messages go through the bytes of the wire. */
  readonly throughBytes: boolean;
  /** Between two heartbeats of an agent, which keep the picture of its instances young. */
  readonly heartbeatMs: number;
}

export interface LogLine {
  readonly at: number;
  /** What kind of line: a run's, or the world's own. */
  readonly kind: string;
  readonly subject: string;
  readonly text: string;
}

/** A simulated pool: hosts, one controller, a network between them, and nothing that is not in the queue. */
export class World {
  readonly #queue = new EventQueue();
  readonly hosts = new Map<string, SimHost>();
  readonly chance: Chance;
  readonly variant: Variant;
  readonly timing: Timing;
  /** What the wall clocks show at the beginning; milliseconds since the epoch. */
  wallBase = WALL_BASE;
  readonly checker: Checker;
  readonly disk: Disk;
  readonly network: Network;
  readonly guests: Guests;
  /** The pool file as it stands. */
  pool: PoolConfig = defaultPool;
  quorum: QuorumConfig = noQuorum;
  readonly services: SimServices;
  readonly systems: SimSystems;
  readonly gate: SimGate;
  readonly controller: SimController;
  readonly violations: string[] = [];
  /** Run/host pairs that an operator has retried. */
  readonly retried = new Set<string>();
  /** The host of a run whose gate an operator overrides at this very moment. */
  overriding = "";
  /** Called with every line of the log; nothing is formatted when there is none. */
  onLine: ((line: LogLine) => void) | undefined;
  readonly #down: { from: number; to: number }[] = [];

  constructor(hosts: readonly HostScript[], chance: Chance, timing: Timing, variant: Variant = {}) {
    this.chance = chance;
    this.timing = timing;
    this.variant = variant;
    this.checker = new Checker(this);
    this.disk = new Disk({ recorded: (before, after, recorded) => this.#recorded(before, after, recorded) });
    this.network = new Network(this);
    this.guests = new Guests(this, this.checker.guests);
    this.services = new SimServices(this);
    this.systems = new SimSystems(this);
    this.gate = new SimGate(this);
    this.controller = new SimController(this);
    for (const script of hosts) this.hosts.set(script.name, new SimHost(this, script));
  }

  get now(): number {
    return this.#queue.now;
  }

  after(delayMs: number, run: () => void): void {
    this.#queue.after(delayMs, run);
  }

  host(name: string): SimHost {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  /** Who cordons a host, by the controller's disk; as its agent is to remember it. */
  cordonersOf(host: string): string {
    return [...this.disk.holders(host), ...(this.disk.operatorCordons.has(host) ? ["operator"] : [])].join(",");
  }

  members(cluster: string): string[] {
    return [...this.hosts.values()].filter((h) => h.cluster === cluster).map((h) => h.name);
  }

  /** Puts an instance on a host before everything begins. */
  place(host: string, instance: SimulatedInstance): void {
    this.guests.by("somebody", () => this.guests.put(host, instance));
  }

  /** Switches everything on. */
  start(): void {
    this.controller.start();
    for (const host of this.hosts.values()) host.startAgent();
  }

  /** Lets time pass until `done`, a broken invariant, or the given time; says whether `done` was reached. */
  run(untilMs: number, done: () => boolean): boolean {
    let [moment, events] = [this.now, 0];
    while (this.violations.length === 0) {
      if (done()) return true;
      const { due } = this.#queue;
      if (due === undefined || due > untilMs) return false;
      this.#watchController();
      this.#queue.step();
      if (this.now !== moment) [moment, events] = [this.now, 0];
      else if (++events > 20_000) this.violate("the world spins: time does not move on");
    }
    return false;
  }

  #watchController(): void {
    const last = this.#down.at(-1);
    const isDown = last !== undefined && last.to === Infinity;
    if (this.controller.up === isDown) {
      if (isDown) last.to = this.now;
      else this.#down.push({ from: this.now, to: Infinity });
    }
  }

  /** For how long no controller has run since `since`: the engine's clock stands still then. */
  controllerDownSince(since: number): number {
    let total = 0;
    for (const { from, to } of this.#down) total += Math.max(0, Math.min(to, this.now) - Math.max(from, since));
    return total;
  }

  startRun(id: string, scope: Scope, options: Partial<RunOptions>, who = "alice"): boolean {
    let started = false;
    this.asOperator(`start ${id}`, () => {
      started = this.controller.startRun(id, scope, options, who) !== undefined;
    });
    return started;
  }

  command(run: string, command: Command, who = "alice"): void {
    const what = "host" in command ? `${command.kind} ${command.host}` : command.kind;
    this.asOperator(`${what} of ${run}`, () => {
      if ("host" in command && command.kind !== "mark-done") this.retried.add(`${run}/${command.host}`);
      if (command.kind === "override") this.overriding = `${run}/${command.host}`;
      try {
        this.controller.command(run, command, who);
      } finally {
        this.overriding = "";
      }
    });
  }

  /** An operator's doing may be refused, and the operator is told so. */
  asOperator(what: string, act: () => void): void {
    if (!this.controller.up) {
      this.note("operator", what, "refused: the controller cannot be reached");
      return;
    }
    try {
      act();
    } catch (thrown) {
      if (!(thrown instanceof SlipwayError)) throw thrown;
      this.note("operator", what, `refused: ${thrown.message}`);
      return;
    }
    this.note("operator", what, "done");
  }

  note(kind: string, subject: string, text: string): void {
    this.onLine?.({ at: this.now, kind, subject, text });
  }

  violate(text: string): void {
    this.violations.push(text);
    this.note("violation", "invariant", text);
  }

  #recorded(before: Run | undefined, after: Run, recorded: Recorded): void {
    if (this.onLine !== undefined)
      for (const { subject, text } of describe(before, after, recorded)) this.note("run", subject, text);
    this.checker.recorded(before, after, recorded);
  }
}
