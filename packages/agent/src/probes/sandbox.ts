import { existsSync } from "node:fs";
import { join } from "node:path";

const DIRECTORIES = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export interface Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/**
 * The command as systemd runs it in a unit of its own. The agent's unit sees most of the host read-only and has mounts of its own: there
 * gluster could not write its log, and what is unmounted would stay mounted for everybody else.
 */
export function inUnit({ argv, env, timeoutMs }: Command): string[] {
  // In a unit's command line systemd replaces $NAME, and $$ by a dollar sign.
  const literal = argv.map((word) => word.replaceAll("$", "$$$$"));
  return [
    "systemd-run",
    ...["--quiet", "--wait", "--pipe", "--collect", "--service-type=exec"],
    // systemd-run may be killed at the deadline; what it has started ends a little later by itself.
    `--property=RuntimeMaxSec=${Math.ceil(timeoutMs / 1_000) + 1}`,
    ...Object.entries(env).map(([name, value]) => `--setenv=${name}=${value}`),
    "--",
    ...literal,
  ];
}

/** systemd-run has an exit status of its own for a program that is not there. */
export function isInstalled(program: string): boolean {
  return program.includes("/") ? existsSync(program) : DIRECTORIES.some((dir) => existsSync(join(dir, program)));
}
