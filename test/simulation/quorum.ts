import type { SimulatedInstance } from "@slipway/agent";
import { plainInstance } from "@slipway/agent";
import type { RunOptions, Scope } from "@slipway/controller";
import type { HostScript } from "@slipway/simulator";
import { type LogLine, type Variant, World } from "@slipway/simulator";
import { Random } from "@slipway/simulator/random";
import { drawWeather, SeededChance, Trouble, type Weather } from "./faults.ts";
import { drawHypervisor, uuidOf } from "./guest-faults.ts";
import { drawQuorum, QuorumTrouble } from "./quorum-faults.ts";
import { live, rollingOf, type SeedResult } from "./seeded.ts";

function drawHosts(random: Random, weather: Weather): HostScript[] {
  const count = random.pick([3, 3, 4, 5]);
  const clusters = count > 3 ? random.pick([1, 2, 2]) : 1;
  return Array.from({ length: count }, (_, i): HostScript => {
    const name = `hv${i + 1}`;
    const exit = random.chance(0.08 * weather.wildness) ? 1 : 0;
    const requests = random.chance(0.3) ? { requests: random.pick(["reboot=required\n", RERUN]) } : {};
    return {
      name,
      labels: {
        cluster: `c${1 + (i % clusters)}`,
        pod: "p1",
        zone: "z1",
        ...(random.chance(0.8) ? { role: "storage" } : {}),
      },
      hooks: { Maintenance: [{ durationMs: random.int(500, 5_000), exit, ...requests }] },
      bootMs: random.int(2_000, 10_000),
      hypervisor: drawHypervisor(random, name),
    };
  });
}

const RERUN = "reboot=required\nrerun=after-reboot\n";

function drawOptions(random: Random): Partial<RunOptions> {
  const op = random.pick(["hooks", "hooks", "hooks", "reboot", "drain"] as const);
  return {
    op,
    forced: random.chance(0.4),
    ...(op === "hooks" ? { reboot: random.pick(["if-asked", "if-asked", "always"] as const) } : {}),
    timeoutMs: 20_000,
    pingIntervalMs: random.pick([2_000, 5_000]),
    maintenanceWaitMs: random.pick([30_000, 120_000]),
    maxOut: random.pick([1, 1, 2, 2]),
    onFailure: random.pick(["cordoned", "uncordon"] as const),
    agentWaitMs: random.pick([10_000, 30_000]),
    rebootWaitMs: 60_000,
    graceMs: 1_000,
  };
}

/** A few instances that are easy to move, or stop with their hosts. */
function drawInstances(random: Random, hosts: readonly HostScript[]): { host: string; instance: SimulatedInstance }[] {
  return Array.from({ length: random.pick([0, 0, 2, 3, 3]) }, (_, i) => {
    const policy = random.pick(["", "", "shutdown-restart"]);
    const plain = plainInstance(uuidOf(i + 1), `vm${i + 1}`);
    const metadata = { apart: "dns", ...(policy === "" ? {} : { policy }) };
    return { host: hosts[i % hosts.length]?.name ?? "", instance: { ...plain, memoryMib: 1_024, metadata } };
  });
}

/** One simulated life of a pool with replicated systems and services, wholly determined by its seed. */
export function runQuorum(seed: number, variant: Variant = {}, onLine?: (line: LogLine) => void): SeedResult {
  const random = new Random(seed + 2_000_000);
  const weather = drawWeather(random);
  const hosts = drawHosts(random, weather);
  const options = { ...drawOptions(random), maxFailures: rollingOf(seed, hosts).maxFailures ?? 0 };
  const chance = new SeededChance(random, weather);
  const timing = {
    agentTickMs: random.pick([1_000, 2_000]),
    controllerTickMs: random.pick([1_000, 2_000]),
    throughBytes: seed % 40 === 0,
    heartbeatMs: 15_000,
  };
  const world = new World(hosts, chance, timing, variant);
  world.onLine = onLine;
  const guests = drawInstances(random, hosts);
  for (const { host, instance } of guests) world.place(host, instance);
  const names = hosts.map((h) => h.name);
  const { systems, groups, quorum } = drawQuorum(
    random,
    names,
    guests.map((g) => g.instance.name),
  );
  world.quorum = quorum;
  for (const system of systems) world.systems.add(system);
  for (const group of groups) world.systems.addGroup(group);
  world.start();
  const trouble = new Trouble(world, random, chance, weather);
  const quorumTrouble = new QuorumTrouble(world, random, weather);
  begin(world, random, options);
  trouble.begin();
  quorumTrouble.begin();
  restores(world, random, options);
  return live(seed, world, random, () => {
    trouble.stop();
    quorumTrouble.stop();
  });
}

/** One run over everything, or one in each cluster at the same time; operators may cordon a host meanwhile. */
function begin(world: World, random: Random, options: Partial<RunOptions>): void {
  const hosts = [...world.hosts.values()];
  const clusters = [...new Set(hosts.map((h) => h.cluster))];
  const most = options.op === "drain" ? Math.max(1, options.maxOut ?? 1) : hosts.length;
  const ofCluster = (cluster: string): Scope => {
    const names = hosts.filter((h) => h.cluster === cluster).map((h) => h.name);
    return { kind: "hosts", names: names.slice(0, most) };
  };
  const apart = clusters.length > 1 && random.chance(0.7);
  const scopes: Scope[] = apart
    ? clusters.map(ofCluster)
    : [{ kind: "hosts", names: hosts.map((h) => h.name).slice(0, most) }];
  const start = (id: string, scope: Scope, delayMs: number, tries: number) =>
    world.after(delayMs, () => {
      if (!world.disk.runs.has(id) && !world.startRun(id, scope, options) && tries > 0)
        start(id, scope, 5_000, tries - 1);
    });
  for (const [i, scope] of scopes.entries()) start(`r${i + 1}`, scope, 8_000 + i * random.pick([0, 500, 3_000]), 100);
  if (random.chance(0.3))
    world.after(random.int(8_000, 40_000), () => {
      const host = random.pick([...world.hosts.keys()]);
      world.asOperator(`cordon ${host}`, () => world.controller.cordon(host));
    });
}

/** Brings back what drains and failures have left out. */
function restores(world: World, random: Random, options: Partial<RunOptions>): void {
  const { op: _, reboot: _r, ...rest } = options;
  const does = random.chance(0.8);
  const look = (left: number) =>
    world.after(10_000, () => {
      const over = [...world.disk.runs.values()].filter((r) => r.state === "ended");
      const out = over.flatMap((r) => r.hosts.filter((h) => h.cordoned).map((h) => h.name));
      const host = out[0];
      if (does && host !== undefined && random.chance(0.4))
        world.startRun(`s${left}`, { kind: "hosts", names: [host] }, { ...rest, op: "restore" });
      if (left > 0) look(left - 1);
    });
  look(20);
}
