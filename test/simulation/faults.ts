import type { GateAnswer } from "@slipway/controller";
import type { Chance, HookRun, HostScript, World } from "@slipway/simulator";
import type { Random } from "@slipway/simulator/random";

/** How much goes wrong in one world; every number is drawn from its seed. */
export interface Weather {
  /** 0 calm, 1 wild. */
  readonly wildness: number;
  /** Messages inside a session get lost, doubled and overtaken, which gRPC would never do. */
  readonly adversarial: boolean;
  /** Mean time between two faults from outside, in milliseconds. */
  readonly everyMs: number;
}

export function drawWeather(random: Random): Weather {
  const wildness = random.pick([0, 0.2, 0.5, 1, 1]);
  return {
    wildness,
    adversarial: random.chance(0.3),
    everyMs: wildness === 0 ? Infinity : Math.round(random.pick([2_000, 5_000, 15_000, 40_000]) / wildness),
  };
}

/** What the ports do in a world with this weather, until `calm` is set. */
export class SeededChance implements Chance {
  calm = false;
  gateClosed: GateAnswer | undefined;
  readonly #random: Random;
  readonly #weather: Weather;
  readonly #agentCrash: number;
  readonly #controllerCrash: number;

  constructor(random: Random, weather: Weather) {
    this.#random = random;
    this.#weather = weather;
    this.#agentCrash = random.pick([0, 0.01, 0.05, 0.2]) * weather.wildness;
    this.#controllerCrash = random.pick([0, 0.003, 0.02, 0.06]) * weather.wildness;
  }

