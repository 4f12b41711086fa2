import {
  AgentCore,
  type AgentIdentity,
  type Executor,
  type HookInventory,
  type Incoming,
  type Journal,
  MemoryJournal,
  type Platform,
  type Ports,
  type SimulatedHost,
  SimulatedPlatform,
} from "@slipway/agent/internals";
import { keyText, SlipwayError, type Stage, stages } from "@slipway/shared";
import { type HookRun, SimExecutor } from "./executor.ts";
import type { Session } from "./network.ts";
import type { World } from "./world.ts";

/** A host as the script of a world describes it. */
export interface HostScript {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Per stage: what its executions do, one after another; the last one goes on. Absent: there is no such hook. */
  readonly hooks: Partial<Record<Stage, readonly [HookRun, ...HookRun[]]>>;
  /** Stages whose hook would be refused, and why. */
  readonly problems?: Partial<Record<Stage, string>>;
  /** Why the hooks directory as a whole cannot be used. */
  readonly dirProblem?: string;
  /** From power on to a running agent, in milliseconds. */
  readonly bootMs: number;
  /** What its hypervisor can carry; absent on a host without a platform. */
  readonly hypervisor?: SimulatedHost;
}

/** A process died at a port. Nothing after the throw is seen by anybody. */
export class Crash extends Error {}

/** One life of an agent. */
export class AgentProcess {
  alive = true;
  session: Session | undefined;
  readonly core: AgentCore;
  /** Reads the platform, and lets it finish what is due; before the core's tick. */
  platformTick: () => void = () => {};
  readonly incarnation: string;

  constructor(host: SimHost, incarnation: string) {
    this.incarnation = incarnation;
    const identity: AgentIdentity = {
      host: host.name,
      labels: host.script.labels,
      agentVersion: "0",
      incarnation,
      kernel: "k",
      nodeVersion: "v24",
      executor: "simulated",
    };
    const ports = host.portsFor(this);
    this.core = host.world.variant.agentCore?.(ports, identity) ?? new AgentCore(ports, identity);
  }
}

/** A hypervisor: its journal, its hooks and its boots outlive every agent on it. */
export class SimHost {
  readonly world: World;
  readonly script: HostScript;
  readonly name: string;
  /** Its hooks directory, which an operator may change. */
  readonly hooks: { [S in Stage]?: readonly [HookRun, ...HookRun[]] };
  readonly journal: MemoryJournal;
  readonly executor: SimExecutor;
  process: AgentProcess | undefined;
  up = true;
  boots = 1;
  /** An operator keeps the agent down until `startAgent`. */
  agentHeldDown = false;
  diskFull = false;
  wallSkewMs = 0;
  partitioned = false;
  rebootRefused = "";
  /** The next boots fail: how often the machine comes up only to go down again. */
  bootLoops = 0;
  /** The machine does not come back by itself. */
  neverReturns = false;
  #bootedAt = 0;
  #rebooting = false;
  /** What the present call has made durable. */
  #committed = "";
  #incarnations = 0;
  readonly #executions = new Map<Stage, number>();

  constructor(world: World, script: HostScript) {
    this.world = world;
    this.script = script;
    this.name = script.name;
    this.hooks = { ...script.hooks };
    this.journal = new MemoryJournal((writes) => {
      if (this.diskFull && writes.some((w) => w !== "ack" && w !== "prune"))
        throw new SlipwayError("out-of-space", "no space left on device");
      this.#crashPoint("before", writes.join("+"));
      this.#committed = writes.join("+");
    });
    this.executor = new SimExecutor({
      now: () => world.now,
      wallMs: () => this.wallMs(),
      bootId: () => this.bootId,
      after: (ms, run) => world.after(ms, run),
      hook: (_id, task) => this.#hookRun(task.env["SLIPWAY_STAGE"] as Stage),
      started: (id, task) => {
        world.note("hook", this.name, `${task.env["SLIPWAY_STAGE"]} hook starts`);
        world.checker.hookStarted(this, id);
      },
      ended: (id) => {
        world.note("hook", this.name, `${id.split("/")[2]} hook ends`);
        if (!world.chance.hintLost()) this.use((core) => core.ended(id));
      },
      diskFull: () => this.diskFull,
    });
    if (script.hypervisor !== undefined)
      world.guests.install(
        this.name,
        script.hypervisor,
        { nowMs: () => world.now, wallMs: () => this.wallMs() },
        this.bootId,
      );
  }

  get bootId(): string {
    return `${this.name}-b${this.boots}`;
  }

  get cluster(): string {
    return this.script.labels["cluster"] ?? "default";
  }

  wallMs(): number {
    return this.world.wallBase + this.world.now + this.wallSkewMs;
  }

