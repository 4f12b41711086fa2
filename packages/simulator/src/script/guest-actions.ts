import { findIn, type SimulatedInstance } from "@slipway/agent/internals";
import type { RunOptions } from "@slipway/controller/internals";
import type { InstanceVerb } from "@slipway/shared";
import type { World } from "../world.ts";
import type { Doing, Stage } from "./actions.ts";
import { instanceOf, uuidOf } from "./instances.ts";
import { duration } from "./words.ts";

const VM = "(\\S+)";
const H = "(\\S+)";
const FOR = "(?: for (\\S+))?";

/** Of the instance that is called so; for a new one a uuid that none has. */
function uuidNamed(world: World, name: string): string {
  const all = [...world.hosts.keys()].flatMap((h) => (world.guests.has(h) ? world.guests.instances(h) : []));
  const known = all.find((i) => i.name === name);
  if (known) return known.uuid;
  const taken = new Set(all.map((i) => i.uuid));
  for (let number = 0; ; number++) if (!taken.has(uuidOf(name, number))) return uuidOf(name, number);
}

function whereIs(world: World, name: string): { host: string; instance: SimulatedInstance } {
  const uuid = uuidNamed(world, name);
  const host = world.guests.whereRuns(uuid)[0] ?? world.guests.whereDefined(uuid)[0];
  const instance = host === undefined ? undefined : findIn(world.guests, host, uuid);
  if (host === undefined || instance === undefined) throw new Error(`script: ${name} is nowhere`);
  return { host, instance };
}

function change(world: World, name: string, what: Partial<SimulatedInstance>): void {
  const { host, instance } = whereIs(world, name);
  world.guests.put(host, { ...instance, ...what });
}

/** A run of its own, r1, r2, ... */
function startRun({ world, runs, options: usual }: Stage, names: string, options: Partial<RunOptions>): void {
  const run = `r${runs.length + 1}`;
  runs.push(run);
  world.startRun(run, { kind: "hosts", names: names.split(",") }, { ...usual, ...options }, "alice");
}

const after = ({ world }: Stage, time: string | undefined, undo: () => void) => {
  if (time !== undefined) world.after(duration(time), undo);
};

const running = { state: "running", stateReason: "booted" } as const;

/** What happens to instances, and runs that are about nothing else. */
export const guestSentences: readonly [string, Doing][] = [
  [`start (drain|restore) of ${H}`, (stage, [, op, names = ""]) => startRun(stage, names, { op: op as "drain" })],
  [
    `start move of ${VM} to ${H}`,
    (stage, [, name = "", to = ""]) => {
      const { host, instance } = whereIs(stage.world, name);
      startRun(stage, host, { op: "move", moves: [{ uuid: instance.uuid, name, to }] });
    },
  ],
  [
    `${VM}(?: of (\\d+) GiB)?(?: with device (\\S+))? is started on ${H}`,
    ({ world }, [, name = "", memory = "1", device, host = ""]) => {
      const uuid = uuidNamed(world, name);
      const fresh = { ...instanceOf(name, { memory, ...(device ? { device } : {}) }), uuid };
      const known = findIn(world.guests, host, uuid) ?? fresh;
      world.guests.by("somebody", () => world.guests.put(host, { ...known, ...running }));
    },
  ],
  [
    `${VM} is started again`,
    ({ world }, [, name = ""]) => world.guests.by("somebody", () => change(world, name, running)),
  ],
  [
    `${VM} shuts itself down`,
    ({ world }, [, name = ""]) =>
      world.guests.by("guest", () => change(world, name, { state: "shutoff", stateReason: "shutdown" })),
  ],
  [`${VM} is paused`, ({ world }, [, name = ""]) => change(world, name, { state: "paused" })],
  [
    `(moves|starts|stops) of ${VM} (fail|get stuck|take (\\d+) times as long)${FOR}`,
    (stage, [, what, name = "", how = "", times, time]) => {
      const verb = what?.slice(0, -1) as InstanceVerb;
      const { slow } = whereIs(stage.world, name).instance;
      const trouble: Partial<SimulatedInstance> =
        how === "fail" ? { fail: [verb] } : how === "get stuck" ? { stuck: [verb] } : { slow: slow * Number(times) };
      change(stage.world, name, trouble);
      after(stage, time, () => change(stage.world, name, { fail: [], stuck: [], slow }));
    },
  ],
  [
    `libvirtd of ${H} goes down${FOR}`,
    (stage, [, host = "", time]) => {
      stage.world.guests.outage(host);
      after(stage, time, () => stage.world.guests.outages.delete(host));
    },
  ],
  [
    `migration network between ${H} and ${H} is cut${FOR}`,
    (stage, [, from, to, time]) => {
      stage.world.guests.cut.add(`${from} ${to}`);
      after(stage, time, () => stage.world.guests.cut.delete(`${from} ${to}`));
    },
  ],
  [
    `${VM} also runs on ${H}`,
    ({ world }, [, name = "", host = ""]) => {
      const { instance } = whereIs(world, name);
      world.checker.guests.doubledOnPurpose.add(instance.uuid);
      world.guests.by("somebody", () => world.guests.put(host, { ...instance, work: undefined }));
    },
  ],
  [
    `${VM} is ended on ${H} by hand`,
    ({ world }, [, name = "", host = ""]) => {
      world.guests.by("somebody", () => world.guests.remove(host, uuidNamed(world, name)));
    },
  ],
  [
    `${H} has (\\d+) GiB from now on`,
    ({ world }, [, host = "", gib]) => {
      const { capacity, timing } = world.guests.host(host);
      world.guests.change(host, { capacity: { ...capacity, memoryMib: Number(gib) * 1_024 }, timing });
      world.checker.guests.disturbed(host);
    },
  ],
];
