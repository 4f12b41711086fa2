import type { Run, RunOptions, Scope } from "@slipway/controller";
import type { HookRun, HostScript } from "@slipway/simulator";
import { type LogLine, type Variant, World } from "@slipway/simulator";
import { Random } from "@slipway/simulator/random";
import { drawWeather, SeededChance, Trouble, type Weather } from "./faults.ts";
import { drawGuests, drawHypervisor, drawPool, GuestTrouble } from "./guest-faults.ts";
import { live, rollingOf, type SeedResult } from "./seeded.ts";

function drawHosts(random: Random, weather: Weather): HostScript[] {
  const count = random.pick([2, 3, 3, 4, 5]);
  return Array.from({ length: count }, (_, i): HostScript => {
    const name = `hv${i + 1}`;
    const work: HookRun = {
      durationMs: random.int(500, 5_000),
      exit: random.chance(0.08 * weather.wildness) ? 1 : 0,
      ...(random.chance(0.25) ? { requests: "reboot=required\n" } : {}),
    };
    return {
      name,
      labels: { cluster: "c1", pod: "p1", zone: "z1" },
      hooks: { Maintenance: [work] },
      bootMs: random.int(2_000, 10_000),
      hypervisor: drawHypervisor(random, name),
    };
  });
}

function drawOptions(random: Random): Partial<RunOptions> {
  const op = random.pick(["hooks", "hooks", "hooks", "reboot", "drain", "drain"] as const);
  return {
    op,
    forced: random.chance(0.4),
    ...(op === "hooks" ? { reboot: random.pick(["if-asked", "if-asked", "always"] as const) } : {}),
    timeoutMs: 20_000,
    pingIntervalMs: random.pick([2_000, 5_000]),
    maintenanceWaitMs: random.pick([30_000, 120_000, 240_000]),
    maxOut: random.pick([1, 1, 1, 2]),
    onFailure: random.pick(["cordoned", "uncordon"] as const),
    agentWaitMs: random.pick([10_000, 30_000, 60_000]),
    rebootWaitMs: 60_000,
    graceMs: 1_000,
    return: random.pick(["none", "preferred", "exact"] as const),
    onDrainFailure: random.pick(["stay", "return"] as const),
    consentStop: random.chance(0.3) ? ["vm1", "vm2", "vm3"] : [],
  };
}

/** One simulated life of a pool with instances, wholly determined by its seed. */
export function runEvacuation(seed: number, variant: Variant = {}, onLine?: (line: LogLine) => void): SeedResult {
  const random = new Random(seed + 1_000_000);
  const weather = drawWeather(random);
  const hosts = drawHosts(random, weather);
  const options = { ...drawOptions(random), ...rollingOf(seed, hosts) };
  const chance = new SeededChance(random, weather);
  const timing = {
    agentTickMs: random.pick([1_000, 2_000, 4_000]),
    controllerTickMs: random.pick([1_000, 2_000]),
    throughBytes: seed % 40 === 0,
    heartbeatMs: 15_000,
  };
  const world = new World(hosts, chance, timing, variant);
  world.onLine = onLine;
  world.pool = drawPool(random);
  const sizes = hosts.map(({ name }) => ({ name, memoryMib: world.guests.host(name).capacity.memoryMib }));
  for (const { host, instance } of drawGuests(random, weather, sizes)) world.place(host, instance);
  world.start();
  const trouble = new Trouble(world, random, chance, weather);
  const guestTrouble = new GuestTrouble(world, random, weather);
  // What a drain empties stays out: more hosts than may be out at once would be waited for by an operator.
  const most = options.op === "drain" && random.chance(0.8) ? (options.maxOut ?? 1) : hosts.length;
  const scope: Scope =
    most === hosts.length && random.chance(0.5)
      ? { kind: "zones", names: ["z1"] }
      : { kind: "hosts", names: hosts.slice(0, random.int(1, most)).map((h) => h.name) };
  // Agents need a moment to tell what is on their hosts.
  const begin = () =>
    world.after(8_000, () => {
      if (world.disk.runs.size === 0 && !world.startRun("r1", scope, options)) begin();
    });
  begin();
  trouble.begin();
  guestTrouble.begin();
  followUps(world, random, options);
  return live(seed, world, random, () => {
    trouble.stop();
    guestTrouble.stop();
  });
}

/** What an operator does next: brings drained hosts back, or moves an instance. */
function followUps(world: World, random: Random, options: Partial<RunOptions>): void {
  const restores = random.chance(0.7);
  const moves = random.chance(0.15);
  const look = (left: number) =>
    world.after(10_000, () => {
      const last = [...world.disk.runs.values()].at(-1);
      if (last?.state === "ended") act(world, random, options, last, restores, moves);
      if (left > 0) look(left - 1);
    });
  look(20);
}

function act(
  world: World,
  random: Random,
  options: Partial<RunOptions>,
  last: Run,
  restores: boolean,
  moves: boolean,
): void {
  const id = `r${world.disk.runs.size + 1}`;
  const drained = last.hosts.filter((h) => h.cordoned).map((h) => h.name);
  const { op: _, reboot: _r, ...rest } = options;
  if (restores && drained.length > 0) world.startRun(id, { kind: "hosts", names: drained }, { ...rest, op: "restore" });
  else if (moves && last.spec.options.op !== "move") {
    const names = [...world.hosts.keys()];
    const from = random.pick(names);
    const one = world.guests.running(from)[0];
    const to = random.pick(names);
    if (one && to !== from)
      world.startRun(
        id,
        { kind: "hosts", names: [from] },
        { ...rest, op: "move", moves: [{ uuid: one.uuid, name: one.name, to }] },
      );
  }
}
