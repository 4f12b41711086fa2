import { SlipwayError } from "@slipway/shared";
import { operatorWire } from "@slipway/shared/wire";
import type { Command } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { wrongUse } from "../io.ts";
import { toPlain } from "../json.ts";
import { declareRunFlags, parseRunOptions, type RunFlags, type RunOptionValues, startCommand } from "../options/run.ts";
import { parseScope, type ScopeLists } from "../options/scope.ts";
import { collect } from "../options/words.ts";
import type { Register } from "../program.ts";
import { renderPlan } from "../render/plan.ts";
import { planDifference, renderWhatIf } from "../render/whatif.ts";

type PlanFlags = RunFlags & { whatIf?: string[] };

/** What is to be imagined, by kind. */
export interface WhatIf {
  readonly exclude: readonly string[];
  readonly stop: readonly string[];
}

export function registerPlan(register: Register, program: Command): void {
  register(
    declareRunFlags(program.command("plan").summary("show what a run would do; nothing is touched")).option(
      "--what-if <changes>",
      "show what would be different: exclude=HOST, stop=INSTANCE, separated by commas; may be repeated",
      collect,
    ),
    "Computes what a run of this scope would do: who goes when, where instances go, how long it takes and what each host waits\n" +
      "for; who is skipped and why, blockers. With --json also the pool that the plan was made of, as `pool`.\n" +
      "Exit status 1 when it has blockers.",
    [
      "slipway plan --cluster c1 --max-out 2",
      "slipway plan --cluster c1 --max-out 25% --canary hv4 --bake 10m",
      "slipway plan --cluster c1 --what-if exclude=hv3,stop=vm7",
      "slipway plan --hosts hv3,hv1 --json",
    ],
    async (context, _args, flags) => plan(context, flags as PlanFlags),
  );
}

async function plan(context: Context, flags: PlanFlags): Promise<ExitStatus> {
  const scope = parseScope(flags);
  const options = parseRunOptions(flags);
  const whatIf = flags.whatIf === undefined ? undefined : parseWhatIf(flags.whatIf);
  const made = await ask(context, scope, options);
  if (whatIf === undefined) {
    context.answer(
      () => toPlain(operatorWire.PlanViewSchema, made),
      () => renderPlan(made, startCommand(scope, flags, context.self), context.paint, context.columns),
    );
    return made.blockers.length > 0 ? 1 : 0;
  }
  const changed: RunFlags = {
    ...flags,
    ...(whatIf.exclude.length > 0 ? { exclude: [...(flags.exclude ?? []), ...whatIf.exclude] } : {}),
    ...(whatIf.stop.length > 0 ? { consentStop: [...(flags.consentStop ?? []), ...whatIf.stop] } : {}),
  };
  const other = await ask(context, scope, parseRunOptions(changed));
  context.answer(
    () => ({
      whatIf,
      difference: planDifference(made, other),
      before: toPlain(operatorWire.PlanViewSchema, made),
      after: toPlain(operatorWire.PlanViewSchema, other),
    }),
    () => renderWhatIf(whatIf, made, other, startCommand(scope, changed, context.self), context.paint),
  );
  return other.blockers.length > 0 ? 1 : 0;
}

async function ask(context: Context, scope: ScopeLists, options: RunOptionValues): Promise<operatorWire.PlanView> {
  const { plan } = await context.client.call("plan", { scope, options, withPool: context.json });
  if (plan === undefined) throw new SlipwayError("internal", "the controller sent no plan");
  return plan;
}

/** Reads `exclude=h3,stop=vm7`. Errors: wrong use in one line. */
export function parseWhatIf(given: readonly string[]): WhatIf {
  const found = { exclude: [] as string[], stop: [] as string[] };
  for (const change of given.flatMap((list) => list.split(",")).map((word) => word.trim())) {
    const at = change.indexOf("=");
    const [kind, name] = [change.slice(0, Math.max(0, at)), change.slice(at + 1)];
    if ((kind !== "exclude" && kind !== "stop") || name === "")
      throw wrongUse(`--what-if: "${change}" is no change`, "write exclude=HOST or stop=INSTANCE");
    if (!found[kind].includes(name)) found[kind].push(name);
  }
  return found;
}
