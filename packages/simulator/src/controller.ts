import {
  type AgentCommand,
  type Command,
  Coordinator,
  type CoordinatorPorts,
  CordonMarks,
  type FleetEntry,
  type Session as FleetSession,
  type HostInventory,
  InventoryBook,
  type InventoryRecord,
  type KnownHost,
  optionsOf,
  type Plan,
  planRun,
  platformFrom,
  type Run,
  type RunOptions,
  type Scope,
  type ToAgent,
} from "@slipway/controller/internals";
import { type Inventory, PROTOCOL_VERSION, SlipwayError } from "@slipway/shared";
import type { agentWire } from "@slipway/shared/wire";
import { Crash } from "./host.ts";
import type { Session } from "./network.ts";
import { storeOf } from "./store.ts";
import { ackMessage, commandMessage, reportOfWire, toAgentMessage, welcomeMessage } from "./wire.ts";
import type { World } from "./world.ts";

interface Process {
  alive: boolean;
  readonly coordinator: Coordinator;
  readonly book: InventoryBook;
  readonly cordons: CordonMarks;
  readonly startedAt: number;
  readonly clockBase: number;
  readonly sessions: Map<string, Session>;
  /** The same as what tells agents their cordon marks knows them. */
  readonly lines: Map<string, FleetSession>;
  /** Engine time since which a host is connected or not. */
  readonly since: Map<string, number>;
  flushing: boolean;
}

/** The controller: processes that come and go over one disk. It does what the fleet part of the shell does. */
export class SimController {
  readonly #world: World;
  #process: Process | undefined;
  incarnation = 0;
  heldDown = false;
  wallSkewMs = 0;
  /** Wall clock at which a host was last heard of, and the same in words once somebody has asked. */
  readonly #heard = new Map<string, { readonly at: number; text?: string }>();

  constructor(world: World) {
    this.#world = world;
  }

  get up(): boolean {
    return this.#process !== undefined;
  }

  get coordinator(): Coordinator | undefined {
    return this.#process?.coordinator;
  }

