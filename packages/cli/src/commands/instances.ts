import { SlipwayError } from "@slipway/shared";
import { operatorWire } from "@slipway/shared/wire";
import type { Command } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { toPlain } from "../json.ts";
import { declareMoveFlags, parseRunOptions, type RunFlags } from "../options/run.ts";
import type { Register } from "../program.ts";
import { renderInstance, renderInstances } from "../render/instances.ts";
import { type Detachable, startRun } from "./runs.ts";

export function registerInstances(register: Register, program: Command): void {
  program.commandsGroup("Instances:");
  const instance = program
    .command("instance")
    .summary("list, show, move")
    .description("Looks at instances (virtual machines) and moves them.")
    .helpCommand(false);
  register(
    instance
      .command("list")
      .summary("list instances")
      .option("--host <name>", "only those of this host")
      .option("--cluster <name>", "only those of this cluster"),
    "Lists instances with what a drain would do with each. Exit status 1 if the instances of a host are not known.",
    ["slipway instance list --cluster c1", "slipway instance list --host hv3 --json"],
    async (context, _args, flags) => {
      const request = { host: text(flags["host"]), cluster: text(flags["cluster"]) };
      const response = await context.client.call("listInstances", request);
      context.answer(
        () => toPlain(operatorWire.ListInstancesResponseSchema, response),
        () => renderInstances(response, context.io.now(), context.paint),
      );
      return response.unknown.length > 0 ? 1 : 0;
    },
  );
  register(
    instance
      .command("show")
      .argument("<INSTANCE>", "name or uuid")
      .summary("show one instance in full, and where it could go"),
    "Shows all that is known of an instance, what was laid down about it and by whom, and for every other host of its cluster " +
      "whether it could go there, or each reason why not.",
    ["slipway instance show db-1"],
    async (context, [name = ""]) => {
      const response = await context.client.call("getInstance", { instance: name });
      context.answer(
        () => toPlain(operatorWire.GetInstanceResponseSchema, response),
        () => renderInstance(response, context.io.now(), context.paint, context.columns),
      );
      return 0;
    },
  );
  register(
    declareMoveFlags(
      instance
        .command("move")
        .argument("<INSTANCE>", "name or uuid")
        .requiredOption("--to <host>", "host that it goes to")
        .summary("live-migrate one instance"),
    ),
    "Starts a run that moves one instance, and follows it to the end. Exit status as for start.",
    ["slipway instance move db-1 --to hv3"],
    async (context, [name = ""], flags) => moveInstance(context, name, flags as unknown as MoveFlags),
  );
}

type MoveFlags = RunFlags & Detachable & { to: string };

async function moveInstance(context: Context, name: string, flags: MoveFlags): Promise<ExitStatus> {
  const { instance, targets } = await context.client.call("getInstance", { instance: name });
  if (instance?.facts === undefined)
    throw new SlipwayError("internal", `instance ${name}: the controller sent no view`);
  const { uuid, name: known } = instance.facts;
  if (instance.host === flags.to)
    throw new SlipwayError("bad-input", `instance ${known}: it is on ${flags.to} already`, {
      fix: "name another host",
    });
  const target = targets.find((t) => t.host === flags.to);
  if (target === undefined) {
    // Tells an unknown host from one of another cluster.
    await context.client.call("getHost", { host: flags.to });
    throw new SlipwayError("bad-input", `instance ${known}: ${flags.to} is not in cluster ${instance.cluster}`, {
      fix: `choose one of ${targets.map((t) => t.host).join(", ") || "none: its cluster has no other host"}`,
    });
  }
  return startRun(context, flags, {
    scope: { hosts: [instance.host], clusters: [], pods: [], zones: [] },
    options: { ...parseRunOptions(flags), op: "move", moves: [{ uuid, name: known, to: flags.to }] },
  });
}

const text = (value: unknown) => (value as string | undefined) ?? "";
