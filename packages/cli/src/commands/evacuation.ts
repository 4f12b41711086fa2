import { operatorWire } from "@slipway/shared/wire";
import type { Command } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { wrongUse } from "../io.ts";
import { toPlain } from "../json.ts";
import { declareMoveFlags, declareTurnFlags, parseRunOptions, quote, type RunFlags } from "../options/run.ts";
import type { Register } from "../program.ts";
import { renderRebalance } from "../render/rebalance.ts";
import { type Detachable, startRun } from "./runs.ts";

/** What only empties hosts, fills them again, or evens them out. */
export function registerEvacuation(register: Register, program: Command): void {
  for (const verb of ["drain", "restore"] as const)
    register(
      declareTurnFlags(
        program
          .command(verb)
          .argument("<HOST...>", "names of hosts")
          .summary(verb === "drain" ? "empty hosts and keep them out of service" : "bring drained hosts back"),
        verb,
      ),
      verb === "drain"
        ? "Cordons each host and moves its instances away, as a run without hooks; the hosts stay cordoned until `slipway restore`.\n" +
            "All of them may be out together unless --max-out says less. Exit status as for start."
        : "Waits until each host is well, starts what was stopped for the drain, brings instances back as --return says, and lets the\n" +
            "host take instances again. Exit status as for start.",
      [
        `slipway ${verb} hv3`,
        verb === "drain" ? "slipway drain hv3 hv4 --consent-stop db-1" : "slipway restore hv3 --return exact",
      ],
      async (context, hosts, flags) => turn(context, verb, hosts, flags as RunFlags & Detachable),
    );
  register(
    declareMoveFlags(
      program
        .command("rebalance")
        .requiredOption("--cluster <name>", "the cluster to even out")
        .option("--max-moves <n>", "moves at most", "10")
        .option("--yes", "make the moves without asking")
        .summary("even out the weights of a cluster's hosts"),
    ),
    "Prints the moves that would even out the hosts, then makes them with --yes, or asks at a terminal. Nothing is touched before.\n" +
      "Exit status as for start; 3 when there is nothing to move.",
    ["slipway rebalance --cluster c1", "slipway rebalance --cluster c1 --max-moves 4 --yes"],
    async (context, _args, flags) => rebalance(context, flags as unknown as RebalanceFlags),
  );
}

async function turn(
  context: Context,
  verb: "drain" | "restore",
  hosts: readonly string[],
  flags: RunFlags & Detachable,
): Promise<ExitStatus> {
  const names = hosts.flatMap((h) => h.split(",")).filter((h) => h !== "");
  if (names.length === 0) throw wrongUse(`${verb}: no host is named`, `write slipway ${verb} HOST`);
  const options = parseRunOptions(flags);
  return startRun(context, flags, {
    scope: { hosts: names, clusters: [], pods: [], zones: [] },
    // Whoever names hosts wants all of them out, or back.
    options: { ...(options.maxOutPercent ? {} : { maxOut: names.length }), ...options, op: verb },
  });
}

type RebalanceFlags = RunFlags & Detachable & { cluster: string | string[]; maxMoves: string; yes?: boolean };

async function rebalance(context: Context, flags: RebalanceFlags): Promise<ExitStatus> {
  if (!/^[1-9]\d{0,3}$/.test(flags.maxMoves))
    throw wrongUse(`--max-moves: "${flags.maxMoves}" is no number of moves`, "write a whole number from 1 to 9999");
  const cluster = String(flags.cluster);
  const plan = await context.client.call("planRebalance", { cluster, maxMoves: Number(flags.maxMoves) });
  const moves = plan.moves.map(({ uuid, name, to }) => ({ uuid, name, to }));
  // With --json the one object is the run's report, or the proposal when none is started.
  if (!context.json) context.lines(renderRebalance(plan, cluster, context.paint));
  const go = moves.length > 0 && (flags.yes === true || (await agreed(context, moves.length)));
  if (context.json && !go) context.object(toPlain(operatorWire.PlanRebalanceResponseSchema, plan));
  if (moves.length === 0) return 3;
  if (!go) {
    if (!context.json)
      context.lines([
        `nothing was touched; make them with: ${context.self} rebalance --cluster ${quote(cluster)} --yes`,
      ]);
    return 0;
  }
  return startRun(context, flags, {
    scope: { hosts: [], clusters: [cluster], pods: [], zones: [] },
    options: { ...parseRunOptions(flags), op: "move", moves },
  });
}

async function agreed(context: Context, moves: number): Promise<boolean> {
  if (context.json || context.io.ask === undefined) return false;
  const answer = await context.io.ask(`make ${moves === 1 ? "this move" : `these ${moves} moves`}? [y/N] `, false);
  return /^y(es)?$/i.test(answer.trim());
}
