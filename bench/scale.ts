import { setTimeout as sleep } from "node:timers/promises";
import { alternate, type Bench } from "./kit/bench.ts";
import { atMost, compared } from "./kit/figures.ts";
import { median } from "./kit/stats.ts";
import { cpuMs, residentKiB } from "./kit/usage.ts";
import { echoFleet, type Fleet, Identities, processesFor, productFleet } from "./pool/fleet.ts";

const AGENTS = 2_000;
const COMMANDS = 5;
const PAUSE_MS = 1_000;
/** How long processor time is watched while nothing but heartbeats goes on, in milliseconds. */
const IDLE_MS = 10_000;
const LIMIT_KIB = 120;

interface Measures {
  readonly connectMs: number;
  readonly roundMs: number;
  readonly cpuPercent: number;
  readonly kibPerConnection: number;
}

export const scale: Bench = {
  about: `${AGENTS} agents: connecting, one no-op on all, idle processor time and memory, beside a bare grpc-js echo`,
  rounds: 3,
  async run(scratch, { rounds, say }) {
    say(`making ${AGENTS} certificates`);
    const identities = await Identities.make(scratch.fresh("controller"), AGENTS);
    const found = { echo: [] as Measures[], durable: [] as Measures[], product: [] as Measures[] };
    const measure = async (side: keyof typeof found, make: () => Promise<Fleet>) => {
      const measures = await measureFleet(make);
      const { connectMs, roundMs, cpuPercent, kibPerConnection } = measures;
      say(
        `${side}: connect ${connectMs.toFixed(0)} ms, round ${roundMs.toFixed(0)} ms, idle ${cpuPercent.toFixed(1)} % of a core, ${kibPerConnection.toFixed(0)} KiB/connection`,
      );
      found[side].push(measures);
      return connectMs;
    };
    await alternate(rounds, {
      echo: () => measure("echo", () => echoFleet(scratch, identities, "echo")),
      durable: () => measure("durable", () => echoFleet(scratch, identities, "durable", true)),
      product: () => measure("product", () => productFleet(scratch, identities, "product")),
    });
    const figure = (key: keyof Measures, name: string, unit: string) =>
      compared(
        name,
        unit,
        { name: "grpc-js echo", values: found.echo.map((m) => m[key]) },
        found.product.map((m) => m[key]),
        atMost(1.5),
      );
    return {
      bench: "scale",
      figures: [
        figure("connectMs", `${AGENTS} agents connect at once`, "ms"),
        figure("roundMs", "no-op on all, durable", "ms"),
        compared(
          "the same",
          "ms",
          { name: "durable echo", values: found.durable.map((m) => m.roundMs) },
          found.product.map((m) => m.roundMs),
        ),
        figure("cpuPercent", "controller, a heartbeat a second each", "% of a core"),
        figure("kibPerConnection", "controller's memory a connection", "KiB"),
        {
          name: "controller's memory a connection",
          unit: "KiB",
          product: median(found.product.map((m) => m.kibPerConnection)),
          aim: atMost(LIMIT_KIB),
        },
      ],
      notes: [
        `${AGENTS} agents in ${processesFor(AGENTS)} processes, each with its own certificate, state directory and SQLite journal; median of ${rounds} rounds, each with fresh processes`,
        `a round is the median of ${COMMANDS} commands; memory is resident memory after connecting less that before, per connection`,
        "the echo stores nothing; the product commits once an agent and command, all on one disk; the durable echo is the floor with one fdatasync (4 KiB append) an agent and one a batch at the server",
      ],
    };
  },
};

async function measureFleet(make: () => Promise<Fleet>): Promise<Measures> {
  const fleet = await make();
  try {
    const before = residentKiB(fleet.pid);
    const connectMs = await fleet.connect();
    await sleep(PAUSE_MS);
    const kibPerConnection = (residentKiB(fleet.pid) - before) / AGENTS;
    const cpu = cpuMs(fleet.pid);
    const started = performance.now();
    await sleep(IDLE_MS);
    const cpuPercent = (100 * (cpuMs(fleet.pid) - cpu)) / (performance.now() - started);
    const rounds: number[] = [];
    for (let i = 0; i < COMMANDS; i++) {
      rounds.push(await fleet.round());
      await sleep(PAUSE_MS);
    }
    return { connectMs, roundMs: median(rounds), cpuPercent, kibPerConnection };
  } finally {
    await fleet.stop();
  }
}
