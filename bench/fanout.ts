import { setTimeout as sleep } from "node:timers/promises";
import { alternate, type Bench, type BenchOptions } from "./kit/bench.ts";
import { atMost, compared, type Figure } from "./kit/figures.ts";
import type { Scratch } from "./kit/scratch.ts";
import { median, percentile } from "./kit/stats.ts";
import { Clush, provideClush } from "./peers/clush.ts";
import { echoFleet, type Fleet, Identities, productFleet } from "./pool/fleet.ts";

const AGENTS = 200;
/** Commands sent to each fleet before its first measured one, and measured ones. */
const WARM_UP = 5;
const COMMANDS = 20;
/** Between two commands, in milliseconds: what is still under way from the last one is not part of the next. */
const PAUSE_MS = 100;
const CLUSH_FANOUT = 64;
const CLUSH_ROUNDS = 3;

export const fanout: Bench = {
  about: `a no-op on ${AGENTS} agents, durable on both sides, beside a bare grpc-js echo and clush`,
  rounds: 5,
  async run(scratch, options) {
    const { say, rounds } = options;
    const identities = await Identities.make(scratch.fresh("controller"), AGENTS);
    const notes = [
      `${AGENTS} agents in 4 processes, the controller in its own, mutual TLS, one connection each; median of ${COMMANDS} commands a round, ${rounds} rounds`,
      "all agents' journals lie on one disk, so their commits queue behind each other; the durable echo is the floor with one fdatasync (4 KiB append) an agent and one a batch at the server",
    ];
    const p99: number[] = [];
    const measure = async (make: () => Promise<Fleet>) => {
      const fleet = await make();
      try {
        await fleet.connect();
        const ms = await commands(fleet, PAUSE_MS);
        p99.push(percentile(ms, 0.99));
        return median(ms);
      } finally {
        await fleet.stop();
      }
    };
    say("no-op beside echo");
    const walls = await alternate(rounds, {
      echo: () => measure(() => echoFleet(scratch, identities, "echo")),
      durable: () => measure(() => echoFleet(scratch, identities, "durable", true)),
      product: () => measure(() => productFleet(scratch, identities, "product")),
    });
    const figures: Figure[] = [
      compared("no-op on all, durable", "ms", { name: "grpc-js echo", values: walls.echo }, walls.product, atMost(1.5)),
      compared("the same", "ms", { name: "durable echo", values: walls.durable }, walls.product),
    ];
    const problem = await provideClush(say);
    if (problem === "") figures.push(...(await beside(scratch, identities, options, notes)));
    else {
      say(`SKIPPED clush: ${problem}`);
      notes.push(`**clush was skipped**: ${problem}`);
    }
    return { bench: "fanout", figures, notes };
  },
};

async function commands(fleet: Fleet, pauseMs: number): Promise<number[]> {
  const ms: number[] = [];
  for (let i = -WARM_UP; i < COMMANDS; i++) {
    await sleep(pauseMs);
    const wall = await fleet.round();
    if (i >= 0) ms.push(wall);
  }
  return ms;
}

async function beside(
  scratch: Scratch,
  identities: Identities,
  { say }: BenchOptions,
  notes: string[],
): Promise<Figure[]> {
  say("no-op beside clush");
  const clush = await Clush.start(scratch, AGENTS);
  try {
    await clush.open();
    const product = async () => {
      const fleet = await productFleet(scratch, identities, "product");
      try {
        await fleet.connect();
        return median(await commands(fleet, PAUSE_MS));
      } finally {
        await fleet.stop();
      }
    };
    const walls = await alternate(CLUSH_ROUNDS, {
      cold: () => clush.round("cold", CLUSH_FANOUT),
      warm: () => clush.round("warm", CLUSH_FANOUT),
      product,
    });
    notes.push(
      `${await clush.version()}, fanout ${CLUSH_FANOUT}, \`true\` in the login user's shell without that user's start files, all targets played by one sshd on loopback; ${CLUSH_ROUNDS} rounds; warm: control connections open`,
    );
    return [
      compared("no-op on all, durable", "ms", { name: "clush warm", values: walls.warm }, walls.product, atMost(0.05)),
      compared("no-op on all, durable", "ms", { name: "clush cold", values: walls.cold }, walls.product, atMost(0.005)),
    ];
  } finally {
    clush.stop();
  }
}
