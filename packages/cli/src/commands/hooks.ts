import { hookSetLimits } from "@slipway/shared/node";
import { operatorWire } from "@slipway/shared/wire";
import type { Command } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { diffHooks } from "../hooks/diff.ts";
import { readHookDir } from "../hooks/read.ts";
import { renderDiff, renderPush } from "../hooks/render.ts";
import { toPlain } from "../json.ts";
import { parseDuration } from "../options/duration.ts";
import { declareScopeFlags } from "../options/run.ts";
import { hasScope, parseScope } from "../options/scope.ts";
import type { Register } from "../program.ts";
import { clean, count } from "../render/text.ts";

/** Hosts are served some at a time, each with its own deadline; the whole may take so many of them. */
const ROUNDS = 20;

export function registerHooks(register: Register, program: Command): void {
  const hooks = program
    .command("hooks")
    .summary("push, diff")
    .description("Brings hooks to many hosts, and compares them.")
    .helpCommand(false);
  register(
    declareScopeFlags(
      hooks.command("push").argument("<DIR>", "directory with the hooks").summary("bring a hooks directory to hosts"),
    ).option("--timeout <duration>", "how long each host may take", "15s"),
    "Replaces the hooks directory of every host of the scope by the files of DIR, as a whole or not at all. Hidden files stay " +
      `here. At most ${hookSetLimits.files} files, 1 MiB each and 3 MiB together. A host takes pushed hooks only with\n` +
      "slipway.hooks.push=true in its agent.properties, and not while a run has it. Exit status 1 if a host does not have them.",
    ["slipway hooks push ./hooks --cluster c1", "slipway hooks push ./hooks --hosts hv1,hv2 --timeout 1m"],
    async (context, [dir = ""], flags) => push(context, dir, flags),
  );
  register(
    declareScopeFlags(
      hooks
        .command("diff")
        .argument("[DIR]", "directory to compare with; without it hosts are compared with each other")
        .summary("name hosts whose hooks differ"),
    ),
    "Has the hosts of the scope (all of them without one) look at their hooks and names those that differ from DIR, or from " +
      "most of the others, per stage. Exit status 1 if any does, or could not be compared.",
    ["slipway hooks diff", "slipway hooks diff ./hooks --cluster c1"],
    async (context, [dir], flags) => diff(context, dir, flags),
  );
}

async function push(context: Context, dir: string, flags: Record<string, unknown>): Promise<ExitStatus> {
  const scope = parseScope(flags);
  const timeoutMs = parseDuration("--timeout", String(flags["timeout"]));
  const set = readHookDir(dir);
  const files = set.files.map((file) => ({ ...file }));
  const { hosts } = await context.client.call(
    "pushHooks",
    { scope, files, hash: set.hash, timeoutMs: BigInt(timeoutMs) },
    { deadlineMs: ROUNDS * timeoutMs + 10_000 },
  );
  const left = set.leftOut.length === 0 ? "" : `, left out ${set.leftOut.map(clean).join(", ")}`;
  context.answer(
    () => ({ hash: set.hash, hosts: hosts.map((host) => toPlain(operatorWire.HookPushSchema, host)) }),
    () => [`${count(files.length, "file")}, hash ${set.hash}${left}`, ...renderPush(hosts, context.paint)],
  );
  return hosts.every((host) => host.ok) ? 0 : 1;
}

async function diff(context: Context, dir: string | undefined, flags: Record<string, unknown>): Promise<ExitStatus> {
  const set = dir === undefined ? undefined : readHookDir(dir);
  const scope = hasScope(flags) ? { scope: parseScope(flags) } : {};
  const { hosts } = await context.client.call("listHosts", { ...scope, refresh: true });
  const result = diffHooks(hosts, set);
  context.answer(
    () => ({ ...result, dir: set === undefined ? null : { path: set.dir, hash: set.hash } }),
    () => renderDiff(result, set?.dir, context.paint),
  );
  return result.same ? 0 : 1;
}
