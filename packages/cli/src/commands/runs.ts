import { randomUUID } from "node:crypto";
import { SlipwayError } from "@slipway/shared";
import { operatorWire } from "@slipway/shared/wire";
import { type Command, Option } from "commander";
import { neverSent } from "../client.ts";
import type { Context, ExitStatus } from "../context.ts";
import { follow, persistently } from "../follow.ts";
import { toPlain } from "../json.ts";
import { declareRunFlags, parseRunOptions, type RunFlags, type RunOptionValues } from "../options/run.ts";
import { parseScope, type ScopeLists } from "../options/scope.ts";
import type { Register } from "../program.ts";
import { renderReport, renderStages } from "../render/report.ts";
import { lineSink, logLine, quietSink, treeSink } from "../render/sinks.ts";
import { renderRun, renderRuns } from "../render/tables.ts";
import { registerPlan } from "./plan.ts";
import { registerSimulate } from "./simulate.ts";

/** How long a lost answer of StartRun, or a report after the end, is asked for again. */
const INSIST_MS = 60_000;

const outcomes: Record<string, ExitStatus> = { succeeded: 0, "nothing-done": 3 };

/** Returns the group `run`, for what controls one. */
export function registerRuns(register: Register, program: Command): Command {
  program.commandsGroup("Runs:");
  registerPlan(register, program);
  registerSimulate(register, program);
  register(
    declareRunFlags(program.command("start").summary("start a run and follow it to its end")).option(
      "--detach",
      "print the id of the run and return at once",
    ),
    "Starts a rolling maintenance over exactly one kind of scope and follows it to the end.\nExit status: 0 succeeded, 1 failed or aborted, 2 wrong use, 3 nothing was done, 130 detached by Ctrl-C (the run goes on).",
    ["slipway start --cluster c1 --timeout 20m", "slipway start --zone z1 --forced --detach --json"],
    async (context, _args, flags) => {
      const given = flags as RunFlags & Detachable;
      return startRun(context, given, { scope: parseScope(given), options: parseRunOptions(given) });
    },
  );
  register(
    program.command("watch").argument("<RUN>", "id, start of an id, or last").summary("follow a run to its end"),
    "Shows a run live until it ends; Ctrl-C leaves it alone (exit status 130).\nExit status as for start.",
    ["slipway watch last", "slipway watch 4f2a > run.log"],
    async (context, [id]) => {
      const found = await context.client.resolveRun(id ?? "");
      return followToReport(context, found);
    },
  );
  const run = program
    .command("run")
    .summary("pause, resume, approve, abort; retry, skip, mark-done, override a host")
    .description("Controls a run that is going on.")
    .helpCommand(false);
  for (const parent of [program, run]) {
    register(
      parent.command("list").summary("list runs, newest first").option("--limit <n>", "how many at most", "20"),
      "Lists runs, newest first.",
      ["slipway list", "slipway run list --limit 5 --json"],
      async (context, _args, flags) => {
        const response = await context.client.call("listRuns", { limit: limitOf(flags["limit"]) });
        context.answer(
          () => toPlain(operatorWire.ListRunsResponseSchema, response),
          () => renderRuns(response.runs, context.io.now(), context.paint),
        );
        return 0;
      },
    );
    register(
      parent
        .command("show")
        .argument("<RUN>", "id, start of an id, or last")
        .summary("show a run: hosts, states, stages"),
      "Shows where a run stands, host by host and stage by stage.",
      ["slipway show last", "slipway run show 4f2a --json"],
      async (context, [id]) => {
        const { run } = await context.client.call("getRun", { run: await context.client.resolveRun(id ?? "") });
        if (run === undefined) throw new SlipwayError("internal", `run ${id}: the controller sent no view of it`);
        context.answer(
          () => toPlain(operatorWire.RunViewSchema, run),
          () => renderRun(run, context.io.now(), context.paint),
        );
        return 0;
      },
    );
  }
  register(
    program
      .command("report")
      .argument("<RUN>", "id, start of an id, or last")
      .summary("print the report of a run")
      .addOption(new Option("--format <format>", "text or json").choices(["text", "json"]))
      .option("--log", "also the run's log (text)"),
    "Prints what became of every host, and what the run changed that still stands.\nThe JSON form also has CloudStack's fields: success, details, hostsupdated, hostsskipped.",
    ["slipway report last", "slipway report 4f2a --format json > report.json"],
    async (context, [id], flags) => {
      const run = await context.client.resolveRun(id ?? "");
      const { report, log } = await context.client.call("getReport", { run });
      if (report === undefined) throw new SlipwayError("internal", `run ${run}: the controller sent no report`);
      if (flags["format"] === "json" || (context.json && flags["format"] === undefined))
        context.object(toPlain(operatorWire.ReportSchema, report));
      else {
        context.lines(renderReport(report, context.io.now(), context.paint, context.columns));
        context.lines(renderStages(report.hosts, context.paint));
        if (flags["log"]) context.lines(["", ...log.map(logLine)]);
      }
      return 0;
    },
  );
  return run;
}

