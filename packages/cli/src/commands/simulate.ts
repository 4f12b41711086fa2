import { readFileSync, statSync } from "node:fs";
import { type Command, Option } from "commander";
import type { Context, ExitStatus } from "../context.ts";
import { wrongUse } from "../io.ts";
import { reasonOf } from "../options/run.ts";
import { collect } from "../options/words.ts";
import type { Register } from "../program.ts";
import { logLines, renderSummary, simulatedTime } from "../render/simulate.ts";
import { clean } from "../render/text.ts";

/** Plans of thousands of hosts have some ten MiB. */
const MAX_BYTES = 512 * 1024 * 1024;

interface SimulateFlags {
  readonly fault?: string[];
  readonly seed?: string;
  readonly logLevel: "none" | "run" | "all";
}

export function registerSimulate(register: Register, program: Command): void {
  register(
    program
      .command("simulate")
      .argument("<PLAN>", "what slipway --json plan printed: a file, or - for standard input")
      .summary("play a plan on simulated hosts, with faults; nothing is touched")
      .option("--fault <what>", "something that goes wrong; may be repeated, see below", collect)
      .option("--seed <n>", "turns and moves take random times, drawn from this number (default: as planned)")
      .addOption(
        new Option("--log-level <level>", "no log; what happens; also every hook")
          .choices(["none", "run", "all"])
          .default("run"),
      )
      .addHelpText("after", () => `\n${FAULTS}`),
    "Plays a plan on simulated hosts, with the code of the real controller and the real agents and a clock that jumps, and shows the log: which host goes when, what moves where, and what becomes of it when something goes wrong. No controller is needed.\n" +
      "Exit status: 0 the run ended well, 1 it did not, 2 wrong use.",
    [
      "slipway --json plan --cluster c1 --max-out 2 > plan.json",
      "slipway simulate plan.json",
      "slipway simulate plan.json --fault 'hv2: Maintenance fails'",
      "slipway simulate plan.json --fault 'hv2: power cut @Maintenance' --seed 7",
    ],
    async (context, [file = ""], flags) => simulate(context, file, flags as unknown as SimulateFlags),
  );
}

const FAULTS = `Faults (WHEN is a time since the start or a step: @2m, @drain of hv2):
  HOST: STAGE fails | hangs         its hook; STAGE is PreFlight, Maintenance ...
  HOST: power cut WHEN              it boots again by itself
  HOST: down [for TIME] WHEN        it is off until then
  HOST: does not return             from its reboot
  HOST: agent dies [for TIME] WHEN
  HOST: network cut [for TIME] WHEN
  HOST: has N GiB WHEN              of memory, from then on
  INSTANCE: moves fail | hang | take Nx
  INSTANCE: down [for TIME] WHEN    its own system shuts it down
  NAME starts on HOST [with N GiB] WHEN
  controller: dies [for TIME] WHEN`;

async function simulate(context: Context, file: string, flags: SimulateFlags): Promise<ExitStatus> {
  if (typeof Map.groupBy !== "function")
    throw wrongUse(`simulate: Node ${process.versions.node} is too old`, "use Node 24, as slipway's packages do");
  const seed = seedOf(flags.seed);
  const text = textOf(file);
  // It is large, and no other command needs it.
  const { logLine, play, readFaults, readPlan, START_MS, summaryOf } = await import("@slipway/simulator");
  const plan = readPlan(text, file === "-" ? "standard input" : file);
  const faults = readFaults(flags.fault ?? [], plan, START_MS);
  const log: { atMs: number; kind: string; subject: string; text: string }[] = [];
  const played = play(plan, {
    faults,
    ...(seed === undefined ? {} : { seed }),
    onLine: (line) => {
      if (flags.logLevel === "none" || (flags.logLevel === "run" && line.kind === "hook")) return;
      // Before the start there is only what the faults prepare.
      if (line.at < START_MS && line.kind !== "script") return;
      const at = Math.max(0, line.at - START_MS);
      const cleaned = { subject: clean(line.subject), text: clean(line.text) };
      if (context.json) log.push({ atMs: at, kind: line.kind, ...cleaned });
      else
        context.lines(
          logLines(logLine({ ...line, ...cleaned, at }, simulatedTime), context.columns).map((text) =>
            painted(context, line.kind, text),
          ),
        );
    },
  });
  const summary = summaryOf(played);
  const given = { plan: file, faults: faults.map((f) => f.text), seed: seed ?? null };
  context.answer(
    () => ({ ...given, ...summary, log }),
    () => [
      ...(flags.logLevel === "none" ? [] : [""]),
      ...renderSummary(summary, given, context.paint, context.columns),
    ],
  );
  return summary.success ? 0 : 1;
}

function painted({ paint }: Context, kind: string, line: string): string {
  if (kind === "violation") return paint.red(line);
  if (kind === "script" || kind === "fault") return paint.yellow(line);
  return kind === "guest" || kind === "hook" ? paint.dim(line) : line;
}

function seedOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw wrongUse(`--seed: "${text}" is no seed`, "write a whole number, such as 7");
  return Number(text);
}

function textOf(file: string): string {
  try {
    if (file !== "-" && statSync(file).size > MAX_BYTES) throw wrongUse(`${file}: is too large for a plan`);
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (cause) {
    if ((cause as { code?: unknown }).code === undefined || (cause as { exitStatus?: unknown }).exitStatus) throw cause;
    throw wrongUse(`plan ${file}: ${reasonOf(cause)}`, "name a file that slipway --json plan printed");
  }
}