  start(): void {
    if (this.#process !== undefined || this.heldDown) return;
    this.incarnation++;
    const world = this.#world;
    const self: { process?: Process } = {};
    const ports = this.#ports(() => self.process);
    const coordinator = world.variant.coordinator?.(ports, world) ?? new Coordinator(ports);
    const clock = { engineMs: () => this.#engineMs(self.process), wallMs: () => this.#wallMs() };
    const { pictures } = world.disk;
    const memory = {
      inventories: () => [...pictures.values()],
      saveInventories: (records: Iterable<InventoryRecord>) => {
        for (const record of records) pictures.set(record.host, record);
      },
    };
    const process: Process = {
      alive: true,
      coordinator,
      book: new InventoryBook(memory, clock, () => this.use((c) => c.worldChanged())),
      cordons: new CordonMarks({
        session: (host) => self.process?.lines.get(host),
        holders: (host) => coordinator.cordonHolders(host),
        reason: () => "",
      }),
      startedAt: world.now,
      clockBase: world.disk.store.engineClock(),
      sessions: new Map(),
      lines: new Map(),
      since: new Map(),
      flushing: false,
    };
    self.process = process;
    this.#process = process;
    coordinator.onUpdate(({ recorded: { event } }) => {
      if (event.type === "ledger-opened" || event.type === "ledger-closed") process.cordons.look(event.host);
    });
    world.note("controller", "controller", this.incarnation === 1 ? "starts" : "starts again");
    this.use((c) => c.restore());
    this.#tickLater(process);
  }

  kill(restartMs: number | undefined): void {
    const process = this.#process;
    if (process === undefined) return;
    process.alive = false;
    this.#bury(process);
    if (restartMs === undefined) this.heldDown = true;
    else this.#world.after(restartMs, () => this.start());
  }

  /** Lets the controller do something; undefined when there is none or it dies doing it. Refusals pass through. */
  use<T>(act: (coordinator: Coordinator) => T): T | undefined {
    const process = this.#process;
    if (process === undefined) return undefined;
    let value: T | undefined;
    let refusal: unknown;
    try {
      value = act(process.coordinator);
    } catch (thrown) {
      refusal = thrown;
    }
    if (!process.alive) {
      // A call inside a call: the inner one has seen to it.
      if (this.#process !== process) return undefined;
      this.#world.note("fault", "controller", "dies");
      this.#bury(process);
      this.#world.after(this.#world.chance.restartDelay(), () => this.start());
      return undefined;
    }
    if (refusal !== undefined) throw refusal;
    return value;
  }

  /** What a run would do. Errors: those of the planner. */
  plan(scope: Scope, options: Partial<RunOptions>): Plan | undefined {
    return this.use((coordinator) => {
      const around = {
        inventories: (cluster: string) => this.#inventories(this.#process, cluster),
        pool: this.#world.pool,
        quorum: this.#world.quorum,
        nowT: this.#engineMs(this.#process),
        wallMs: this.#wallMs(),
        durations: coordinator.durations,
      };
      return planRun(this.#known(coordinator), scope, optionsOf(options), around);
    });
  }

  /** Starts a run as the operator's API does. Errors: those of planner and coordinator. */
  startRun(id: string, scope: Scope, options: Partial<RunOptions>, who: string): string | undefined {
    const plan = this.plan(scope, options);
    return plan && this.startPlanned(id, plan, who);
  }

  /** Starts what was planned. Errors: those of the coordinator. */
  startPlanned(id: string, plan: Plan, who: string): string | undefined {
    const { scope, options, hosts, schedule } = plan;
    for (const { text, fix } of plan.blockers)
      this.#world.note("operator", "plan", `in the way: ${text}${fix && `; ${fix}`}`);
    return this.use((c) =>
      c.start({
        ...{ run: id, scope, options, hosts, startedBy: who, requestId: `q-${id}` },
        ...(schedule ? { schedule } : {}),
      }),
    );
  }

  command(run: string, command: Command, who: string): Run | undefined {
    return this.use((c) => c.command(run, command, who));
  }

  cordon(host: string): void {
    this.#world.disk.operatorCordons.add(host);
    this.#marksChanged(host);
  }

  #marksChanged(host: string): void {
    this.#process?.cordons.look(host);
    this.use((c) => c.worldChanged());
  }

  /** `slipway uncordon HOST`: takes back the operator's own cordon and settles what ended runs have left behind. */
  uncordon(host: string, who: string): void {
    const world = this.#world;
    world.asOperator(`uncordon ${host}`, () => {
      const settled = this.use((c) => {
        c.settle(host, `uncordoned by ${who}`);
        return true;
      });
      if (!settled) throw new SlipwayError("unreachable", "the controller died");
      world.disk.operatorCordons.delete(host);
      this.#marksChanged(host);
    });
  }

  /** Every host of the fleet with what is on it, as far as this controller knows. */
  pictures(): HostInventory[] {
    const clusters = [...new Set([...this.#world.hosts.values()].map((h) => h.cluster))];
    return clusters.flatMap((c) => this.#inventories(this.#process, c));
  }

  engineMs(): number {
    return this.#engineMs(this.#process);
  }

  /** What its wall clock shows; milliseconds since the epoch. */
  wallMs(): number {
    return this.#wallMs();
  }

  /** What this controller knows of the instances of a host. */
  pictureOf(host: string): Inventory | undefined {
    return this.#process?.book.picture(host)?.inventory;
  }

  received(session: Session, request: agentWire.SessionRequest): void {
    const process = this.#process;
    if (process === undefined) return;
    const { host } = session;
    this.#heard.set(host.name, { at: this.#wallMs() });
    const { message } = request;
    if (message.case === "hello") {
      if (message.value.protocol !== PROTOCOL_VERSION) throw new Error("protocol version");
      const old = process.sessions.get(host.name);
      if (old !== undefined) this.#world.network.replaced(old);
      process.sessions.set(host.name, session);
      process.since.set(host.name, this.#engineMs(process));
      this.#world.network.down(session, welcomeMessage(this.#world.timing.heartbeatMs));
      const send = (m: ToAgent) => {
        if (m.message?.case === "setCordon") this.#world.checker.marked(host.name, m.message.value.holder ?? "");
        this.#world.network.down(session, toAgentMessage(m));
      };
      process.lines.set(host.name, { send } as unknown as FleetSession);
      process.book.connected(host.name);
      process.cordons.look(host.name);
      this.use((c) => c.agentConnected(host.name));
      return;
    }
    if (process.sessions.get(host.name) !== session) return;
    if (message.case === "heartbeat") {
      process.book.stillHolds(host.name, message.value.inventorySeq, message.value.inventoryAgeMs);
      const picture = process.book.picture(host.name);
      if (picture?.current && picture.inventory.seq === message.value.inventorySeq)
        process.cordons.heard(host.name, picture.inventory.cordonedBy);
      return;
    }
    if (message.case === "inventory") {
      process.book.told(host.name, platformFrom(message.value), message.value.ageMs);
      if (process.alive) process.cordons.heard(host.name, message.value.cordonedBy);
      return;
    }
    if (message.case !== "report") return;
    const report = reportOfWire(message.value);
    const { outboxId } = message.value;
    const acknowledge = () => {
      if (outboxId === 0n || !process.alive) return;
      this.#world.checker.acknowledged(report);
      this.#world.network.down(session, ackMessage(outboxId));
    };
    const early = this.#world.variant.acknowledgesEarly === true;
    if (early) acknowledge();
    const durable = early ? () => {} : acknowledge;
    this.use((c) => {
      if (report.state === "accepted") c.stepAccepted(report.ref, durable);
      else if (report.state === "ended") c.stepEnded(report.ref, report.result, durable);
      else c.stepNotKnown(report.ref);
    });
  }

  sessionEnded(session: Session): void {
    const process = this.#process;
    const { name } = session.host;
    if (process?.sessions.get(name) !== session) return;
    process.sessions.delete(name);
    process.lines.delete(name);
    process.since.set(name, this.#engineMs(process));
    this.use((c) => c.agentDisconnected(name));
  }

  #bury(process: Process): void {
    this.#world.checker.controllerDied(process.coordinator);
    this.#process = undefined;
    this.#world.network.controllerGone();
  }

  #tickLater(process: Process): void {
    this.#world.after(this.#world.timing.controllerTickMs, () => {
      if (!process.alive) return;
      this.#world.disk.store.saveEngineClock(this.#engineMs(process));
      process.book.save();
      this.use((c) => c.tick());
      this.#tickLater(process);
    });
  }

  #engineMs(process: Process | undefined): number {
    return process === undefined
      ? this.#world.disk.store.engineClock()
      : process.clockBase + (this.#world.now - process.startedAt);
  }

  #wallMs(): number {
    return this.#world.wallBase + this.#world.now + this.wallSkewMs;
  }

  #lastSeen(host: string): string {
    const heard = this.#heard.get(host);
    if (heard === undefined) return "never seen";
    heard.text ??= `last seen ${new Date(heard.at).toISOString()}`;
    return heard.text;
  }

  #flushSoon(process: Process): void {
    if (process.flushing) return;
    process.flushing = true;
    this.#world.after(this.#world.chance.flushDelayMs(), () => {
      process.flushing = false;
      if (!process.alive) return;
      this.use((c) => c.flush());
      if (process.alive) this.#world.checker.flushed(process.coordinator);
    });
  }

