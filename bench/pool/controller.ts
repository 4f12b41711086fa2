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
  const all = { listen: "127.0.0.1:0", enrolListen: "127.0.0.1:0", ...settings };
  writeFileSync(
    join(dir, "controller.yaml"),
    Object.entries(all)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(""),
  );
  return startController({ dir, log });
}
