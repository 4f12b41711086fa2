import { type Plan, parseWindows, pausedReason, type Run, type Schedule } from "@slipway/controller/internals";
import { SlipwayError } from "@slipway/shared";
import { Random } from "../random.ts";
import type { Stage } from "../script/actions.ts";
import { ScriptedChance } from "../script/chance.ts";
import { isAtRest, Script } from "../script/script.ts";
import { type LogLine, type Timing, World } from "../world.ts";
import { differences, scheduleOf } from "./compare.ts";
import type { Fault } from "./faults.ts";
import type { PlanFile } from "./plan-file.ts";
import { type Rebuilt, rebuild } from "./rebuild.ts";

/** When the run starts by the world's clock, in milliseconds: agents have told by then what is on their hosts. */
export const START_MS = 30_000;
export const RUN = "r1";
/** So long after the last thing that happened a run that waits for an operator is left to wait. */
const PATIENCE_MS = 15 * 60_000;
/** A run that is not over by so many times what was planned is given up, and never before two days. */
const TOO_LONG = 10;
const LEAST_LIMIT_MS = 48 * 3_600_000;
/** Looks of all agents together that a simulation may cost; with more hosts and longer runs agents look less often. */
const MOST_TICKS = 200_000;

export interface PlayOptions {
  readonly faults: readonly Fault[];
  /** Turns and migrations take as long as is drawn from this seed; undefined: exactly what the plan expects. */
  readonly seed?: number;
  /** Every line of the log as it comes, those of before the run's start too; times are the world's. */
  readonly onLine?: (line: LogLine) => void;
}

export interface Played {
  readonly world: World;
  readonly run: Run;
  /** The plan's, which the run went by. */
  readonly planned: Schedule;
  /** In what the simulated controller would have planned otherwise. */
  readonly differences: readonly string[];
  /** What stands against the plan in the simulated pool. */
  readonly blockers: readonly string[];
  /** Faults that never came about, because what they were to follow did not happen. */
  readonly unmet: readonly string[];
  /** What the run waits for, that ended for want of an operator. */
  readonly waitsFor: string;
  readonly violations: readonly string[];
  /** When the last thing happened, by the world's clock. */
  readonly lastMs: number;
}

/** Plays a plan in a simulated world. Errors: `bad-input` where nothing can be started. */
export function play(plan: PlanFile, options: PlayOptions): Played {
  const rebuilt = rebuild(plan, options.seed === undefined ? undefined : varied(new Random(options.seed)));
  const chance = new ScriptedChance();
  const world = worldOf(plan, rebuilt, chance);
  const stage: Stage = { world, chance, options: rebuilt.options, runs: [RUN] };
  const script = new Script(
    stage,
    options.faults.flatMap((f) => f.entries),
  );
  let lastAt = START_MS;
  world.onLine = (line) => {
    lastAt = line.at;
    options.onLine?.(line);
    script.seen(line);
  };
  const planned = scheduleOf(plan.schedule);
  let own: Plan | undefined;
  let refusal: unknown;
  // Before anything that is to go wrong at the same moment.
  world.after(START_MS, () => {
    try {
      own = world.controller.plan(rebuilt.scope, rebuilt.options);
      if (own) world.controller.startPlanned(RUN, asPlanned(own, planned), "operator");
    } catch (thrown) {
      refusal = thrown;
    }
  });
  script.begin(() => world.start());
  const runNow = () => world.disk.runs.get(RUN);
  const approve = approver(world);
  const over = () => {
    const run = runNow();
    if (refusal !== undefined) return true;
    if (run === undefined) return false;
    if (run.state === "ended") return !script.isWaiting && isAtRest(world);
    approve(run);
    return waitsFor(run, world) !== "" && !script.isWaiting && world.now - lastAt > PATIENCE_MS;
  };
  const limit = START_MS + Math.max(LEAST_LIMIT_MS, TOO_LONG * planned.p95Ms);
  world.run(limit, over);
  const run = runNow();
  if (run === undefined || own === undefined) throw notStarted(plan, refusal);
  // Of hosts that are gone for good it cannot be told what they would still have to say.
  const isWhole = [...world.hosts.values()].every((h) => h.up && !h.partitioned && h.process !== undefined);
  if (run.state === "ended" && isWhole && world.violations.length === 0) world.checker.final();
  return {
    ...{ world, run: runNow() ?? run, planned },
    differences: differences(planned, own.schedule),
    blockers: own.blockers.map((b) => b.text),
    unmet: script.unmet().map((e) => e.called ?? [e.do].flat().join(", ")),
    waitsFor: run.state === "ended" ? "" : notEnded(run, world),
    violations: world.violations,
    lastMs: lastAt,
  };
}