  #known(coordinator: Coordinator): KnownHost[] {
    return [...this.#world.hosts.values()].map((host) => {
      const { dir, problem, hooks } = host.inventory();
      return {
        name: host.name,
        labels: host.script.labels,
        connected: this.#process?.sessions.has(host.name) === true,
        lastSeen: this.#lastSeen(host.name),
        hooksDir: dir,
        hooksProblem: problem,
        hooks,
        cordonedBy: coordinator.cordonHolders(host.name),
      };
    });
  }

  #inventories(process: Process | undefined, cluster: string): HostInventory[] {
    const world = this.#world;
    if (process === undefined) return [];
    return world.members(cluster).flatMap((name): HostInventory[] => {
      const connected = process.sessions.has(name);
      const facts = { labels: world.host(name).script.labels };
      const known = process.book.of({ name, facts, connected } as FleetEntry);
      return known ? [known] : [];
    });
  }

  #ports(self: () => Process | undefined): CoordinatorPorts {
    const world = this.#world;
    const crash = (when: "before" | "after", what: string) => {
      const process = self();
      if (process === undefined || !process.alive) throw new Crash();
      if (!world.chance.controllerCrash(when, what)) return;
      process.alive = false;
      throw new Crash();
    };
    const store = storeOf(world.disk, (when, entries) =>
      crash(when, entries.map((e) => e.recorded.event.type).join("+")),
    );
    const ports: CoordinatorPorts = {
      store,
      agents: {
        send: (host: string, command: AgentCommand) => {
          const process = self();
          const session = process?.sessions.get(host);
          if (process?.alive !== true || session === undefined) return;
          world.checker.sent(command);
          world.network.down(session, commandMessage(command));
        },
      },
      gate: {
        ask: (question, answer) =>
          world.gate.ask(question, (a) => {
            if (self()?.alive) this.use(() => answer(a));
          }),
      },
      clock: { engineMs: () => this.#engineMs(self()), wallMs: () => this.#wallMs() },
      roster: {
        host: (name) => {
          if (!world.hosts.has(name)) return undefined;
          const process = self();
          return {
            connected: process?.sessions.has(name) === true,
            sinceT: process?.since.get(name) ?? process?.clockBase ?? world.disk.store.engineClock(),
            lastSeen: this.#lastSeen(name),
            cordonedByOperator: world.disk.operatorCordons.has(name),
            labels: world.host(name).script.labels,
          };
        },
        cluster: (name) => world.hosts.get(name)?.cluster,
        members: (cluster) => world.members(cluster),
        inventories: (cluster) => this.#inventories(self(), cluster),
        pool: () => world.pool,
        quorum: () => world.quorum,
      },
      trouble: (text) => {
        if (self()?.alive) world.note("warn", "controller", text);
      },
      work: () => {
        const process = self();
        if (process?.alive) this.#flushSoon(process);
      },
    };
    return world.variant.ports?.(ports, world) ?? ports;
  }
}