export function limitOf(text: unknown): number {
  if (!/^[1-9]\d{0,5}$/.test(String(text)))
    throw new SlipwayError("bad-input", `--limit: "${text}" is no count`, { fix: "write a whole number from 1 on" });
  return Number(text);
}

/** Flag of commands that start a run. */
export interface Detachable {
  detach?: boolean;
}

/** Starts a run, whatever it is for, and follows it to its report unless it is to be left alone. */
export async function startRun(
  context: Context,
  flags: Detachable,
  what: { readonly scope: ScopeLists; readonly options: RunOptionValues },
): Promise<ExitStatus> {
  const request = { ...what, requestId: randomUUID() };
  const begin = () => context.client.call("startRun", request);
  let response: Awaited<ReturnType<typeof begin>>;
  try {
    response = await begin();
  } catch (thrown) {
    const error = SlipwayError.from(thrown);
    if (!["unreachable", "timed-out"].includes(error.code) || neverSent(error)) throw error;
    // The answer was lost, the run may exist: the same request id gets the same run.
    context.io.err("slipway: the controller's answer was lost, asking again\n");
    response = await persistently(INSIST_MS, new AbortController().signal, begin);
  }
  const { run } = response;
  if (flags.detach) {
    context.answer(
      () => ({ run }),
      () => [`run ${run} started; watch it with: ${context.self} watch ${run}`],
    );
    return 0;
  }
  return followToReport(context, run);
}

/** Follows a run, then prints its report; the exit status tells the outcome. */
async function followToReport(context: Context, run: string): Promise<ExitStatus> {
  const { io } = context;
  const stop = new AbortController();
  const detach = () => stop.abort();
  process.once("SIGINT", detach);
  process.once("SIGTERM", detach);
  const live = io.isTerminal && io.env["TERM"] !== "dumb";
  const sink = context.json ? quietSink(io) : live ? treeSink(io, context.paint) : lineSink(io);
  try {
    const view = await follow(context.client, run, sink, { signal: stop.signal });
    if (view === undefined) return detached(context, run, sink);
    const { report } = await persistently(INSIST_MS, stop.signal, () => context.client.call("getReport", { run }));
    sink.close();
    if (report === undefined) throw new SlipwayError("internal", `run ${run}: the controller sent no report`);
    context.answer(
      () => toPlain(operatorWire.ReportSchema, report),
      () => [...(live ? [] : [""]), ...renderReport(report, io.now(), context.paint, context.columns)],
    );
    return outcomes[report.outcome || view.outcome] ?? 1;
  } finally {
    sink.close();
    process.removeListener("SIGINT", detach);
    process.removeListener("SIGTERM", detach);
  }
}

function detached(context: Context, run: string, sink: { close(): void }): ExitStatus {
  sink.close();
  const text = `run ${run} goes on; watch it with: ${context.self} watch ${run}; stop it with: ${context.self} run abort ${run}`;
  if (context.json) context.object({ run, detached: true });
  context.io.err(`slipway: ${text}\n`);
  return 130;
}