  inventory(): HookInventory {
    const { problems, dirProblem } = this.script;
    const { hooks } = this;
    const hash = (stage: Stage) => (hooks[stage] === undefined ? "" : "ab".repeat(32));
    const present = stages.filter((s) => hooks[s] !== undefined || problems?.[s] !== undefined);
    return {
      dir: "/hooks",
      problem: dirProblem ?? "",
      hooks: present.map((stage) => ({
        stage,
        file: `/hooks/${stage}`,
        sha256: hash(stage),
        problem: problems?.[stage] ?? "",
      })),
    };
  }

  /** Starts the agent, as its supervisor does. */
  startAgent(): void {
    if (!this.up || this.process !== undefined || this.agentHeldDown) return;
    const process = new AgentProcess(this, `${this.name}-i${++this.#incarnations}`);
    this.process = process;
    process.platformTick();
    this.use((core) => core.recover());
    this.#tickLater(process);
    this.world.network.dial(this, process, 0);
  }

  /** SIGKILL. Its hooks run on. */
  killAgent(restartMs: number | undefined): void {
    this.#bury(true);
    if (restartMs === undefined) this.agentHeldDown = true;
    else this.world.after(restartMs, () => this.startAgent());
  }

  /** Lets the agent do something; if it dies doing it, it is buried and its supervisor starts another one. */
  use(act: (core: AgentCore) => void): void {
    const process = this.process;
    if (process === undefined || !process.alive) return;
    try {
      act(process.core);
    } catch (thrown) {
      if (!(thrown instanceof Crash)) throw thrown;
    }
    if (process.alive || this.process !== process) return;
    this.world.note("fault", this.name, "agent dies");
    this.#bury(true);
    this.world.after(this.world.chance.restartDelay(), () => this.startAgent());
  }

  receive(messages: readonly Incoming[]): void {
    this.use((core) => core.received(messages.length === 1 ? (messages[0] as Incoming) : messages));
  }

  /** The machine goes down and comes up again with another boot id. */
  powerCycle(graceful: boolean): void {
    if (!this.up) return;
    this.up = false;
    this.#rebooting = false;
    // On the way down hooks and agent are ended in no particular order.
    const agentFirst = this.world.chance.agentGoesFirst();
    if (agentFirst) this.#bury(graceful);
    this.executor.cutOff();
    this.#bury(graceful);
    if (this.script.hypervisor) this.world.guests.powerCut(this.name);
    if (this.neverReturns) return;
    this.world.after(this.script.bootMs, () => this.boot());
  }

  boot(): void {
    if (this.up) return;
    this.up = true;
    this.boots++;
    this.#bootedAt = this.world.now;
    this.world.note("host", this.name, `boots (${this.bootId})`);
    if (this.script.hypervisor) this.world.guests.boot(this.name, this.bootId);
    this.world.services.booted(this.name);
    if (this.bootLoops > 0) {
      this.bootLoops--;
      this.world.after(500, () => this.powerCycle(true));
    } else this.startAgent();
  }

