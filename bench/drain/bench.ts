import { counter, counts, createGuest, type Guest } from "../../test/lab/lib/guests.ts";
import type { Lab } from "../../test/lab/lib/lab.ts";
import { obstacle } from "../../test/lab/lib/prerequisites.ts";
import { CONTROLLER, putFile, slipwayWords, up } from "../../test/lab/lib/slipway.ts";
import { until } from "../../test/lab/lib/system.ts";
import type { Bench } from "../kit/bench.ts";
import { atMost, compared } from "../kit/figures.ts";
import { median } from "../kit/stats.ts";

// Real hosts, real QEMU guests. The same guests go back and forth between two hosts, once driven by `slipway drain` and once by a shell loop
// around `virsh migrate`, with as many at a time.

const HOSTS = ["hv1", "hv2"] as const;
const GUESTS = 8;
const PARALLEL = 2;
const LIMIT_MS = 300_000;
/** Slipway is to take at most this much of what the bare loop takes. */
const AIM = 1.05;

/** Limit of one migration, MiB/s; 0: none. */
type Bandwidth = number;

/**
 * Small idle guests go in about a second, and whatever is done once for a guest weighs as much as it can. With a limit they are on their way
 * for about ten seconds, as guests of some GiB are on a real network.
 */
const LOADS: readonly { readonly bandwidth: Bandwidth; readonly name: string; readonly share: number }[] = [
  { bandwidth: 0, name: "as fast as they go", share: 1 },
  { bandwidth: 8, name: "at 8 MiB/s each", share: 1 / 4 },
];

const poolFile = (bandwidth: Bandwidth) => `capacity: { cpuOvercommit: 16 }
migration: { perHost: ${PARALLEL}, perTarget: ${PARALLEL}, bandwidthMib: ${bandwidth} }
`;

/** Prints for each guest how long its virsh took, milliseconds. */
const bareLoop = (to: string, bandwidth: Bandwidth) => `
one() {
  a=\${EPOCHREALTIME/./}
  virsh -q migrate --live --p2p --persistent --undefinesource --abort-on-error${bandwidth > 0 ? ` --bandwidth ${bandwidth}` : ""} \\
    "$1" qemu+tls://${to}/system || exit 255
  echo $(( (\${EPOCHREALTIME/./} - a) / 1000 ))
}
export -f one
virsh -q list --name | grep . | xargs -P ${PARALLEL} -I{} bash -c 'one {}'`;

interface Emptied {
  readonly wallMs: number;
  /** Of each migration, by the account of who drove it. */
  readonly moveMs: readonly number[];
}

export const drain: Bench = {
  about: `emptying a host of ${GUESTS} QEMU guests, beside a shell loop around virsh migrate (needs a lab)`,
  rounds: 8,
  async run(_scratch, { rounds, say }) {
    const features = { libvirt: true } as const;
    const reason = obstacle(features);
    // No figures: there is nothing to tell but the reason.
    if (reason !== undefined) return { bench: "drain", figures: [], notes: [`skipped: ${reason}`] };
    const lab = await up({
      name: `bench-${process.pid}`,
      hosts: HOSTS.length,
      dieWithParent: true,
      packages: process.env["SLIPWAY_LAB_PACKAGES"],
      ...features,
      say,
    });
    try {
      const guests = await prepare(lab);
      const before = guests.map((guest) => counter(guest));
      const loads = [];
      for (const load of LOADS) {
        const times = Math.max(1, Math.round(rounds * load.share));
        say(`${load.name}: ${times} rounds, ${GUESTS} guests, ${PARALLEL} at a time`);
        loads.push(await measure(lab, guests, load, times));
      }
      for (const [i, guest] of guests.entries())
        if ((await counts(guest)).token !== before[i]?.token) throw new Error(`${guest.name} was started again`);
      return {
        bench: "drain",
        figures: loads.map((load) => load.figure),
        notes: [
          ...loads.map((load) => load.note),
          "wall time of the whole command: of slipway drain on the controller's host, its own start and the host's confirmed emptiness included; of the loop on the host that is emptied",
          `guests of 96 MiB, emulated in software, nearly idle; ${PARALLEL} at a time on both sides, from hv1 to hv2 and back in turns`,
        ],
      };
    } finally {
      await lab.down();
    }
  },
};

