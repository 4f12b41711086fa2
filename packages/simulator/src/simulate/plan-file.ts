import { fromJson } from "@bufbuild/protobuf";
import { NAME_PATTERN, SlipwayError, UUID_PATTERN } from "@slipway/shared";
import { operatorWire } from "@slipway/shared/wire";

export type PoolHost = operatorWire.PoolHost;
export type PoolInstance = operatorWire.PoolInstance;

/** A plan that can be played: what `slipway --json plan` prints, with a schedule and the pool that it was made of. */
export interface PlanFile {
  /** For messages: the file's name. */
  readonly name: string;
  readonly view: operatorWire.PlanView;
  readonly schedule: operatorWire.ScheduleView;
  readonly pool: operatorWire.PoolView;
}

const REMAKE = "make one: slipway --json plan ... > plan.json";

/** Reads the text of a plan file. Errors: `bad-input` in one line with the file, what is wrong with it and what would be right. */
export function readPlan(text: string, name: string): PlanFile {
  const view = viewOf(parsed(text, name), name);
  const bad = (what: string, fix: string) => new SlipwayError("bad-input", `${name}: ${what}`, { fix });
  if (view.pool === undefined && view.schedule === undefined) {
    const why = view.blockers[0] ?? view.relaxations[0];
    if (why) throw bad(`the plan has no schedule, because ${why.text}`, "plan again when it can be done");
    throw bad(
      "the plan has no schedule, so there is nothing to play",
      "plan maintenance or a drain that takes hosts out",
    );
  }
  const { schedule, pool } = view;
  if (schedule === undefined || schedule.turns.length === 0)
    throw bad(
      "the plan has no schedule, so there is nothing to play",
      "plan maintenance or a drain that takes hosts out",
    );
  if (pool === undefined || pool.hosts.length === 0)
    throw bad("the plan does not say of what pool it was made", "make it with --json and a controller of this version");
  checkNames({ name, view, schedule, pool }, bad);
  return { name, view, schedule, pool };
}

function parsed(text: string, name: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const what =
      text.trim() === ""
        ? "is empty"
        : /^\s*\{/.test(text)
          ? "is damaged or cut off: it begins like JSON and does not end so"
          : "is no JSON; plans are read as --json prints them";
    throw new SlipwayError("bad-input", `${name}: ${what}`, { fix: REMAKE });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new SlipwayError("bad-input", `${name}: is JSON, but no plan`, { fix: REMAKE });
  return value;
}

function viewOf(value: object, name: string): operatorWire.PlanView {
  if ("error" in value)
    throw new SlipwayError("bad-input", `${name}: is the answer of a command that failed, and no plan`, {
      fix: REMAKE,
    });
  if ("whatIf" in value)
    throw new SlipwayError("bad-input", `${name}: holds the two plans of --what-if`, {
      fix: `choose one: jq .after ${name} | slipway simulate -`,
    });
  if (!("waves" in value && "options" in value))
    throw new SlipwayError("bad-input", `${name}: is JSON, but no plan: waves or options are missing`, { fix: REMAKE });
  try {
    return fromJson(operatorWire.PlanViewSchema, value as never, { ignoreUnknownFields: true });
  } catch (thrown) {
    const why = (thrown instanceof Error ? thrown.message : String(thrown)).replace(
      /^cannot decode (?:message|field) slipway\.v1\./,
      "",
    );
    throw new SlipwayError("bad-input", `${name}: is no plan that this version understands (${why})`, { fix: REMAKE });
  }
}

/** Everything that is named has to be in the pool: a plan that was edited by hand is not played half. */
function checkNames({ schedule, pool, view }: PlanFile, bad: (what: string, fix: string) => SlipwayError): void {
  const hosts = new Set<string>();
  const uuids = new Set<string>();
  for (const { name } of pool.hosts) {
    if (!NAME_PATTERN.test(name)) throw bad(`host ${JSON.stringify(name)} of its pool has no name of a host`, REMAKE);
    if (hosts.has(name)) throw bad(`its pool has host ${name} twice`, REMAKE);
    hosts.add(name);
  }
  for (const { uuid, name } of pool.instances) {
    if (!UUID_PATTERN.test(uuid))
      throw bad(`instance ${JSON.stringify(name)} of its pool has no uuid but ${JSON.stringify(uuid)}`, REMAKE);
    if (uuids.has(uuid)) throw bad(`its pool has instance ${name} (${uuid}) twice`, REMAKE);
    uuids.add(uuid);
  }
  const named = [
    ...schedule.turns.flatMap((t) => [t.host, ...t.after]),
    ...schedule.moves.flatMap((m) => [m.from, m.to]),
    ...pool.instances.map((i) => i.host),
    ...view.hosts,
  ];
  const host = named.find((h) => !hosts.has(h));
  if (host !== undefined) throw bad(`host ${host} is not in its pool`, REMAKE);
  const move = schedule.moves.find((m) => !uuids.has(m.uuid));
  if (move) throw bad(`instance ${move.name} is moved and is not in its pool`, REMAKE);
}
