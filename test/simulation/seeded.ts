import type { Run, RunOptions } from "@slipway/controller";
import { stepInHand } from "@slipway/controller";
import { type LogLine, type Variant, World } from "@slipway/simulator";
import { Random } from "@slipway/simulator/random";
import { drawHosts, drawWeather, SeededChance, Trouble } from "./faults.ts";

/** Faults go on for at most this long, in simulated milliseconds. */
const TROUBLE_MS = 240_000;
/** After the last fault the world must be quiet within this time: every deadline of every host, one after the other. */
const QUIET_MS = 3_600_000;

export interface SeedResult {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Simulated time, and the durable events of all runs. */
  readonly tookMs: number;
  readonly events: number;
  readonly outcomes: readonly string[];
}

function drawOptions(random: Random): Partial<RunOptions> {
  const pingIntervalMs = random.pick([2_000, 5_000, 10_000]);
  return {
    forced: random.chance(0.5),
    op: random.chance(0.15) ? "reboot" : "hooks",
    reboot: random.pick(["if-asked", "if-asked", "if-asked", "always"] as const),
    timeoutMs: random.pick([10_000, 20_000, 30_000]),
    pingIntervalMs,
    maintenanceWaitMs: random.pick([15_000, 60_000]),
    maxOut: random.pick([1, 1, 1, 2, 3]),
    onFailure: random.pick(["cordoned", "cordoned", "uncordon"] as const),
    agentWaitMs: random.pick([10_000, 30_000, 60_000]),
    rebootWaitMs: random.pick([30_000, 90_000]),
    graceMs: random.pick([1_000, 5_000]),
  };
}

/**
 * How hosts of a run follow each other. Not drawn, so that the rest of a seed's life does not depend on it: how many failures pause the
 * run (with none the first one ends it, or with `forced` does nothing to it), order, canary, approvals.
 */
export function rollingOf(seed: number, hosts: readonly { readonly name: string }[]): Partial<RunOptions> {
  const canary = seed % 5 === 0 ? (hosts[0]?.name ?? "") : "";
  return {
    ...{ maxFailures: [0, 0, 1, 2][seed % 4] ?? 0, order: seed % 3 === 0 ? "free" : "given" },
    ...(canary === "" ? {} : { canary, bakeMs: 10_000 }),
    maxClusters: seed % 7 < 2 ? 2 : 1,
    approve: seed % 11 === 0 ? "each-wave" : canary !== "" && seed % 10 === 0 ? "after-canary" : "never",
  };
}

/** One simulated life of a pool, wholly determined by its seed. */
export function runSeed(seed: number, variant: Variant = {}, onLine?: (line: LogLine) => void): SeedResult {
  const random = new Random(seed);
  const weather = drawWeather(random);
  const drawn = drawOptions(random);
  const hosts = drawHosts(random, weather, drawn.timeoutMs ?? 10_000);
  const options = { ...drawn, ...rollingOf(seed, hosts) };
  const chance = new SeededChance(random, weather);
  const timing = {
    agentTickMs: random.pick([1_000, 3_000, 5_000]),
    controllerTickMs: random.pick([1_000, 2_000, 4_000]),
    throughBytes: seed % 40 === 0,
    heartbeatMs: 20_000,
  };
  const world = new World(hosts, chance, timing, variant);
  world.onLine = onLine;
  world.start();
  const trouble = new Trouble(world, random, chance, weather);
  const scope = random.chance(0.7)
    ? { kind: "zones" as const, names: ["z1"] }
    : { kind: "clusters" as const, names: [...new Set(hosts.map((h) => h.labels["cluster"] ?? ""))].slice(0, 2) };
  const begin = () =>
    world.after(1_000, () => {
      if (world.disk.runs.size === 0 && !world.startRun("r1", scope, options)) begin();
    });
  begin();
  trouble.begin();
  return live(seed, world, random, () => trouble.stop());
}

/** Lets a world live until its runs are over, stops the faults, and waits until it is quiet. */
export function live(seed: number, world: World, random: Random, stopTrouble: () => void): SeedResult {
  const allEnded = () => world.disk.runs.size > 0 && [...world.disk.runs.values()].every((r) => r.state === "ended");
  const lingerMs = random.chance(0.3) ? 60_000 : 2_000;
  let endedAt = Infinity;
  world.run(TROUBLE_MS, () => {
    if (!allEnded()) endedAt = Infinity;
    else if (endedAt === Infinity) endedAt = world.now;
    return world.now - endedAt > lingerMs;
  });
  stopTrouble();
  if (random.chance(0.7))
    world.after(20_000, () => {
      for (const host of world.disk.operatorCordons) world.controller.uncordon(host, "bob");
      for (const run of world.disk.runs.values())
        if (run.paused) world.command(run.spec.run, { kind: "resume", reason: "the end" });
    });
  settleHeld(world);
  const stoppedAt = world.now;
  const quiet = () =>
    world.now - stoppedAt > 30_000 &&
    delivered(world) &&
    [...world.disk.runs.values()].every((r) => isAtRest(world, r));
  if (!world.run(stoppedAt + QUIET_MS, quiet) && world.violations.length === 0) {
    const stuck = [...world.disk.runs.values()].filter((r) => !isAtRest(world, r)).map((r) => describeStuck(world, r));
    const left = [...world.hosts.values()].flatMap((h) => [
      ...h.undelivered(),
      ...(h.mark() === world.cordonersOf(h.name) ? [] : [`${h.name} keeps the mark of ${h.mark() || "nobody"}`]),
    ]);
    world.violate(`stuck: ${[...stuck, ...left].join("; ")}`);
  }
  if (world.violations.length === 0) world.checker.final();
  let events = 0;
  for (const run of world.disk.runs.values()) events += run.lastSeq;
  const outcomes = [...world.disk.runs.values()].map((r) => r.outcome ?? (r.paused ? "paused" : "held"));
  return { seed, violations: world.violations, tookMs: world.now, events, outcomes };
}

