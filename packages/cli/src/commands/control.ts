import { SlipwayError } from "@slipway/shared";
import { operatorWire } from "@slipway/shared/wire";
import { type Command, Option } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { toPlain } from "../json.ts";
import type { Register } from "../program.ts";
import { clean, reasonText } from "../render/text.ts";

const { RunAction, HostAction } = operatorWire;

const runVerbs = [
  [
    "pause",
    RunAction.PAUSE,
    "pause a run between steps",
    "Steps in hand finish; nothing new starts until `run resume`.",
  ],
  ["resume", RunAction.RESUME, "go on with a paused run", "Goes on where the run was paused."],
  [
    "approve",
    RunAction.APPROVE,
    "let a run go on that waits for a word",
    "Lets the next hosts of a run go that waits for approval: before a wave, after its canary, or because its plan now stops\ninstances that it did not stop before. `slipway show` says what it waits for.",
  ],
  [
    "abort",
    RunAction.ABORT,
    "end a run early and undo its changes",
    "Lets the steps in hand finish, then undoes the ledger; --now ends them (TERM, then KILL).",
  ],
] as const;

const hostVerbs = [
  ["retry", HostAction.RETRY, "try a failed host again", "Runs the host's failed step again, as a new attempt."],
  ["skip", HostAction.SKIP, "leave a host out", "The run goes on without this host."],
  [
    "mark-done",
    HostAction.MARK_DONE,
    "take a host as done",
    "The step in question is taken as done by hand; say why with --reason.",
  ],
  [
    "override",
    HostAction.OVERRIDE,
    "answer for a host that the gate refuses",
    "Ends the gate, recheck or heal at which the host waits, although it is denied or not known; --reason is required and recorded. What --max-out denies cannot be overridden.",
  ],
] as const;

export function registerControl(register: Register, run: Command): void {
  for (const [verb, always, summary, description] of runVerbs) {
    const command = run
      .command(verb)
      .argument("<RUN>", "id, start of an id, or last")
      .summary(summary)
      .option("--reason <text>", "why, for the audit log and the report");
    if (verb === "abort") command.option("--now", "end the steps in hand instead of letting them finish");
    register(
      command,
      description,
      [`slipway run ${verb} last --reason "storage alarm"`],
      async (context, [id], flags) => {
        const action = flags["now"] === true ? RunAction.ABORT_NOW : always;
        const target = await context.client.resolveRun(id ?? "");
        const reason = (flags["reason"] as string | undefined) ?? "";
        const response = await context.client.call("controlRun", { run: target, action, reason });
        return answerRun(context, target, response.run);
      },
    );
  }
  for (const [verb, action, summary, description] of hostVerbs)
    register(
      run
        .command(verb)
        .argument("<RUN>", "id, start of an id, or last")
        .argument("<HOST>", "a host of the run")
        .summary(summary)
        .addOption(
          new Option("--reason <text>", "why, for the audit log and the report").makeOptionMandatory(
            verb === "override",
          ),
        ),
      description,
      [`slipway run ${verb} last hv3 --reason "done by hand"`],
      async (context, [id, host], flags) => {
        const target = await context.client.resolveRun(id ?? "");
        const reason = (flags["reason"] as string | undefined) ?? "";
        const response = await context.client.call("controlHost", { run: target, host: host ?? "", action, reason });
        return answerRun(context, target, response.run, host);
      },
    );
}

function answerRun(context: Context, id: string, run: operatorWire.RunView | undefined, name?: string): ExitStatus {
  if (run === undefined) throw new SlipwayError("internal", `run ${id}: the controller sent no view of it`);
  const host = run.hosts.find((h) => h.name === name);
  const state =
    run.outcome || `${run.state}${run.paused ? `, paused: ${reasonText(run.pauseReason) || "on request"}` : ""}`;
  context.answer(
    () => toPlain(operatorWire.RunViewSchema, run),
    () => [
      `run ${run.run}: ${state}`,
      ...(host
        ? [
            `host ${host.name}: ${clean(host.outcome || host.state)}${host.reason === "" ? "" : ` (${clean(host.reason)})`}`,
          ]
        : []),
    ],
  );
  return 0;
}
