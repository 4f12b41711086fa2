import type { Probe } from "../probe.ts";
import type { SettingsReader } from "../settings.ts";
import { parseFleet } from "./parse.ts";

/** fleetctl and the options that the settings `endpoint`, `ca`, `cert`, `key` stand for. */
export function fleetctl(settings: SettingsReader): readonly string[] {
  const endpoint = settings.optional("endpoint");
  const tls = (["ca", "cert", "key"] as const).flatMap((name) => {
    const path = settings.path(name);
    return path === undefined ? [] : [`--${name}-file=${path}`];
  });
  return ["fleetctl", ...(endpoint === undefined ? [] : [`--endpoint=${endpoint}`]), ...tls];
}

export function listing(what: string, fields: readonly string[]): readonly string[] {
  return [what, "--full", "--fields", fields.join(",")];
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
    const ask = (what: string, fields: string[]) => context.run([...command, ...listing(what, fields)]);
    const machines = await ask("list-machines", ["machine", "ip", "metadata"]);
    const files = await ask("list-unit-files", ["unit", "dstate", "state", "target"]);
    const units = await ask("list-units", ["unit", "machine", "active", "sub"]);
    return parseFleet({ machines, files, units, expected });
  },
};