/** The run goes by the plan; what the plan does not say of its schedule is taken from the simulated controller's own. */
function asPlanned(own: Plan, planned: Schedule): Plan {
  const clusters = new Map(own.hosts.map((h) => [h.name, h]));
  const turns = planned.turns.map(({ host, cluster, wave }) => ({ name: host, cluster, wave }));
  const isTurn = new Set(turns.map((t) => t.name));
  const idle = [...clusters.values()].filter((h) => !isTurn.has(h.name));
  const consents = new Map(own.schedule?.turns.map((t) => [t.host, t.consentsNeeded ?? []]));
  const schedule: Schedule = {
    ...planned,
    turns: planned.turns.map((t) => ({ ...t, consentsNeeded: consents.get(t.host) ?? [] })),
    ...(own.schedule?.basis ? { basis: own.schedule.basis } : {}),
  };
  return { ...own, hosts: [...turns, ...idle], schedule };
}

function worldOf(plan: PlanFile, rebuilt: Rebuilt, chance: ScriptedChance): World {
  const world = new World(rebuilt.hosts, chance, timingOf(plan));
  world.pool = rebuilt.pool;
  world.quorum = rebuilt.quorum;
  world.disk.history = rebuilt.history;
  for (const group of rebuilt.groups) world.systems.addGroup(group);
  for (const host of rebuilt.closed) world.disk.operatorCordons.add(host);
  for (const { host, instance } of rebuilt.guests) world.place(host, instance);
  // The run starts when its window opens.
  const { window = "" } = rebuilt.options;
  if (window !== "") {
    const state = parseWindows(window).at(world.wallBase + START_MS);
    if (!state.isOpen) world.wallBase = state.opensMs - START_MS;
  }
  return world;
}

function timingOf({ pool, schedule }: PlanFile): Timing {
  const hostMs = pool.hosts.length * (Number(schedule.expectedMs) + PATIENCE_MS);
  const agentTickMs = Math.min(5_000, Math.max(500, Math.ceil(hostMs / MOST_TICKS)));
  return { agentTickMs, controllerTickMs: Math.max(1_000, agentTickMs), throughBytes: false, heartbeatMs: 15_000 };
}

/** An operator who approves what the plan's own options have the run wait for; new consents are for a real one. */
function approver(world: World): (run: Run) => void {
  let approved: Run["held"];
  return (run) => {
    const { held, spec } = run;
    if (held?.rule !== "approval" || held === approved || spec.options.approve === "never") return;
    const isOver = new Set(run.hosts.filter((h) => h.outcome !== undefined).map((h) => h.name));
    const consents = run.schedule?.turns.filter((t) => !isOver.has(t.host)).flatMap((t) => t.consentsNeeded ?? []);
    if (consents?.some((name) => !spec.options.consentStop.includes(name))) return;
    approved = held;
    world.after(0, () => world.command(RUN, { kind: "approve", reason: "" }));
  };
}

/** What an operator would have to do something about; empty: the run goes on, or will by itself. */
function waitsFor(run: Run, world: World): string {
  const withFix = ({ text, fix }: { text: string; fix: string }) => (fix === "" ? text : `${text}; ${fix}`);
  if (run.paused) return withFix(pausedReason(run));
  const { held } = run;
  if (held === undefined || held.rule === "window" || held.rule === "bake") return "";
  const waits = world.controller.coordinator?.waits(RUN) ?? [];
  const fix = held.fix || waits.find((w) => w.reason.rule === held.rule)?.reason.fix || "";
  return withFix({ text: held.text, fix });
}

function notEnded(run: Run, world: World): string {
  if (world.violations.length > 0) return "the simulation stopped at what must never happen";
  return waitsFor(run, world) || "nothing that is known: it was given up";
}

function notStarted(plan: PlanFile, refusal: unknown): Error {
  if (refusal instanceof SlipwayError)
    return new SlipwayError("bad-input", `${plan.name}: no run can be started of it: ${refusal.message}`);
  return refusal instanceof Error ? refusal : new Error("the simulated run did not start");
}

/** The factor by which something takes another time than is expected: its median is 1, and 5 of 100 exceed `p95`. */
function varied(random: Random): (p95: number) => number {
  return (p95) => {
    const u = Math.max(1e-9, random.next());
    const normal = Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * random.next());
    return Math.exp((normal * Math.log(Math.max(1, p95))) / 1.645);
  };
}
