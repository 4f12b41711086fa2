import { expect, test } from "vitest";
import { Pool, sleep, until } from "./kit.ts";

// Pools mostly wait, for hooks that sleep and for each other: the tests run at the same time, each with a pool of its own.

const stages = ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"] as const;

/** Every hook sleeps long enough to be hit, and hv2's Maintenance fails with 5. */
function hooks(p: Pool, seconds: number): void {
  for (const stage of stages) p.countingHook(stage, `sleep ${seconds}\necho "$SLIPWAY_STAGE on $SLIPWAY_HOST"`);
  p.countingHook("Maintenance", `sleep ${seconds}\nexit 5`, ["hv2"]);
}

/** Runs until `enough` kills have hit, each run checked: hooks ran exactly once, and every verdict is the true one. */
async function survive(p: Pool, kill: () => boolean, enough: number, pause: () => Promise<void>): Promise<void> {
  let kills = 0;
  let runs = 0;
  while (kills < enough) {
    if (++runs > 25) throw new Error(`only ${kills} kills in ${runs} runs`);
    const run = await p.detach("--zone", "z1", "--max-out", "2", "--forced", "--ping-interval", "1", "--timeout", "60");
    let over = false;
    const watching = p.steadily("watch", run).then((ended) => {
      over = true;
      return ended;
    });
    while (!over && kills < enough) {
      if (kill()) kills++;
      await pause();
    }
    const watched = await watching;
    if (!watched.stdout.includes("=> ended: ")) throw new Error(`watch ended early: ${watched.stderr}`);
    const report = await p.report(run);
    expect(report.hosts.map((h) => [h.name, h.outcome, h.reason.replace(/;.*/, "")])).toEqual(
      p.hosts.map((h) => (h === "hv2" ? [h, "failed", "Maintenance: exit status 5"] : [h, "updated", ""])),
    );
    const counts = p.counts(run);
    for (const host of report.hosts) {
      const ran = host.name === "hv2" ? stages.slice(0, 3) : stages;
      expect(host.stages.map((s) => [s.stage, s.attempt])).toEqual(ran.map((stage) => [stage, 1]));
      for (const stage of ran)
        expect([stage, counts[`${host.name}.${stage}.1`]?.filter((l) => l === "run")]).toEqual([stage, ["run"]]);
    }
    expect(Object.keys(counts)).toHaveLength(report.hosts.length * 4 - 1);
    await p.slipway("uncordon", "hv2");
  }
}

/** Now and then what was killed is killed again while it starts. */
const hitWhileItStarts = () => Math.random() < 0.15;

/** Mostly the controller lives a little before it is hit again. */
async function controllerPause(pool: Pool): Promise<void> {
  await sleep(200 + Math.random() * 1100);
  if (hitWhileItStarts()) return;
  await until("the controller listens", () => pool.controllerListens());
  await sleep(Math.random() * 1200);
}

/**
 * Kills agents, and mostly waits for one to be connected again before it is hit again: hit at a fixed pace, an agent that starts slowly on
 * a busy machine would never get as far, and a host that is away for as long as PreFlight waits has rightly failed.
 */
class Agents {
  readonly #pool: Pool;
  readonly #connectionsWhenHit = new Map<string, number>();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  kill(host: string): boolean {
    this.cutOff(host);
    return this.#pool.kill(host);
  }

  /** It is about to lose its connection: it, or the controller, is killed. */
  cutOff(host: string): void {
    this.#connectionsWhenHit.set(host, this.#pool.connections(host));
  }

  async back(host: string): Promise<void> {
    if (hitWhileItStarts()) return;
    const before = this.#connectionsWhenHit.get(host) ?? 0;
    await until(`the agent of ${host} is connected again`, () => this.#pool.connections(host) > before);
  }
}

const fleet = Object.fromEntries(
  ["hv1", "hv2", "hv3", "hv4"].map((name, i) => [name, { cluster: i < 2 ? "c1" : "c2", pod: "p1", zone: "z1" }]),
);

/** What a test does to its pool: `kill` and `pause` as in `survive`. */
interface Attack {
  kill(): boolean;
  pause(): Promise<void>;
}

/** Kills in a pool of its own. */
async function crash(seconds: number, enough: number, attackOn: (pool: Pool) => Attack): Promise<void> {
  const pool = await Pool.start(fleet);
  try {
    hooks(pool, seconds);
    const attack = attackOn(pool);
    await survive(pool, attack.kill, enough, attack.pause);
  } finally {
    await pool.stop();
  }
}

test.concurrent("agents are killed 50 times during stages: every hook runs exactly once, every verdict is right", async () => {
  await crash(1.2, 50, (pool) => {
    const agents = new Agents(pool);
    let turn = 0;
    const next = () => pool.hosts[turn % pool.hosts.length] ?? "";
    return {
      kill: () => {
        const hit = agents.kill(next());
        turn++;
        return hit;
      },
      pause: async () => {
        await sleep(100 + Math.random() * 400);
        await agents.back(next());
      },
    };
  });
});

test.concurrent("the controller is killed 50 times at random moments: the same", async () => {
  await crash(0.4, 50, (pool) => ({ kill: () => pool.kill("controller"), pause: () => controllerPause(pool) }));
});

test.concurrent("agents and controller are killed together: the same", async () => {
  await crash(0.8, 30, (pool) => {
    const agents = new Agents(pool);
    return {
      kill: () => {
        for (const host of pool.hosts) agents.cutOff(host);
        const hit = pool.kill("controller");
        for (const host of pool.hosts) if (Math.random() < 0.5) pool.kill(host);
        return hit;
      },
      pause: async () => {
        await controllerPause(pool);
        for (const host of pool.hosts) await agents.back(host);
      },
    };
  });
});
