import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningController } from "@slipway/controller";
import type { Bench } from "./kit/bench.ts";
import { atMost, type Figure } from "./kit/figures.ts";
import type { Scratch } from "./kit/scratch.ts";
import { median, percentile } from "./kit/stats.ts";
import { until } from "./kit/wait.ts";
import { startAgent } from "./pool/agent.ts";
import { controllerHere } from "./pool/controller.ts";
import { Identities } from "./pool/fleet.ts";

/** Real agent processes at a time. */
const AGENTS = 20;
/** How often the registry is looked at, in milliseconds: the error of every figure here. */
const LOOK_MS = 1;
const LOST_MS = 30_000;

interface Case {
  readonly name: string;
  readonly signal: "SIGKILL" | "SIGSTOP";
  readonly batches: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
}

export const detect: Bench = {
  about: "time until the controller knows that an agent was killed, or frozen",
  rounds: 5,
  async run(scratch, { rounds, say }) {
    const cases: Case[] = [
      { name: "killed", signal: "SIGKILL", batches: rounds, keepaliveMs: 3_000, keepaliveTimeoutMs: 2_000 },
      {
        name: "frozen, keepalive 3 s + 2 s (default)",
        signal: "SIGSTOP",
        batches: 2,
        keepaliveMs: 3_000,
        keepaliveTimeoutMs: 2_000,
      },
      {
        name: "frozen, keepalive 1 s + 1 s",
        signal: "SIGSTOP",
        batches: 1,
        keepaliveMs: 1_000,
        keepaliveTimeoutMs: 1_000,
      },
    ];
    const figures: Figure[] = [];
    const notes: string[] = [];
    for (const one of cases) {
      say(`${one.name}: ${one.batches * AGENTS} agents`);
      const ms = await measure(scratch, one);
      notes.push(
        `${one.name}: ${ms.length} agents; p50 ${median(ms).toFixed(1)} ms, longest ${Math.max(...ms).toFixed(1)} ms`,
      );
      if (one.signal === "SIGKILL") {
        figures.push({
          name: `${one.name}: p99 until disconnected`,
          unit: "ms",
          product: percentile(ms, 0.99),
          aim: atMost(100),
        });
        continue;
      }
      const bound = one.keepaliveMs + one.keepaliveTimeoutMs;
      const longest = Math.max(...ms);
      figures.push({
        name: `${one.name}: longest until disconnected`,
        unit: "ms",
        floor: { name: "keepalive + timeout", value: bound },
        product: longest,
        ratio: longest / bound,
        aim: atMost(1.1),
      });
      if (one.keepaliveMs === 3_000)
        figures.push({
          name: `${one.name}: longest until disconnected`,
          unit: "ms",
          product: longest,
          aim: atMost(5_000),
        });
    }
    notes.push(
      `real slipway-agent processes, ${AGENTS} at a time on a controller that this process holds; the registry is looked at every ${LOOK_MS} ms`,
      "heartbeats are one second apart, three missed ones count as silence",
    );
    return { bench: "detect", figures, notes };
  },
};

async function measure(
  scratch: Scratch,
  { signal, batches, keepaliveMs, keepaliveTimeoutMs }: Case,
): Promise<number[]> {
  const tuning = { keepaliveMs, keepaliveTimeoutMs };
  const identities = await Identities.make(scratch.fresh("controller"), AGENTS);
  const controller = await controllerHere(identities.dir, tuning);
  const found: number[] = [];
  try {
    for (let batch = 0; batch < batches; batch++) {
      const hosts = scratch.fresh("hosts");
      const agents = identities.hosts.map(({ name, tls }) => ({
        name,
        child: startAgent(scratch, { dir: join(hosts, name), host: name, address: controller.listen, tls, ...tuning }),
      }));
      try {
        const isUp = ({ name }: { name: string }) => controller.registry.host(name)?.connected === true;
        await until("the agents", () => agents.every(isUp));
        // Past the first heartbeats, and at another moment between two of them for each agent.
        await sleep(1_500);
        if (signal === "SIGKILL")
          for (const agent of agents) found.push(await lost(controller, agent.name, agent.child, signal));
        else {
          const waits: Promise<number>[] = [];
          for (const agent of agents) {
            waits.push(lost(controller, agent.name, agent.child, signal));
            await sleep(47);
          }
          found.push(...(await Promise.all(waits)));
        }
      } finally {
        await Promise.all(agents.map(({ child }) => scratch.stop(child, "SIGKILL")));
      }
    }
  } finally {
    await controller.stop();
  }
  return found;
}

/** Hits an agent and waits until the registry calls it disconnected; milliseconds. */
async function lost(
  controller: RunningController,
  host: string,
  child: ChildProcess,
  signal: NodeJS.Signals,
): Promise<number> {
  const started = performance.now();
  child.kill(signal);
  await until(`${host} disconnected`, () => !controller.registry.host(host)?.connected, LOST_MS, LOOK_MS);
  return performance.now() - started;
}
