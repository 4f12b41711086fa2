import type { RunOptions } from "@slipway/controller";
import { type HostScript, type LogLine, type Variant, World } from "@slipway/simulator";
import { Random } from "@slipway/simulator/random";
import { drawWeather, SeededChance, Trouble, type Weather } from "./faults.ts";
import { drawGuest, drawHypervisor, drawPool, GuestTrouble } from "./guest-faults.ts";
import { live, type SeedResult } from "./seeded.ts";

const GIB = 1_024;
const SIZE = 16;

/** Hosts of one size. */
function drawHosts(random: Random, weather: Weather): HostScript[] {
  return Array.from({ length: random.int(3, 5) }, (_, i): HostScript => {
    const name = `hv${i + 1}`;
    const { capacity, timing } = drawHypervisor(random, name);
    const exit = random.chance(0.05 * weather.wildness) ? 1 : 0;
    return {
      name,
      labels: { cluster: "c1", pod: "p1", zone: "z1" },
      hooks: { Maintenance: [{ durationMs: random.int(500, 5_000), exit }] },
      bootMs: random.int(2_000, 10_000),
      hypervisor: { capacity: { ...capacity, memoryMib: SIZE * GIB }, timing },
    };
  });
}

/** One large instance on the first host; the others have room for it together, and mostly none of them alone. */
function place(world: World, random: Random, weather: Weather): void {
  const hosts = [...world.hosts.keys()].map((name) => ({ name }));
  const large = random.int(9, 11);
  let n = 0;
  const put = (host: string, gib: number) => {
    const { metadata: _, ...guest } = drawGuest(random, weather, ++n, gib * GIB, false, hosts);
    const calm = random.chance(0.8) ? { devices: [], state: "running", stateReason: "booted", persistent: true } : {};
    world.place(host, { ...guest, ...calm, metadata: {} });
  };
  put("hv1", large);
  let left = (hosts.length - 1) * SIZE - large;
  for (const { name } of hosts.slice(1)) {
    // Just too much for the large one to fit, in pieces of which some can be pushed aside.
    let taken = 0;
    while (taken <= SIZE - large && left > 2) {
      const gib = Math.min(random.int(1, 4), left - 1);
      put(name, gib);
      taken += gib;
      left -= gib;
    }
  }
}

/** One simulated life of a pool that is so full that room has to be made, wholly determined by its seed. */
export function runTight(seed: number, variant: Variant = {}, onLine?: (line: LogLine) => void): SeedResult {
  const random = new Random(seed + 3_000_000);
  const weather = drawWeather(random);
  const hosts = drawHosts(random, weather);
  const options: Partial<RunOptions> = {
    ...{ op: "hooks", timeoutMs: 20_000, agentWaitMs: 30_000, rebootWaitMs: 60_000, graceMs: 1_000 },
    ...{ pingIntervalMs: 5_000, maintenanceWaitMs: 240_000, maxFailures: seed % 2 },
    forced: random.chance(0.3),
    maxOut: random.pick([1, 1, 2]),
    return: random.pick(["none", "preferred", "exact"] as const),
    onDrainFailure: random.pick(["stay", "return"] as const),
  };
  const chance = new SeededChance(random, weather);
  const timing = { agentTickMs: 1_000, controllerTickMs: 1_000, throughBytes: false, heartbeatMs: 15_000 };
  const world = new World(hosts, chance, timing, variant);
  world.onLine = onLine;
  world.pool = drawPool(random);
  place(world, random, weather);
  world.start();
  const trouble = new Trouble(world, random, chance, weather);
  const guestTrouble = new GuestTrouble(world, random, weather);
  const begin = () =>
    world.after(8_000, () => {
      if (world.disk.runs.size === 0 && !world.startRun("r1", { kind: "zones", names: ["z1"] }, options)) begin();
    });
  begin();
  trouble.begin();
  guestTrouble.begin();
  return live(seed, world, random, () => {
    trouble.stop();
    guestTrouble.stop();
  });
}
