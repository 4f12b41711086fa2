import { SlipwayError } from "@slipway/shared";
import { operatorWire } from "@slipway/shared/wire";
import type { Command } from "commander";
import { toPlain } from "../json.ts";
import { parseDuration } from "../options/duration.ts";
import { declareScopeFlags } from "../options/run.ts";
import { hasScope, parseScope } from "../options/scope.ts";
import type { Register } from "../program.ts";
import { renderAudit, renderHost, renderHosts, renderLedger, renderPings, renderWhy } from "../render/tables.ts";
import { dateTime } from "../render/text.ts";
import { limitOf } from "./runs.ts";

/** Returns the `host` command, which has more to it than looking. */
export function registerFleet(register: Register, program: Command): Command {
  program.commandsGroup("Hosts and records:");
  const host = program
    .command("host")
    .summary("list, show, why, ping, add, remove")
    .description("Looks at hosts, adds and removes them.")
    .helpCommand(false);
  register(
    host.command("list").summary("list all hosts and their agents"),
    "Lists every host that ever enrolled: whether its agent is connected, cordons, hooks, the run it is in.",
    ["slipway host list", "slipway host list --json"],
    async (context) => {
      const response = await context.client.call("listHosts", {});
      context.answer(
        () => toPlain(operatorWire.ListHostsResponseSchema, response),
        () => renderHosts(response.hosts, context.io.now(), context.paint),
      );
      return 0;
    },
  );
  register(
    host.command("show").argument("<HOST>", "name of a host").summary("show one host in full"),
    "Shows labels, connection, boot id, versions and hooks of a host.",
    ["slipway host show hv3"],
    async (context, [name]) => {
      const response = await context.client.call("getHost", { host: name ?? "" });
      const found = response.host;
      if (found === undefined) throw new SlipwayError("internal", `host ${name}: the controller sent no view of it`);
      context.answer(
        () => toPlain(operatorWire.FleetHostSchema, found),
        () => renderHost(found, context.io.now(), context.paint),
      );
      return 0;
    },
  );
  register(
    declareScopeFlags(host.command("ping").summary("have hosts prove that they can work")),
    "Has the agents of the scope (all hosts without one) journal a step that does nothing, and tells how long it took until " +
      "its end was durable on both sides. Exit status 1 if a host does not answer.",
    ["slipway host ping", "slipway host ping --cluster c1"],
    async (context, _args, flags) => {
      const { hosts } = await context.client.call("pingHosts", hasScope(flags) ? { scope: parseScope(flags) } : {});
      context.answer(
        () => ({ hosts: hosts.map((h) => toPlain(operatorWire.HostPingSchema, h)) }),
        () => renderPings(hosts, context.paint),
      );
      return hosts.every((h) => h.ok) ? 0 : 1;
    },
  );
  for (const parent of [host, program])
    register(
      parent.command("why").argument("<HOST>", "name of a host").summary("say why a host is as it is"),
      "Says in sentences why a host is in its state and what it waits for.",
      ["slipway why hv3", "slipway host why hv3 --json"],
      async (context, [name]) => {
        const response = await context.client.call("whyHost", { host: name ?? "" });
        context.answer(
          () => toPlain(operatorWire.WhyHostResponseSchema, response),
          () => renderWhy(response.host || (name ?? ""), response.reasons, context.columns),
        );
        return 0;
      },
    );
  for (const verb of ["cordon", "uncordon"] as const) {
    const command = program
      .command(verb)
      .argument("<HOST>", "name of a host")
      .summary(verb === "cordon" ? "refuse new instances on a host" : "let a host take instances again");
    command.option("--reason <text>", "why, for people and the audit log");
    register(
      command,
      verb === "cordon"
        ? "Takes a host out of scheduling by hand. What runs on it stays."
        : "Puts a host back by hand and settles its open ledger entries.",
      [verb === "cordon" ? 'slipway cordon hv3 --reason "disk replaced at 14:00"' : "slipway uncordon hv3"],
      async (context, [name], flags) => {
        const response = await context.client.call("setCordon", {
          host: name ?? "",
          cordoned: verb === "cordon",
          reason: (flags["reason"] as string | undefined) ?? "",
        });
        const found = response.host;
        if (found === undefined) throw new SlipwayError("internal", `host ${name}: the controller sent no view of it`);
        context.answer(
          () => toPlain(operatorWire.FleetHostSchema, found),
          () => [`host ${found.name}: ${found.cordoned ? "cordoned" : "in service"}`],
        );
        return 0;
      },
    );
  }
  register(
    program
      .command("ledger")
      .summary("list what runs and operators changed and must be undone")
      .option("--all", "also what was undone already"),
    "Lists every change that still stands, with the command that clears it.",
    ["slipway ledger", "slipway ledger --all --json"],
    async (context, _args, flags) => {
      const response = await context.client.call("listLedger", { all: flags["all"] === true });
      context.answer(
        () => toPlain(operatorWire.ListLedgerResponseSchema, response),
        () => renderLedger(response.entries, context.io.now(), context.paint),
      );
      return 0;
    },
  );
  register(
    program.command("audit").summary("list who did what").option("--limit <n>", "how many at most", "50"),
    "Lists the actions of operators, newest first, refused ones too.",
    ["slipway audit --limit 20"],
    async (context, _args, flags) => {
      const response = await context.client.call("listAudit", { limit: limitOf(flags["limit"]) });
      context.answer(
        () => toPlain(operatorWire.ListAuditResponseSchema, response),
        () => renderAudit(response.entries, context.paint),
      );
      return 0;
    },
  );
  register(
    program
      .command("token")
      .summary("make a one-time enrolment token for an agent")
      .option("--host <name>", "host it is good for (default: any that does not exist yet)")
      .option("--ttl <duration>", "how long it is good", "1h"),
    "Makes a token with which one agent gets its certificate. It is shown once.",
    ["slipway token --host hv7", "slipway token --ttl 15m --json"],
    async (context, _args, flags) => {
      const ttlMs = BigInt(parseDuration("--ttl", String(flags["ttl"])));
      const response = await context.client.call("createToken", { host: (flags["host"] as string) ?? "", ttlMs });
      context.answer(
        () => toPlain(operatorWire.CreateTokenResponseSchema, response),
        () => [response.token],
      );
      // On a terminal the end of its life is worth a line; in a pipe stdout is the token and nothing else.
      if (!context.json && context.io.isTerminal)
        context.io.err(`slipway: good until ${dateTime(Number(response.expiresAtMs))}, for one agent\n`);
      return 0;
    },
  );
  return host;
}
