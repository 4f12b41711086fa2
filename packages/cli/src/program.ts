import { SlipwayError } from "@slipway/shared";
import { Command, CommanderError } from "commander";
import { registerControl } from "./commands/control.ts";
import { registerEvacuation } from "./commands/evacuation.ts";
import { registerFleet } from "./commands/fleet.ts";
import { registerHealth } from "./commands/health.ts";
import { registerHooks } from "./commands/hooks.ts";
import { registerHosts } from "./commands/hosts.ts";
import { registerInstances } from "./commands/instances.ts";
import { registerPool } from "./commands/pool.ts";
import { registerRuns } from "./commands/runs.ts";
import { registerCompletion } from "./completion/command.ts";
import { Context, type ExitStatus, type GlobalFlags } from "./context.ts";
import { registerDev } from "./dev/command.ts";
import { type Io, problemOf, wrongUse } from "./io.ts";
import { VERSION } from "./version.ts";

/** Finishes a command: its text, its examples, and what it does. */
export type Register = (
  command: Command,
  description: string,
  examples: readonly string[],
  action: (context: Context, args: readonly string[], flags: Record<string, unknown>) => Promise<ExitStatus>,
) => void;

/** Runs the command line (without the program's name) and returns the exit status. Never throws. */
export async function run(args: readonly string[], io: Io): Promise<ExitStatus> {
  let status: ExitStatus = 0;
  let context: Context | undefined;
  const program = buildProgram(io, async (command, action) => {
    context = new Context(io, command.optsWithGlobals() as GlobalFlags);
    status = await action(context, command.args, command.opts());
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return status;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      if (thrown.exitCode === 0) return 0;
      // Without a subcommand commander shows the help, which is answer enough.
      if (thrown.code === "commander.help") return 2;
    }
    const error = thrown instanceof CommanderError ? usageError(thrown) : SlipwayError.from(thrown);
    io.err(`slipway: ${error.message.replaceAll(/\s*\n\s*/g, " ")}\n`);
    // A broken command line has not been read to its end, so the word itself counts.
    if (context?.json ?? args.includes("--json")) io.out(`${JSON.stringify({ error: problemOf(error) })}\n`);
    return error.exitStatus;
  } finally {
    context?.close();
  }
}

/** "error: unknown option '--fo'\n(Did you mean --for?)" becomes one line with the way out. */
function usageError(error: CommanderError): SlipwayError {
  const [text = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const hint = rest
    .join(" ")
    .replace(/^\((.*)\)$/, "$1")
    .trim();
  return wrongUse(text, hint === "" ? "see slipway --help" : hint.replace(/^Did/, "did"));
}

type Act = (command: Command, action: Parameters<Register>[3]) => Promise<void>;

/** The tree of commands; completion reads it too. */
export function buildProgram(io: Io, act: Act): Command {
  const program = new Command("slipway")
    .description("Rolling maintenance over pools of hypervisors: plan, start, watch and control runs.")
    .option(
      "--config <file>",
      "connection to the controller (default SLIPWAY_CONFIG, ~/.config/slipway/cli.yaml, /etc/slipway/cli.yaml)",
    )
    .option("--json", "print one JSON object instead of text")
    .option("--no-color", "no colours (also NO_COLOR)")
    .version(VERSION, "-V, --version", "show the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(io.columns(), 110) })
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      // Errors are printed once, by `run`.
      outputError: () => {},
    })
    .exitOverride();
  const register: Register = (command, description, examples, action) => {
    command
      .description(description)
      .addHelpText("after", `\nExample${examples.length > 1 ? "s" : ""}:\n${examples.map((e) => `  ${e}`).join("\n")}`)
      .action(() => act(command, action));
  };
  registerControl(register, registerRuns(register, program));
  registerHosts(register, registerFleet(register, program));
  registerHealth(register, program);
  registerInstances(register, program);
  registerEvacuation(register, program);
  registerPool(register, program);
  registerHooks(register, program);
  program.commandsGroup("Tools:");
  registerCompletion(register, program);
  registerDev(register, program);
  program.addHelpText(
    "after",
    "\nExamples:\n  slipway host list\n  slipway plan --cluster c1\n  slipway start --cluster c1 --max-out 2\n  slipway drain hv3\n  slipway dev --dir /tmp/pool --hosts 3\n\nExit status: 0 done, 1 failed, 2 wrong use, 3 nothing was done.",
  );
  return program;
}