  #goesWrong(probability: number): boolean {
    return !this.calm && this.#random.chance(probability * this.#weather.wildness);
  }

  latencyMs(): number {
    return this.#random.int(1, this.#goesWrong(0.05) ? 3_000 : 20);
  }
  redialMs(): number {
    return this.#random.int(200, 2_000);
  }
  flushDelayMs(): number {
    return this.#random.int(0, this.#goesWrong(0.02) ? 500 : 3);
  }
  restartDelay(): number {
    return this.#random.int(500, this.#goesWrong(0.3) ? 60_000 : 3_000);
  }
  message(): { copies: number; delayMs: number } {
    if (!this.#weather.adversarial || this.calm) return { copies: 1, delayMs: 0 };
    const r = this.#random.next();
    if (r < 0.08) return { copies: 0, delayMs: 0 };
    if (r < 0.16) return { copies: 2, delayMs: this.#random.int(0, 5_000) };
    if (r < 0.26) return { copies: 1, delayMs: this.#random.int(1, 15_000) };
    return { copies: 1, delayMs: 0 };
  }
  agentGoesFirst(): boolean {
    return this.#random.chance(0.5);
  }
  hintLost(): boolean {
    return this.#goesWrong(0.3);
  }
  agentCrash(): boolean {
    return !this.calm && this.#random.chance(this.#agentCrash);
  }
  controllerCrash(): boolean {
    return !this.calm && this.#random.chance(this.#controllerCrash);
  }
  gateFate(): { delayMs: number } {
    return { delayMs: this.#random.int(1, this.#goesWrong(0.05) ? 20_000 : 50) };
  }
  gateAnswer(host: string): GateAnswer {
    if (!this.calm && this.gateClosed !== undefined) return this.gateClosed;
    if (!this.#goesWrong(0.05)) return { verdict: "ok", reasons: [] };
    return denial(this.#random.pick(["deny", "unknown", "tight"] as const), host);
  }
}

export function denial(verdict: "deny" | "unknown" | "tight", host: string): GateAnswer {
  const text = verdict === "unknown" ? `${host}: etcd does not answer` : `${host}: the quorum would be at its limit`;
  return { verdict, reasons: [{ rule: "quorum", subject: host, text, fix: "wait" }] };
}

function drawHook(random: Random, weather: Weather, timeoutMs: number): HookRun {
  const wrong = weather.wildness * 0.12;
  const durationMs = random.chance(wrong / 3)
    ? random.pick([Infinity, timeoutMs, timeoutMs + 1])
    : random.int(50, random.chance(0.2) ? Math.min(15_000, timeoutMs) : 3_000);
  const exit = random.chance(wrong) ? random.pick([1, 2, 124, 143, 255]) : random.chance(0.04) ? 70 : 0;
  const requests = random.chance(0.15)
    ? random.pick([
        "reboot=required\n",
        "reboot=required\nrerun=after-reboot\n",
        "progress=40\nmessage=half way\n",
        "skip=no need\n",
      ])
    : undefined;
  return {
    durationMs,
    exit,
    output: `hook says ${random.int(1, 99)}`,
    ...(requests === undefined ? {} : { requests }),
    ...(random.chance(wrong / 6) ? { signal: "SIGSEGV" } : {}),
    ...(random.chance(0.1) ? { ignoresTerm: true } : {}),
  };
}

export function drawHosts(random: Random, weather: Weather, timeoutMs: number): HostScript[] {
  const clusters = random.int(1, 3);
  const count = random.int(2, 8);
  return Array.from({ length: count }, (_, i) => {
    const hooks: { -readonly [S in keyof HostScript["hooks"]]: HostScript["hooks"][S] } = {};
    for (const [stage, there] of [
      ["PreFlight", 0.8],
      ["PreMaintenance", 0.6],
      ["Maintenance", 0.95],
      ["PostMaintenance", 0.7],
    ] as const)
      if (random.chance(there)) {
        const runs = Array.from({ length: random.int(1, 3) }, () => drawHook(random, weather, timeoutMs));
        hooks[stage] = runs as [HookRun, ...HookRun[]];
      }
    const problem = random.chance(0.02 * weather.wildness);
    return {
      name: `hv${i + 1}`,
      labels: { cluster: `c${1 + (i % clusters)}`, pod: "p1", zone: "z1" },
      hooks,
      ...(problem ? { problems: { Maintenance: "is not executable" } } : {}),
      bootMs: random.int(2_000, 20_000),
    };
  });
}

/** Sends faults and operators into a world until it is told to stop. */
export class Trouble {
  readonly #world: World;
  readonly #random: Random;
  readonly #chance: SeededChance;
  readonly #weather: Weather;
  #stopped = false;

  constructor(world: World, random: Random, chance: SeededChance, weather: Weather) {
    this.#world = world;
    this.#random = random;
    this.#chance = chance;
    this.#weather = weather;
  }

  begin(): void {
    if (Number.isFinite(this.#weather.everyMs)) this.#next();
  }

  #next(): void {
    this.#world.after(this.#random.exponential(this.#weather.everyMs), () => {
      if (this.#stopped) return;
      this.#strike();
      this.#next();
    });
  }

  /** Everything works from now on, and what an operator holds is let go. */
  stop(): void {
    const world = this.#world;
    this.#stopped = true;
    this.#chance.calm = true;
    this.#chance.gateClosed = undefined;
    world.disk.full = false;
    world.controller.heldDown = false;
    world.controller.start();
    for (const host of world.hosts.values()) {
      host.diskFull = false;
      host.rebootRefused = "";
      host.bootLoops = 0;
      host.neverReturns = false;
      host.agentHeldDown = false;
      world.network.heal(host);
      if (!host.up) world.after(host.script.bootMs, () => host.boot());
      host.startAgent();
    }
  }

  #strike(): void {
    const world = this.#world;
    const random = this.#random;
    const host = world.host(random.pick([...world.hosts.keys()]));
    const fault = random.pick([...KINDS]);
    world.note("fault", host.name, fault);
    const forAWhile = (max: number, undo: () => void) =>
      world.after(random.int(500, max), () => {
        if (!this.#stopped) undo();
      });
    switch (fault) {
      case "kill agent":
        host.killAgent(random.int(500, random.chance(0.2) ? 90_000 : 3_000));
        return;
      case "kill controller":
        world.controller.kill(random.int(500, random.chance(0.2) ? 60_000 : 3_000));
        return;
      case "kill both":
        host.killAgent(random.int(500, 5_000));
        world.controller.kill(random.int(500, 5_000));
        return;
      case "power cut":
        host.powerCycle(false);
        return;
      case "reboot":
        host.powerCycle(true);
        return;
      case "no return":
        host.neverReturns = true;
        forAWhile(120_000, () => {
          host.neverReturns = false;
          host.boot();
        });
        return;
      case "boot loop":
        host.bootLoops = random.int(1, 4);
        return;
      case "reboot refused":
        host.rebootRefused = "the machine refuses";
        forAWhile(60_000, () => {
          host.rebootRefused = "";
        });
        return;
      case "runner killed": {
        const running = host.executor.running();
        if (running.length > 0) host.executor.cutOff(random.pick(running));
        return;
      }
      case "partition":
        world.network.partition(host);
        forAWhile(random.pick([4_000, 30_000, 150_000]), () => world.network.heal(host));
        return;
      case "reset":
        world.network.reset(host);
        return;
      case "agent disk full":
        host.diskFull = true;
        forAWhile(40_000, () => {
          host.diskFull = false;
        });
        return;
      case "controller disk full":
        world.disk.full = true;
        forAWhile(40_000, () => {
          world.disk.full = false;
        });
        return;
      case "clock jump":
        if (random.chance(0.5)) host.wallSkewMs += random.int(-86_400_000, 86_400_000);
        else world.controller.wallSkewMs += random.int(-86_400_000, 86_400_000);
        return;
      case "gate closed":
        this.#chance.gateClosed = denial(random.pick(["deny", "unknown"] as const), host.name);
        forAWhile(60_000, () => {
          this.#chance.gateClosed = undefined;
        });
        return;
      case "operator":
        this.#operator(host.name);
        return;
    }
  }

  #operator(host: string): void {
    const world = this.#world;
    const random = this.#random;
    const runs = [...world.disk.runs.keys()];
    const run = runs.at(-1);
    if (run === undefined) return;
    const reason = random.chance(0.5) ? "because" : "";
    switch (
      random.pick([
        "pause",
        "resume",
        "resume",
        "abort",
        "retry",
        "retry",
        "skip",
        "mark-done",
        "cordon",
        "uncordon",
        "start",
      ] as const)
    ) {
      case "pause":
        world.command(run, { kind: "pause", reason });
        world.after(random.int(1_000, 60_000), () => world.command(run, { kind: "resume", reason: "" }));
        return;
      case "resume":
        world.command(run, { kind: "resume", reason });
        return;
      case "abort":
        if (random.chance(0.5)) world.command(run, { kind: "abort", now: random.chance(0.5), reason });
        return;
      case "retry":
        world.command(run, { kind: "retry", host, reason });
        return;
      case "skip":
        world.command(run, { kind: "skip", host, reason });
        return;
      case "mark-done":
        world.command(run, { kind: "mark-done", host, reason });
        return;
      case "cordon":
        world.controller.cordon(host);
        return;
      case "uncordon":
        world.controller.uncordon(host, "bob");
        return;
      case "start": {
        const names = random.chance(0.5) ? [host] : [...world.hosts.keys()];
        const last = world.disk.runs.get(run);
        world.startRun(`r${runs.length + 1}`, { kind: "hosts", names }, last?.spec.options ?? {}, "bob");
      }
    }
  }
}

const KINDS = [
  "kill agent",
  "kill agent",
  "kill controller",
  "kill controller",
  "kill both",
  "power cut",
  "reboot",
  "no return",
  "boot loop",
  "reboot refused",
  "runner killed",
  "partition",
  "partition",
  "reset",
  "agent disk full",
  "controller disk full",
  "clock jump",
  "gate closed",
  "operator",
  "operator",
  "operator",
  "operator",
  "operator",
  "operator",
] as const;
