import { spawn } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningController } from "@slipway/controller";
import { connect, unaryClient } from "@slipway/shared/grpc";
import { operatorWire } from "@slipway/shared/wire";
import type { Bench } from "./kit/bench.ts";
import { compared, type Figure } from "./kit/figures.ts";
import { median, percentile } from "./kit/stats.ts";
import { until } from "./kit/wait.ts";
import { startAgent } from "./pool/agent.ts";
import { controllerHere } from "./pool/controller.ts";
import { Identities } from "./pool/fleet.ts";

const HOST = "hv1";
const STAGES = ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"];
const RUN_MS = 60_000;
const BARE_A_RUN = STAGES.length;

/** Writes when it begins and when it ends, in microseconds of the wall clock: bash knows both without another process. */
const HOOK = `#!/bin/bash
began=\${EPOCHREALTIME/./}
echo "$began \${EPOCHREALTIME/./}" >> "$0.times"
`;

interface Sample {
  /** From asking for it to the hook's first line. */
  readonly startMs: number;
  /** From the hook's last line to knowing its verdict. */
  readonly endMs: number;
}

export const verdict: Bench = {
  about: "from a hook's exit to the controller's knowledge of it, beside a bare spawn of the same hook",
  rounds: 15,
  async run(scratch, { rounds, say }) {
    const identities = await Identities.make(scratch.fresh("controller"), 1);
    const hooksDir = scratch.fresh("hooks");
    for (const stage of [...STAGES, "bare"]) {
      writeFileSync(join(hooksDir, stage), HOOK);
      chmodSync(join(hooksDir, stage), 0o755);
    }
    const controller = await controllerHere(identities.dir);
    const client = connect(controller.listen, identities.operator);
    try {
      const operator = unaryClient(client, operatorWire.OperatorService);
      const [own] = identities.hosts;
      if (!own) throw new Error("no host");
      startAgent(scratch, {
        dir: scratch.fresh("agent"),
        host: HOST,
        address: controller.listen,
        tls: own.tls,
        hooksDir,
      });
      await until("the agent", () => controller.registry.host(HOST)?.connected);
      say(`${rounds} runs of ${STAGES.length} hooks`);
      const product: Sample[][] = [];
      const bare: Sample[][] = [];
      for (let round = 0; round < rounds; round++) {
        const spawned: Sample[] = [];
        for (let i = 0; i < BARE_A_RUN; i++) spawned.push(await spawnBare(join(hooksDir, "bare")));
        bare.push(spawned);
        product.push(await oneRun(controller, () => operator.startRun(request, { deadlineMs: RUN_MS }), hooksDir));
      }
      const figures: Figure[] = [];
      for (const [key, name] of [
        ["endMs", "hook exits => its verdict is known"],
        ["startMs", "it is asked for => hook runs"],
      ] as const)
        figures.push(compared(name, "ms", { name: "bare spawn", values: medians(bare, key) }, medians(product, key)));
      const tail = (rounds: readonly Sample[][]) =>
        percentile(
          rounds.flat().map((sample) => sample.endMs),
          0.95,
        ).toFixed(1);
      return {
        bench: "verdict",
        figures,
        notes: [
          `${product.flat().length} hooks in ${rounds} runs on a real agent process with the direct executor; hook exits => known, p95: ${tail(product)} ms, bare ${tail(bare)} ms`,
          "known: the event is durable in the controller's log; on the way it was durable in the runner's files and in the agent's journal",
          "a hook's last line is a little before its exit: what bash needs to end is in both columns",
        ],
      };
    } finally {
      client.close();
      await controller.stop();
    }
  },
};

function medians(rounds: readonly Sample[][], key: keyof Sample): number[] {
  return rounds.map((samples) => median(samples.map((sample) => sample[key])));
}

const request = { scope: { hosts: [HOST] }, options: { timeoutMs: 30_000n } };

async function oneRun(
  controller: RunningController,
  start: () => Promise<unknown>,
  hooksDir: string,
): Promise<Sample[]> {
  const asked = new Map<string, number>();
  const known = new Map<string, number>();
  let isOver = false;
  const offset = wallOffset();
  const off = controller.coordinator.onUpdate(({ recorded: { event } }) => {
    if (event.type === "step-started" && STAGES.includes(event.step)) asked.set(event.step, offset + performance.now());
    if (event.type === "step-ended" && STAGES.includes(event.step)) known.set(event.step, offset + performance.now());
    if (event.type === "run-ended") isOver = true;
  });
  try {
    await start();
    await until("the end of the run", () => isOver, RUN_MS, 5);
  } finally {
    off();
  }
  return STAGES.map((stage) => {
    const { began, ended } = lastTimes(join(hooksDir, stage));
    return { startMs: began - (asked.get(stage) ?? Number.NaN), endMs: (known.get(stage) ?? Number.NaN) - ended };
  });
}

async function spawnBare(hook: string): Promise<Sample> {
  const offset = wallOffset();
  const asked = offset + performance.now();
  const child = spawn(hook, [], { stdio: "ignore" });
  const known = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", () => resolve(offset + performance.now()));
  });
  const { began, ended } = lastTimes(hook);
  return { startMs: began - asked, endMs: known - ended };
}

function lastTimes(hook: string): { began: number; ended: number } {
  const [began, ended] = readFileSync(`${hook}.times`, "utf8").trim().split("\n").at(-1)?.split(" ") ?? [];
  return { began: Number(began) / 1_000, ended: Number(ended) / 1_000 };
}

/**
 * What to add to performance.now() for the wall clock in milliseconds, as fine as the hooks know it. Looked at when a
 * millisecond begins; being interrupted right then can only make it smaller, so the largest of some looks is right.
 */
function wallOffset(): number {
  let offset = Number.NEGATIVE_INFINITY;
  for (let look = 0; look < 5; look++) {
    const first = Date.now();
    let next = first;
    while (next === first) next = Date.now();
    offset = Math.max(offset, next - performance.now());
  }
  return offset;
}
