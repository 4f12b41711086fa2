import { readFileSync } from "node:fs";
import { listingArgs, listings, readMachines } from "../platform/fleet/tables.ts";
import { fail } from "../probes/answer.ts";
import { fleetctl } from "../probes/fleet/probe.ts";
import { unitName } from "../probes/systemd/probe.ts";
import { type Service, type ServiceContext, until } from "./service.ts";
import { isDown, notActive, startUnits, stopUnits, unitStates } from "./systemd.ts";

/**
 * fleet. Its socket would start it again at the next question, so both go. Where the units of this host end up the controller sees by
 * what the other hosts tell: fleet says nothing about those that fit nowhere, and here nobody can ask it any more. Settings: `unit` (default fleet), and those of the probe.
 */
export function fleetService(machineId: () => string = ownMachineId): Service {
  const read = ({ settings }: ServiceContext) => {
    const service = unitName(settings.text("unit", "fleet"));
    const command = fleetctl(settings);
    settings.end();
    return { units: [service.replace(/\.service$/, ".socket"), service], command };
  };
  const missing = async (context: ServiceContext): Promise<string> => {
    const { command } = read(context);
    const answer = await context.run([...command, ...listingArgs(listings.machines)]);
    const id = machineId();
    return readMachines(answer).some((machine) => machine.id === id) ? "" : `fleet does not list this machine (${id})`;
  };
  return {
    kind: "fleet",
    async state(context) {
      const states = await unitStates(context, read(context).units);
      if (states.at(-1)?.load !== "loaded") fail(`unit ${read(context).units.at(-1)} is not on this host`);
      return states.every(isDown) ? "stopped" : "running";
    },
    stop: (context) => stopUnits(context, read(context).units),
    async start(context) {
      await startUnits(context, read(context).units);
      await until(context, () => missing(context).catch((thrown: Error) => thrown.message));
    },
    async check(context) {
      const states = await unitStates(context, read(context).units);
      const problem = notActive(states.filter((s) => s.load === "loaded")) || (await missing(context));
      if (problem !== "") fail(problem);
    },
  };
}

function ownMachineId(): string {
  return readFileSync("/etc/machine-id", "utf8").trim();
}
