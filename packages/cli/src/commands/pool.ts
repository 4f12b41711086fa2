import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { readPool } from "@slipway/controller/pool";
import { SlipwayError } from "@slipway/shared";
import { operatorWire } from "@slipway/shared/wire";
import type { Command } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { wrongUse } from "../io.ts";
import { toPlain } from "../json.ts";
import { reasonOf } from "../options/run.ts";
import type { Register } from "../program.ts";
import { renderDiscovered } from "../render/discovered.ts";
import { renderPool } from "../render/pool.ts";
import { clean, count, reasonText } from "../render/text.ts";
import { whileAsking } from "./health.ts";

/** Agents ask one kind of system after the other, each within some seconds. */
const DISCOVER_MS = 120_000;
const MAX_BYTES = 1024 * 1024;

export function registerPool(register: Register, program: Command): void {
  const pool = program
    .command("pool")
    .summary("apply, show, check, discover")
    .description("The pool file: limits of hosts and migrations, and rules for instances.")
    .helpCommand(false);
  register(
    pool.command("check").argument("<FILE>", "a pool file").summary("check a pool file; no controller is needed"),
    "Reads a pool file and names everything that is wrong with it, with its line. Exit status 2 if anything is.",
    ["slipway pool check pool.yaml"],
    async (context, [file = ""]) => check(context, file),
  );
  register(
    pool.command("apply").argument("<FILE>", "a pool file").summary("put a pool file in force"),
    "Replaces the pool file of the controller as a whole, at once and for runs that are under way too. A file with anything wrong " +
      "in it changes nothing (exit status 2).",
    ["slipway pool apply pool.yaml"],
    async (context, [file = ""]) => apply(context, file),
  );
  register(
    pool.command("show").summary("show the pool file that is in force, and who applied it"),
    "Prints the pool file that is in force. With --json also its history.",
    ["slipway pool show", "slipway pool show --json"],
    async (context) => {
      const response = await context.client.call("getPool", {});
      context.answer(
        () => toPlain(operatorWire.GetPoolResponseSchema, response),
        () => renderPool(response, context.io.now(), context.paint, context.io.isTerminal),
      );
      return 0;
    },
  );
  register(
    pool
      .command("discover")
      .summary("find replicated systems, and propose how the pool file names them")
      .option("--cluster <name>", "ask only hosts of this cluster"),
    "Asks the agents for etcd, GlusterFS, Ceph, Corosync, Pacemaker, RabbitMQ, Consul, DRBD, LINSTOR, Vault and fleet with their " +
      "default settings, and prints a " +
      "proposal for the pool file. Nothing is used before you have put it there.",
    ["slipway pool discover --cluster c1", "slipway pool discover > found.yaml && slipway pool check found.yaml"],
    async (context, _args, flags) => discover(context, (flags["cluster"] as string | undefined) ?? ""),
  );
}

async function discover(context: Context, cluster: string): Promise<ExitStatus> {
  const found = await whileAsking(context, "asking the hosts ...", () =>
    context.client.call("discoverSystems", { cluster }, { deadlineMs: DISCOVER_MS }),
  );
  context.answer(
    () => toPlain(operatorWire.DiscoverSystemsResponseSchema, found),
    () => renderDiscovered(found),
  );
  return 0;
}

async function check(context: Context, file: string): Promise<ExitStatus> {
  const { problems, pool } = readPool(readText(file));
  if (problems.length === 0) {
    context.answer(
      () => ({ file, ok: true, problems }),
      () => [`${clean(file)}: ${count(pool.instances.length, "rule")} for instances, nothing is wrong`],
    );
    return 0;
  }
  if (context.json) context.object({ file, ok: false, problems });
  else for (const p of problems) context.io.err(`slipway: ${clean(file)}:${p.line}: ${clean(p.text)}; ${p.fix}\n`);
  return 2;
}

async function apply(context: Context, file: string): Promise<ExitStatus> {
  const text = readText(file);
  // Said with the file's own path, and all of it, before anything is sent.
  if (readPool(text).problems.length > 0) return check(context, file);
  const response = await context.client.call("applyPool", { file: basename(file), text });
  const { version, changed, warnings } = response;
  if (version === undefined) throw new SlipwayError("internal", "the controller sent no version of the pool file");
  context.answer(
    () => toPlain(operatorWire.ApplyPoolResponseSchema, response),
    () => [
      `${clean(file)}: version ${version.number} ${changed ? "is in force" : "was in force already, nothing changed"}`,
      ...warnings.map((w) => context.paint.yellow(`warning: ${reasonText(w)}`)),
    ],
  );
  return 0;
}

function readText(file: string): string {
  try {
    if (statSync(file).size > MAX_BYTES) throw wrongUse(`${file} is larger than ${MAX_BYTES} bytes`, "shorten it");
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
  } catch (cause) {
    if (cause instanceof SlipwayError) throw cause;
    throw wrongUse(`${file} ${cause instanceof TypeError ? "is not UTF-8 text" : reasonOf(cause)}`, "name a pool file");
  }
}
