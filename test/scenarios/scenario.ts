import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  act,
  endOf,
  isAtRest,
  logLine,
  Script,
  type ScriptEntry,
  ScriptedChance,
  type Stage,
  World,
  whereabouts,
} from "@slipway/simulator";
import { parse } from "yaml";
import { poolOf } from "./pool.ts";

/** A world without a quiet end by then is stuck. */
const LIMIT_MS = 3_600_000;

/** Plays the scenario of a folder; the text is its log and what is left at the end. */
export function play(folder: string): { text: string; violations: readonly string[] } {
  const pool = poolOf(parse(readFileSync(join(folder, "pool.yaml"), "utf8")));
  const script = parse(readFileSync(join(folder, "script.yaml"), "utf8")) as ScriptEntry[];
  const chance = new ScriptedChance();
  const timing = { agentTickMs: 1_000, controllerTickMs: 1_000, throughBytes: true, heartbeatMs: 15_000 };
  const world = new World(pool.hosts, chance, timing);
  world.pool = pool.pool;
  world.quorum = pool.quorum;
  for (const system of pool.systems) world.systems.add(system);
  for (const { host, instance } of pool.guests) world.place(host, instance);
  const stage: Stage = { world, chance, options: pool.options, runs: [] };
  const lines: string[] = [];
  const acts = new Script(stage, script);
  world.onLine = (line) => {
    if (line.kind !== "hook" || pool.showHooks) lines.push(logLine(line));
    acts.seen(line);
  };
  acts.begin(() => world.start());
  if (!script.some((e) => [e.do].flat().some((s) => /^start( |$)/.test(s) && !s.startsWith("start agent"))))
    world.after(1_000, () => act(stage, "start"));
  const over = () => !acts.isWaiting && world.disk.runs.size > 0 && isAtRest(world);
  const quiet = world.run(LIMIT_MS, over);
  if (quiet && world.violations.length === 0) world.checker.final();
  for (const { when } of acts.unmet()) throw new Error(`script: "${when}" never happened`);
  const ends = [...world.disk.runs.values()].map((run) => ["", ...endOf(run, world)].join("\n"));
  if (pool.guests.length > 0) ends.push(instances(world));
  if (pool.quorum.services.length > 0) ends.push(["", "services:", ...world.services.rows()].join("\n"));
  return { text: `${[...lines, ...ends].join("\n")}\n`, violations: world.violations };
}

/** Where instances are in the end. */
function instances(world: World): string {
  const rows = [...whereabouts(world)].map(([host, names]) => `  ${host.padEnd(5)} ${names.join(", ")}`.trimEnd());
  return ["", "instances:", ...rows].join("\n");
}
