import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { wrongUse } from "../io.ts";
import type { Register } from "../program.ts";
import { numberedHosts, type PoolHost, parseLabels, readPoolFile } from "./pool.ts";
import { runPool } from "./run.ts";

interface DevFlags {
  dir?: string;
  hosts?: string;
  hooksDir?: string;
  labels?: string;
  platform?: "simulated" | "none";
  pool?: string;
  instances?: string;
}

/** More on each host are a load test. */
const MAX_INSTANCES = 100;

export function registerDev(register: Register, program: Command): void {
  register(
    program
      .command("dev")
      .summary("run a whole pool on this machine: one controller, N agents")
      .requiredOption("--dir <dir>", "where the pool lives; an earlier one is taken up again")
      .option("--hosts <n>", "number of hosts, named hv1..hvN (1 to 500)")
      .option("--hooks-dir <dir>", "hooks of all hosts (default: DIR/hosts/NAME/hooks)")
      .option("--labels <k=v,...>", "labels of all hosts (default cluster=c1,pod=p1,zone=z1)")
      .addOption(
        new Option("--platform <platform>", "simulated: a reboot restarts the agent; none: no platform at all")
          .choices(["simulated", "none"])
          .default("simulated"),
      )
      .option("--instances <n>", "simulated instances on each host at first (default 0)")
      .option("--pool <file>", "YAML instead of --hosts: hosts: [{name, labels: {...}, hooksDir, instances, machine}]"),
    "Starts a controller and agents as processes of their own on free loopback ports and keeps them running until it is stopped\n(Ctrl-C, TERM or HUP). Needs no privileges. Prints a line starting with `ready` when all agents are connected.",
    ["slipway dev --dir /tmp/pool --hosts 3", "slipway --config /tmp/pool/cli.yaml host list"],
    async (context, _args, flags) => dev(context, flags as DevFlags),
  );
}

async function dev(context: Context, flags: DevFlags): Promise<ExitStatus> {
  const dir = resolve(flags.dir ?? "");
  // Paths go into line-based files.
  for (const path of [dir, flags.hooksDir ?? ""])
    if (/[\r\n]/.test(path)) throw wrongUse("dev: a path contains a line break", "name another directory");
  const hooksDir = flags.hooksDir === undefined ? undefined : resolve(flags.hooksDir);
  if (hooksDir !== undefined && !(existsSync(hooksDir) && statSync(hooksDir).isDirectory()))
    throw wrongUse(`--hooks-dir: ${hooksDir} is no directory`, "name an existing directory");
  return runPool({ io: context.io, dir, hosts: hostsOf(flags, hooksDir), platform: flags.platform ?? "simulated" });
}

function hostsOf(flags: DevFlags, hooksDir: string | undefined): PoolHost[] {
  const labels = parseLabels(flags.labels);
  const instances = flags.instances ?? "0";
  if (!/^\d{1,3}$/.test(instances) || Number(instances) > MAX_INSTANCES)
    throw wrongUse(`--instances: "${instances}" is no number from 0 to ${MAX_INSTANCES}`, "write for example 2");
  if (flags.pool === undefined) return numberedHosts(flags.hosts, labels, hooksDir, Number(instances));
  if (flags.instances !== undefined)
    throw wrongUse("dev: both --instances and --pool are given", "name the instances in the pool's file");
  if (flags.hosts !== undefined) throw wrongUse("dev: both --hosts and --pool are given", "keep one of them");
  return readPoolFile(flags.pool, labels, hooksDir);
}
