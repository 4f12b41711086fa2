import type { HostCapacity, Instance } from "@slipway/shared";
import { Coordinator } from "../coordinator/coordinator.ts";
import { MemoryStore } from "../coordinator/memory-store.ts";
import type { AgentCommand } from "../coordinator/ports.ts";
import { actionOf, type Look } from "../domain/action.ts";
import type { StepResult } from "../domain/events.ts";
import type { AgentTask, EffectRef } from "../domain/fleet.ts";
import type { HostInventory } from "../domain/inventory.ts";
import { defaultPool, type PoolConfig } from "../domain/pool.ts";
import { noQuorum, type QuorumConfig } from "../domain/quorum.ts";
import type { RunOptions, Scope } from "../domain/words.ts";
import { reportOf } from "../engine/report.ts";
import { controllerResult } from "../engine/result.ts";
import { type KnownHost, optionsOf, planRun, scopeOf } from "../planner/plan.ts";

type InstanceTask = Extract<AgentTask, { kind: "instance" }>;

/** What becomes of a step on an instance. `apply`: whether it has its effect all the same. */
export interface Fate {
  readonly verdict?: StepResult["verdict"];
  readonly reason?: string;
  readonly apply?: boolean;
  /** Milliseconds. Default: a move 1,800, all else 10. `Infinity`: no end is told. */
  readonly takesMs?: number;
  /** Instead of what the platform would say. */
  readonly look?: Partial<Look>;
}

interface TestHost {
  readonly name: string;
  connected: boolean;
  sinceT: number;
  platform: string;
  problem: string;
  memoryMib: number;
  labels: Record<string, string>;
  /** The controller knows them. */
  toldLabels: boolean;
  instances: Map<string, Instance>;
  generations: Map<string, number>;
  cordonedBy: string;
  /** The agent follows the controller's word at once. */
  obeysCordon: boolean;
  bootId: number;
  picture?: { text: string; readT: number; inventory: HostInventory["inventory"] };
}

export const uuidOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

export function instance(n: number, over: Partial<Instance> = {}): Instance {
  return {
    ...{ uuid: uuidOf(n), name: `vm${n}`, state: "running", stateReason: "", vcpus: 1, memoryMib: 1024 },
    ...{
      memoryMaxMib: 1024,
      hugepageKib: 0,
      disks: [],
      devices: [],
      cpuMode: "",
      cpuModel: "",
      cpuFeatures: [],
      cpuDisabled: [],
    },
    ...{ machineType: "", virtType: "kvm", nics: [], autostart: false, persistent: true, guestAgent: false },
    ...{ metadata: {}, generation: 0, job: "", saved: false, numaNodes: [], pinned: "", startedAtMs: 0n },
    ...over,
  };
}

function capacity(host: TestHost): HostCapacity {
  return {
    ...{ memoryMib: host.memoryMib, memoryFreeMib: host.memoryMib, cpus: 16, cpuArch: "x86_64", cpuModel: "m" },
    ...{
      cpuVendor: "v",
      cpuFeatures: [],
      numa: [],
      hugepages: [],
      machineTypes: [],
      bridges: [],
      networks: [],
      pools: [],
    },
    ...{
      migrationUri: `qemu+tls://${host.name}/system`,
      migrationAddress: "",
      version: "",
      virtTypes: ["kvm"],
      cpuModels: [],
    },
  };
}

/**
 * A pool with instances around a real coordinator: agents that do what they are told, take their time, and fail as a test says. Time
 * passes only in `settle`.
 */
export class TestPool {
  readonly hosts = new Map<string, TestHost>();
  readonly lines: string[] = [];
  readonly sent: { host: string; command: AgentCommand }[] = [];
  readonly store = new MemoryStore();
  pool: PoolConfig = defaultPool;
  quorum: QuorumConfig = noQuorum;
  coordinator: Coordinator;
  now = 1_000;
  /** Wall clock of the controller, which begins at 1970-01-01T00:16:40Z, ahead of that. */
  wallSkewMs = 0;
  readonly operatorCordons = new Set<string>();
  /** Asked for the fate of each execution of a step on an instance, and told when it begins. */
  fate: (host: string, task: InstanceTask, attempt: number) => Fate | undefined = () => undefined;
  /** Stages and reboots. */
  stage: (ref: EffectRef) => Partial<StepResult> | undefined = () => ({});
  /** And how long they take, in milliseconds. */
  stageMs: (ref: EffectRef) => number = () => 5;
  /** Called after every flush. */
  watch: () => void = () => {};
  readonly #queue: { at: number; run: () => void }[] = [];
  readonly #known = new Map<string, { ended?: StepResult }>();

  constructor(hosts: Readonly<Record<string, readonly Instance[]>>, memoryMib = 16_384) {
    for (const [name, instances] of Object.entries(hosts))
      this.hosts.set(name, {
        ...{
          name,
          connected: true,
          sinceT: 0,
          platform: "simulated",
          problem: "",
          memoryMib,
          labels: {},
          toldLabels: true,
          cordonedBy: "",
        },
        ...{ obeysCordon: true, bootId: 1, generations: new Map() },
        instances: new Map(instances.map((i) => [i.uuid, i])),
      });
    this.coordinator = this.#controller();
  }