/** What an operator is told to settle, besides approvals: an instance that is nowhere, one that was started on an empty host which is about to go down. */
const forOperators = new Set(["instance-lost", "started-meanwhile"]);

function settleHeld(world: World): void {
  world.after(60_000, () => {
    for (const { held, spec, state } of world.disk.runs.values())
      if (state !== "ended" && held?.rule === "approval")
        world.command(spec.run, { kind: "approve", reason: held.text });
      else if (state !== "ended" && held && forOperators.has(held.rule))
        world.command(spec.run, { kind: "skip", host: held.subject, reason: held.text });
    settleHeld(world);
  });
}

/** Everything that agents have to tell has been told. */
function delivered(world: World): boolean {
  for (const host of world.hosts.values())
    if (
      host.executor.running().length > 0 ||
      host.journal.outbox(0, 1).length > 0 ||
      host.mark() !== world.cordonersOf(host.name)
    )
      return false;
  return true;
}

/** Ended, or waiting for an operator who has been told so. */
function isAtRest(world: World, run: Run): boolean {
  if (run.state === "ended") return true;
  // Steps in hand come to their end, paused or not.
  const busy = run.hosts.some((h) => {
    const step = stepInHand(h)?.step;
    if (step === "drain" || step === "restore" || step === "move") return h.actions.some((a) => !a.settled);
    if (step === "services-stop" || step === "services-start") return (h.serviceActions ?? []).some((a) => !a.settled);
    return step !== undefined && !questions.has(step);
  });
  if (run.paused) return !busy;
  // A place that another cordoned host has taken stays taken until somebody frees it.
  if (run.held === undefined || busy) return false;
  return run.held.rule === "max-out" || (gateRules.has(run.held.rule) && isOutElsewhere(world, run));
}

const questions: ReadonlySet<string> = new Set(["gate", "recheck", "heal"]);
const gateRules: ReadonlySet<string> = new Set(["gate-unknown", "recheck", "heal"]);

/** Does somebody else keep a host out, or a failure of this run? Then a group may wait for it for as long as that is so. */
function isOutElsewhere(world: World, run: Run): boolean {
  if (world.systems.isEmpty) return false;
  const others = [...world.hosts.keys()].some(
    (h) => world.disk.operatorCordons.has(h) || world.disk.holders(h).some((holder) => holder !== run.spec.run),
  );
  // Who uncordoned a host by hand may have left services of it stopped.
  const isOwed = [...world.disk.runs.values()].some((r) =>
    r.ledger.some((l) => l.kind === "service" && l.closedAt === undefined),
  );
  // Overridden, more may be out than a group allows: neither goes on, and an operator is told so.
  const isOverridden = run.hosts.some((h) => h.notes.some((n) => n.rule === "overridden"));
  return others || isOwed || isOverridden || run.hosts.some((h) => h.cordoned && h.outcome !== undefined);
}

function describeStuck(world: World, run: Run): string {
  const waits = world.controller.coordinator?.waits(run.spec.run).map((w) => w.reason.text) ?? [];
  const hosts = run.hosts
    .filter((h) => h.outcome === undefined)
    .map((h) => `${h.name} ${stepInHand(h)?.step ?? "idle"}`);
  return `run ${run.spec.run} is ${run.state}${run.held ? ` (${run.held.text})` : ""}: ${hosts.join(", ")}; waits: ${waits.join(", ")}`;
}

/** A line of a trace; stable, so that two runs of one seed can be compared byte by byte. */
export function lineText({ at, kind, subject, text }: LogLine): string {
  return `${(at / 1000).toFixed(3).padStart(10)} ${kind.padEnd(10)} ${subject}: ${text}`;
}

/** What to print about a seed that broke an invariant. */
export function failureText(run: typeof runSeed, seed: number, files: string, tail = 60): string {
  const lines: string[] = [];
  const { violations } = run(seed, {}, (line) => lines.push(lineText(line)));
  return [
    `seed ${seed} breaks: ${violations.join("; ") || "nothing when repeated"}`,
    ...lines.slice(-tail),
    `repeat: SLIPWAY_SEEDS=${seed}-${seed} npx vitest run --project simulation test/simulation/${files}`,
  ].join("\n");
}
