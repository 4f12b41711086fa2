import { readdir, readFile } from "node:fs/promises";
import type { Answer } from "../../probes/answer.ts";
import { runCommand } from "../../probes/commands.ts";

/** The way from the platform to this machine; tests answer from recordings and models. */
export interface Machinery {
  /** Words literally; never throws. */
  run(argv: readonly string[], options: { readonly timeoutMs: number }): Promise<Answer>;
  /** Content of /etc/machine-id, by which fleet names its machines. */
  machineId(): Promise<string>;
  /** Names in the directory where fleetd keeps the units that it has loaded here. */
  loaded(): Promise<readonly string[]>;
}

const UNITS_DIR = "/run/fleet/units";

export const realMachinery: Machinery = {
  run: runCommand,
  machineId: () => readFile("/etc/machine-id", "utf8"),
  loaded: () =>
    readdir(UNITS_DIR).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    }),
};