  host(name: string): TestHost {
    const host = this.hosts.get(name);
    if (!host) throw new Error(`no host ${name}`);
    return host;
  }

  /** The controller dies and comes back; what it had sent is under way still. */
  restartController(): void {
    this.coordinator = this.#controller();
  }

  wallMs(): number {
    return 1_000_000 + this.now + this.wallSkewMs;
  }

  known(): KnownHost[] {
    return [...this.hosts.values()].map((h) => ({
      ...{ name: h.name, labels: { cluster: "c1", ...h.labels }, connected: h.connected, lastSeen: "" },
      ...{ hooksDir: "/h", hooksProblem: "", cordonedBy: this.coordinator.cordonHolders(h.name) },
      hooks: [{ stage: "Maintenance", file: "/h/Maintenance", sha256: "", problem: "" }],
    }));
  }

  plan(scope: Scope, options: Partial<RunOptions> = {}) {
    return planRun(this.known(), scope, optionsOf(options), {
      inventories: () => this.pictures(),
      pool: this.pool,
      nowT: this.now,
    });
  }

  start(hosts: readonly string[], options: Partial<RunOptions> = {}, run = "r1") {
    const scope = scopeOf({ hosts, clusters: [], pods: [], zones: [] });
    const plan = this.plan(scope, options);
    this.coordinator.start({
      run,
      scope,
      options: plan.options,
      hosts: plan.hosts,
      startedBy: "alice",
      requestId: run,
    });
    return plan;
  }

  /** Lets time pass until nothing happens any more, or for so long. */
  settle(forMs = 4_000_000): void {
    const until = this.now + forMs;
    for (let i = 0; i < 200_000; i++) {
      this.#cordons();
      while (this.coordinator.hasWork) {
        this.coordinator.flush();
        this.#cordons();
        this.watch();
      }
      const active = this.coordinator.active();
      this.#queue.sort((a, b) => a.at - b.at);
      const next = this.#queue[0];
      const isQuiet = next === undefined && (active.length === 0 || active.every((r) => r.paused));
      if (isQuiet) return;
      const at = Math.min(next?.at ?? Number.POSITIVE_INFINITY, this.now + 500);
      if (at > until) {
        this.now = until;
        return;
      }
      this.now = Math.max(this.now, at);
      if (next && next.at <= this.now) {
        this.#queue.shift();
        next.run();
      }
      this.coordinator.tick();
    }
    throw new Error(`not quiet: ${this.lines.slice(-20).join("\n")}`);
  }

  after(ms: number, run: () => void): void {
    this.#queue.push({ at: this.now + ms, run });
  }

  disconnect(name: string): void {
    Object.assign(this.host(name), { connected: false, sinceT: this.now });
    this.coordinator.agentDisconnected(name);
  }

  connect(name: string): void {
    Object.assign(this.host(name), { connected: true, sinceT: this.now });
    this.coordinator.agentConnected(name);
  }

  /** Where instances run, "vm1 on hv2". */
  running(): string[] {
    return [...this.hosts.values()]
      .flatMap((h) =>
        [...h.instances.values()].filter((i) => i.state !== "shutoff").map((i) => `${i.name} on ${h.name}`),
      )
      .sort();
  }

  report(run = "r1") {
    const found = this.coordinator.run(run);
    if (!found) throw new Error(`no run ${run}`);
    return reportOf(found);
  }

  /** Lines about instances only. */
  story(): string[] {
    return this.lines.filter((l) => l.startsWith("instance ") || l.includes("ledger"));
  }

  pictures(): HostInventory[] {
    return [...this.hosts.values()].flatMap((h) => this.#picture(h) ?? []);
  }

  #controller(): Coordinator {
    const coordinator: Coordinator = new Coordinator({
      store: this.store,
      agents: { send: (host, command) => this.#receive(host, command) },
      gate: {
        ask: (_q, done) =>
          this.after(5, () => this.coordinator === coordinator && done({ verdict: "ok", reasons: [] })),
      },
      clock: { engineMs: () => this.now, wallMs: () => this.wallMs() },
      roster: {
        host: (name) => {
          const h = this.hosts.get(name);
          return (
            h && {
              connected: h.connected,
              sinceT: h.sinceT,
              lastSeen: "last seen",
              cordonedByOperator: this.operatorCordons.has(name),
              ...(h.toldLabels ? { labels: h.labels } : {}),
            }
          );
        },
        cluster: (name) => (this.hosts.has(name) ? "c1" : undefined),
        members: () => [...this.hosts.keys()],
        inventories: () => this.pictures(),
        pool: () => this.pool,
        quorum: () => this.quorum,
      },
      trouble: (text) => this.lines.push(text),
    });
    coordinator.onUpdate((u) => this.lines.push(...u.lines.map((l) => `${l.subject}: ${l.text}`)));
    coordinator.restore();
    return coordinator;
  }

  /** What the host's agent tells: as it is while connected, as it was else. */
  #picture(h: TestHost): HostInventory | undefined {
    if (h.connected) {
      const instances = [...h.instances.values()].map((i) => ({
        ...i,
        generation: h.generations.get(i.uuid) ?? i.generation,
      }));
      const { platform, problem, cordonedBy } = h;
      const told = { platform, problem, capacity: capacity(h), instances: problem ? [] : instances, cordonedBy };
      const text = JSON.stringify(told, (_k, v) => (typeof v === "bigint" ? String(v) : v));
      if (h.picture?.text !== text) h.picture = { text, readT: this.now, inventory: { seq: 1, ...told } };
      h.picture.readT = this.now;
    }
    if (!h.picture) return undefined;
    const { inventory, readT } = h.picture;
    return { host: h.name, labels: h.labels, connected: h.connected, readT, inventory };
  }

