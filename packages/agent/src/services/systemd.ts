import { fail, whole } from "../probes/answer.ts";
import { readUnits, showUnits, type UnitState, unitName } from "../probes/systemd/probe.ts";
import { type Service, type ServiceContext, until } from "./service.ts";

export async function unitStates(context: ServiceContext, units: readonly string[]): Promise<UnitState[]> {
  return readUnits(await context.run(showUnits(units)), units);
}

/** Is anything of it still running or about to? A unit that failed runs no more. */
export function isDown(unit: UnitState): boolean {
  return unit.load === "not-found" || unit.active === "inactive" || unit.active === "failed";
}

/** Stops units at once, in one transaction, and makes sure that they are down. */
export async function stopUnits(context: ServiceContext, units: readonly string[]): Promise<void> {
  const there = await present(context, units);
  whole(await context.run(["systemctl", "stop", "--", ...there]), `systemctl stop ${there.join(" ")}`);
  await until(context, async () => {
    const up = (await unitStates(context, there)).filter((unit) => !isDown(unit));
    return up.map((unit) => `${unit.id} is still ${unit.active} (${unit.sub})`).join(", ");
  });
}

export async function startUnits(context: ServiceContext, units: readonly string[]): Promise<void> {
  const there = await present(context, units);
  whole(await context.run(["systemctl", "start", "--", ...there]), `systemctl start ${there.join(" ")}`);
  await until(context, async () => {
    const states = await unitStates(context, there);
    const failed = states.find((unit) => unit.active === "failed");
    if (failed !== undefined) fail(`${failed.id} failed (${failed.result})`);
    return notActive(states);
  });
}

export function notActive(states: readonly UnitState[]): string {
  return states
    .filter((unit) => unit.active !== "active")
    .map((unit) => `${unit.id} is ${unit.load === "loaded" ? `${unit.active} (${unit.sub})` : unit.load}`)
    .join(", ");
}

/** Those of the units that this host has; the last one, which the others belong to, has to be there. */
async function present(context: ServiceContext, units: readonly string[]): Promise<string[]> {
  const states = await unitStates(context, units);
  const main = states.at(-1);
  if (main === undefined || main.load !== "loaded")
    fail(`unit ${units.at(-1)} is ${main?.load ?? "not there"} on this host; correct its name in the pool file`);
  return units.filter((_, i) => states[i]?.load === "loaded");
}

/** Any unit. Its name is the unit's. */
export const systemdService: Service = {
  kind: "systemd",
  async state(context) {
    const unit = unitOf(context);
    await present(context, [unit]);
    const [found] = await unitStates(context, [unit]);
    return found !== undefined && isDown(found) ? "stopped" : "running";
  },
  stop: (context) => stopUnits(context, [unitOf(context)]),
  start: (context) => startUnits(context, [unitOf(context)]),
  async check(context) {
    const problem = notActive(await unitStates(context, [unitOf(context)]));
    if (problem !== "") fail(problem);
  },
};

function unitOf({ name, settings }: ServiceContext): string {
  settings.end();
  return unitName(name);
}