  #bury(noticed: boolean): void {
    const process = this.process;
    if (process === undefined) return;
    process.alive = false;
    this.process = undefined;
    this.world.network.agentGone(this, process, noticed);
  }

  #tickLater(process: AgentProcess): void {
    this.world.after(this.world.timing.agentTickMs, () => {
      if (!process.alive || this.process !== process) return;
      process.platformTick();
      this.use((core) => core.tick());
      if (process.alive) this.#tickLater(process);
    });
  }

  #hookRun(stage: Stage): HookRun {
    // It may have vanished since it was found.
    const runs = this.hooks[stage] ?? this.script.hooks[stage];
    const n = this.#executions.get(stage) ?? 0;
    this.#executions.set(stage, n + 1);
    return runs?.[Math.min(n, runs.length - 1)] ?? { durationMs: 0, exit: 127 };
  }

  #crashPoint(when: "before" | "after", what: string): void {
    const process = this.process;
    if (process === undefined || !process.alive) throw new Crash();
    if (!this.world.chance.agentCrash(this.name, when, what)) return;
    process.alive = false;
    throw new Crash();
  }

  /** The ports of one process: after its death none of them does anything. */
  portsFor(process: AgentProcess): Ports {
    const alive = () => {
      if (!process.alive) throw new Crash();
    };
    const { variant } = this.world;
    const inner = variant.journal?.(this.journal, this) ?? this.journal;
    const executor = variant.executor?.(this.executor, this) ?? this.executor;
    let nested = false;
    /** Between two durable writes the process may die. */
    const durably = <T>(write: () => T): T => {
      alive();
      if (nested) return write();
      this.#committed = "";
      const value = write();
      if (this.#committed !== "") this.#crashPoint("after", this.#committed);
      return value;
    };
    const journal: Journal = {
      accept: (row) => durably(() => inner.accept(row)),
      end: (key, result) => durably(() => inner.end(key, result)),
      requestCancel: (key, reason) => durably(() => inner.requestCancel(key, reason)),
      countReboot: (key) => durably(() => inner.countReboot(key)),
      ack: (ids) => durably(() => inner.ack(ids)),
      prune: (keep) => durably(() => inner.prune(keep)),
      get: (key) => inner.get(key),
      open: () => inner.open(),
      outbox: (after, limit) => inner.outbox(after, limit),
      cordon: () => inner.cordon(),
      setCordon: (mark) => durably(() => inner.setCordon(mark)),
      generation: (uuid) => inner.generation(uuid),
      raiseGeneration: (uuid, generation) => durably(() => inner.raiseGeneration(uuid, generation)),
      batch: (change) =>
        durably(() =>
          inner.batch(() => {
            nested = true;
            try {
              return change();
            } finally {
              nested = false;
            }
          }),
        ),
    };
    const executorPort: Executor = {
      start: (id, task) => {
        alive();
        this.#crashPoint("before", "start");
        executor.start(id, task);
        this.#crashPoint("after", "start");
      },
      look: (id) => executor.look(id),
      cancel: (id, reason) => {
        alive();
        executor.cancel(id, reason);
      },
      progress: (id) => executor.progress(id),
      forget: (id) => {
        alive();
        executor.forget(id);
      },
      known: () => executor.known(),
    };
    return {
      journal,
      executor: executorPort,
      hooks: {
        inventory: () => this.inventory(),
        find: (stage) => {
          const problem = this.script.problems?.[stage];
          const file = `/hooks/${stage}`;
          const sha256 = "ab".repeat(32);
          if (problem !== undefined) return { state: "problem", file, sha256, reason: `${stage} hook: ${problem}` };
          return this.hooks[stage] === undefined ? { state: "absent" } : { state: "found", file, sha256 };
        },
      },
      machine: {
        bootId: () => this.bootId,
        wallMs: () => this.wallMs(),
        monotonicMs: () => this.world.now - this.#bootedAt,
        reboot: (failed) => {
          alive();
          this.world.checker.guests.goesDown(this.name, "reboot");
          this.#reboot(process, failed);
        },
      },
      ...this.#platformFor(process),
      services: this.world.services.jobs(this, alive),
      log: (level, text) => {
        if (process.alive && level !== "info") this.world.note(level, this.name, `agent: ${text}`);
      },
    };
  }

  #platformFor(process: AgentProcess): { platform?: Platform } {
    if (this.script.hypervisor === undefined) return {};
    const { world, name } = this;
    const clock = () => world.now - this.#bootedAt;
    const inner = new SimulatedPlatform(world.guests.hypervisor(name), clock);
    process.platformTick = () => inner.tick();
    const alive = () => {
      if (!process.alive) throw new Crash();
    };
    const platform: Platform = {
      name: inner.name,
      start: (id, spec) => {
        alive();
        this.#crashPoint("before", `begin ${spec.verb}`);
        world.checker.guests.asked(this, id, spec);
        inner.start(id, spec);
        world.checker.guests.answered(this, id, spec, inner.look(id));
        this.#crashPoint("after", `begin ${spec.verb}`);
      },
      resume: (id, spec) => inner.resume(id, spec),
      look: (id) => inner.look(id),
      cancel: (id, reason) => {
        alive();
        inner.cancel(id, reason);
      },
      forget: (id) => inner.forget(id),
      inventory: () => inner.inventory(),
      readAtMs: () => inner.readAtMs(),
    };
    return { platform: world.variant.platform?.(platform, this) ?? platform };
  }

  #reboot(process: AgentProcess, failed: (reason: string) => void): void {
    if (this.rebootRefused !== "") {
      const reason = this.rebootRefused;
      this.world.after(10, () => {
        if (process.alive && this.process === process) this.use(() => failed(reason));
      });
      return;
    }
    if (this.#rebooting) return;
    this.#rebooting = true;
    const boots = this.boots;
    this.world.after(1_000, () => {
      this.#rebooting = false;
      if (this.up && this.boots === boots) this.powerCycle(true);
    });
  }

  /** Who keeps instances away, as this host's agent remembers it. */
  mark(): string {
    return this.journal.cordon()?.holder ?? "";
  }

  /** Text of the keys whose end the agent still has to report. */
  undelivered(): string[] {
    return this.journal.outbox(0, 1000).map((e) => `${keyText(e.row.key)} ${e.kind}`);
  }
}
