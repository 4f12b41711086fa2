import { listingArgs, listings, readUnitFiles } from "../../platform/fleet/tables.ts";
import type { Answer } from "../answer.ts";
import type { Probe } from "../probe.ts";
import type { SettingsReader } from "../settings.ts";
import { globalUnits, parseFleet } from "./parse.ts";

/** fleetctl and the options that the settings `endpoint`, `ca`, `cert`, `key` stand for. */
export function fleetctl(settings: SettingsReader): readonly string[] {
  const endpoint = settings.optional("endpoint");
  const tls = (["ca", "cert", "key"] as const).flatMap((name) => {
    const path = settings.path(name);
    return path === undefined ? [] : [`--${name}-file=${path}`];
  });
  return ["fleetctl", ...(endpoint === undefined ? [] : [`--endpoint=${endpoint}`]), ...tls];
}

/**
 * fleet 1.0. Settings: `machines`, addresses or metadata names that must be there, with commas between; `endpoint`, `ca`, `cert`, `key`
 * for fleetctl.
 */
export const fleetProbe: Probe = {
  system: "fleet",
  async ask(context) {
    const { settings } = context;
    const expected = settings.list("machines");
    const command = fleetctl(settings);
    settings.end();
    const ask = (what: (typeof listings)[keyof typeof listings]) => context.run([...command, ...listingArgs(what)]);
    const machines = await ask(listings.machines);
    const files = await ask(listings.files);
    const states = await ask(listings.states);
    const texts = new Map<string, Answer>();
    for (const { unit } of globalUnits(readUnitFiles(files)))
      texts.set(unit, await context.run([...command, "cat", unit]));
    return parseFleet({ machines, files, states, texts, expected });
  },
};
