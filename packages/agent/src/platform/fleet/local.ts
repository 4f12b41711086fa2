import { readdir, readFile } from "node:fs/promises";
import { type Answer, fail, whole } from "../../probes/answer.ts";
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

/** What this host's systemd says of a unit. */
export interface LocalUnit {
  /** "loaded", "not-found" ... */
  readonly load: string;
  readonly active: string;
  readonly sub: string;
}

export const SHOW = ["systemctl", "show", "--property=Id,LoadState,ActiveState,SubState", "--"] as const;

/** Reads `systemctl show` of these units: a block for each, with empty lines between. Throws what cannot be read, or is missing. */
export function readUnits(answer: Answer, units: readonly string[]): Map<string, LocalUnit> {
  const found = new Map<string, LocalUnit>();
  const text = whole(answer, "systemctl show");
  if (!text.endsWith("\n")) fail("systemctl show: the answer is cut off");
  for (const block of text.trim().split(/\n\n+/)) {
    const about = new Map(
      block.split("\n").map((line) => {
        const at = line.indexOf("=");
        return at < 1
          ? fail(`systemctl show: unknown line ${JSON.stringify(line)}`)
          : [line.slice(0, at), line.slice(at + 1)];
      }),
    );
    const [id, load, active, sub] = ["Id", "LoadState", "ActiveState", "SubState"].map((key) => about.get(key));
    if (!id || !load || !active || !sub) return fail(`systemctl show: ${id ?? "a unit"} without its state`);
    found.set(id, { load, active, sub });
  }
  const missing = units.find((unit) => !found.has(unit));
  if (missing) fail(`systemctl show: nothing about ${missing}`);
  return found;
}