  #cordons(): void {
    for (const h of this.hosts.values()) {
      const holders = this.coordinator.cordonHolders(h.name).join(",");
      if (!h.connected || !h.obeysCordon || h.cordonedBy === holders) continue;
      h.cordonedBy = holders;
      this.coordinator.worldChanged();
    }
  }

  #receive(host: string, command: AgentCommand): void {
    if (!this.host(host).connected) return;
    this.sent.push({ host, command });
    const { ref } = command;
    const key = `${ref.run}/${ref.host}/${ref.step}/${ref.attempt}`;
    const known = this.#known.get(key);
    if (command.kind === "query" || known) {
      if (command.kind === "cancel" && known && !known.ended)
        this.#end(ref, controllerResult("cancelled", command.reason, 0, 0));
      if (known?.ended) this.after(1, () => this.coordinator.stepEnded(ref, known.ended as StepResult));
      return;
    }
    if (command.kind !== "start") return;
    this.#known.set(key, {});
    this.after(1, () => this.coordinator.stepAccepted(ref));
    if (command.task.kind === "instance") this.#instance(host, ref, command.task);
    else {
      const over = this.stage(ref);
      if (!over) return;
      const result = { ...controllerResult("ok", "", 0, 0), hooks: { maintenance: true, problems: [] }, ...over };
      this.after(this.stageMs(ref), () => {
        if (ref.step === "reboot") this.host(host).bootId++;
        this.#end(ref, result);
      });
    }
  }

  #end(ref: EffectRef, result: StepResult): void {
    this.#known.set(`${ref.run}/${ref.host}/${ref.step}/${ref.attempt}`, { ended: result });
    if (this.hosts.get(ref.host)?.connected) this.coordinator.stepEnded(ref, result);
  }

  #instance(name: string, ref: EffectRef, task: InstanceTask): void {
    const fate = this.fate(name, task, ref.attempt) ?? {};
    const host = this.host(name);
    const takes = fate.takesMs ?? (task.verb === "move" ? 1_800 : 10);
    const old = host.generations.get(task.uuid) ?? 0;
    if (task.verb !== "look" && task.generation < old) throw new Error(`${task.verb} of an old generation`);
    host.generations.set(task.uuid, Math.max(old, task.generation));
    if (takes === Number.POSITIVE_INFINITY) return;
    this.after(takes, () => {
      if (this.#known.get(`${ref.run}/${ref.host}/${ref.step}/${ref.attempt}`)?.ended) return;
      const verdict = fate.verdict ?? "ok";
      if (fate.apply ?? verdict === "ok") this.#apply(host, task);
      const seen = host.instances.get(task.uuid);
      const look: Look = {
        ...{ problem: host.problem, present: seen !== undefined, state: seen?.state ?? "", job: seen?.job ?? "" },
        ...{ generation: host.generations.get(task.uuid) ?? 0, bytes: 0, downtimeMs: 0 },
        ...fate.look,
      };
      this.coordinator.worldChanged();
      this.#end(ref, { ...controllerResult(verdict, fate.reason ?? "", 0, takes), instance: look });
    });
  }

  #apply(host: TestHost, task: InstanceTask): void {
    const one = host.instances.get(task.uuid);
    if (!one) return;
    switch (task.verb) {
      case "move": {
        const target = this.host(task.move?.to ?? "");
        if (target.instances.get(task.uuid)?.state === "running") throw new Error(`${one.name} runs twice`);
        host.instances.delete(task.uuid);
        target.instances.set(task.uuid, one);
        target.generations.set(task.uuid, Math.max(target.generations.get(task.uuid) ?? 0, task.generation));
        return;
      }
      case "stop":
      case "save":
        host.instances.set(task.uuid, { ...one, state: "shutoff" });
        return;
      case "start":
        host.instances.set(task.uuid, { ...one, state: "running" });
        return;
      case "discard":
        if (one.state !== "shutoff") throw new Error(`${one.name} is discarded while it is ${one.state}`);
        host.instances.delete(task.uuid);
        return;
      default:
        return;
    }
  }
}

/** Is this step one on an instance? */
export function isInstanceStep(ref: EffectRef): boolean {
  return actionOf(ref.step) !== undefined;
}