async function measure(
  lab: Lab,
  guests: readonly Guest[],
  { bandwidth, name, share }: (typeof LOADS)[number],
  rounds: number,
) {
  putFile(lab, CONTROLLER, "/etc/slipway/pool.yaml", poolFile(bandwidth));
  await slipway(lab, "pool", "apply", "/etc/slipway/pool.yaml");
  const sides = { slipway: bySlipway, bare: byShell };
  const one = (side: keyof typeof sides, turn: number) =>
    empty(lab, guests, (from, to) => sides[side](lab, from, to, bandwidth), turn);
  // The first of each loads what later ones find.
  if (share === 1) for (const [turn, side] of (["slipway", "bare"] as const).entries()) await one(side, turn);
  const found: Record<keyof typeof sides, Emptied[]> = { slipway: [], bare: [] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (["slipway", "bare"] as const) : (["bare", "slipway"] as const);
    for (const [turn, side] of order.entries()) found[side].push(await one(side, turn));
  }
  const walls = (side: keyof typeof found) => found[side].map((each) => each.wallMs / 1000);
  const moveMs = (side: keyof typeof found) => Math.round(median(found[side].flatMap((each) => each.moveMs)));
  const floor = { name: `xargs -P ${PARALLEL} virsh migrate`, values: walls("bare") };
  return {
    figure: compared(`a host of ${GUESTS} guests is empty, ${name}`, "s", floor, walls("slipway"), atMost(AIM)),
    note: `${name}: one migration, median: ${moveMs("slipway")} ms by the report of the run, ${moveMs("bare")} ms of one virsh in the loop; ${rounds} rounds`,
  };
}

async function prepare(lab: Lab): Promise<Guest[]> {
  const guests: Guest[] = [];
  for (let i = 1; i <= GUESTS; i++) guests.push(await createGuest(lab, HOSTS[0], `vm${i}`, { disk: "shared" }));
  return guests;
}

/** `turn`: the guests are on the host of this number; afterwards they are on the other. */
async function empty(
  lab: Lab,
  guests: readonly Guest[],
  by: (from: string, to: string) => Promise<Emptied>,
  turn: number,
): Promise<Emptied> {
  const [from, to] = turn === 0 ? [HOSTS[0], HOSTS[1]] : [HOSTS[1], HOSTS[0]];
  await areKnown(lab, guests.length, from);
  const done = await by(from, to);
  const there = (await lab.sh(to, "virsh -q list --name")).split("\n").filter((name) => name !== "");
  const here = (await lab.sh(from, "virsh -q list --all --name")).trim();
  if (there.length !== guests.length || here !== "")
    throw new Error(`${from} was not emptied: ${here || "some are gone"}`);
  return done;
}

async function bySlipway(lab: Lab, from: string): Promise<Emptied> {
  const { stdout, wallMs } = await timed(() => slipway(lab, "--json", "drain", from));
  await slipway(lab, "uncordon", from);
  const run = /"run":"([^"]+)"/.exec(stdout)?.[1] ?? "last";
  const report = JSON.parse((await slipway(lab, "report", run, "--format", "json")).stdout) as {
    hosts: { instances: { durationMs: number }[] }[];
  };
  return { wallMs, moveMs: report.hosts.flatMap((host) => host.instances.map((one) => one.durationMs)) };
}

/** The agents are frozen meanwhile: they would read their hosts at every event, which a site without them does not pay for. */
async function byShell(lab: Lab, from: string, to: string, bandwidth: Bandwidth): Promise<Emptied> {
  await signalAgents(lab, "STOP");
  const { stdout, wallMs } = await timed(() => ok(lab, from, ["bash", "-c", bareLoop(to, bandwidth)])).finally(() =>
    signalAgents(lab, "CONT"),
  );
  return { wallMs, moveMs: stdout.trim().split("\n").map(Number) };
}

async function signalAgents(lab: Lab, signal: "STOP" | "CONT"): Promise<void> {
  for (const host of HOSTS) await ok(lab, host, ["systemctl", "kill", "-s", signal, "slipway-agent"]);
}

async function timed<T>(work: () => Promise<T>): Promise<T & { wallMs: number }> {
  const began = performance.now();
  const done = await work();
  return { ...done, wallMs: performance.now() - began };
}

const slipway = (lab: Lab, ...words: string[]) => ok(lab, CONTROLLER, slipwayWords(words));

async function ok(lab: Lab, host: string, words: readonly string[]) {
  const done = await lab.exec(host, words, { limitMs: LIMIT_MS });
  if (done.status !== 0)
    throw new Error(`${words.join(" ").slice(0, 80)}: ${(done.stderr || done.stdout).slice(-500)}`);
  return done;
}

/** Waits until Slipway's own picture has all guests on one host, not cordoned. */
async function areKnown(lab: Lab, count: number, host: string): Promise<void> {
  await until(`${host} has all guests`, async () => {
    const { instances } = JSON.parse((await slipway(lab, "--json", "instance", "list")).stdout) as {
      instances: { host: string; facts: { state: string } }[];
    };
    return instances.length === count && instances.every((one) => one.host === host && one.facts.state === "running");
  });
}
