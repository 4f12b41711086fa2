import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunningController, startController } from "@slipway/controller";
import type { Logger } from "@slipway/shared/log";

const quiet = () => {};
const log = Object.fromEntries(
  ["trace", "debug", "info", "warn", "error", "fatal"].map((level) => [level, quiet]),
) as unknown as Logger;

/** A controller in this process, on a directory that `Identities` made, so that what it knows can be looked at directly. */
export function controllerHere(dir: string, settings: Record<string, number> = {}): Promise<RunningController> {
  configure(dir, settings);
  return startController({ dir, log });
}

/** Writes the configuration of a controller on free ports of loopback. */
export function configure(dir: string, settings: Record<string, number>): void {
  const all = { listen: "127.0.0.1:0", enrolListen: "127.0.0.1:0", ...settings };
  writeFileSync(
    join(dir, "controller.yaml"),
    Object.entries(all)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(""),
  );
}
