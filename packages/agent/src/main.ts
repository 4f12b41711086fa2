import { SlipwayError } from "@slipway/shared";
import { Command, CommanderError } from "commander";
import { examine } from "./commands/doctor/doctor.ts";
import { checkHooks } from "./commands/hooks.ts";
import { libvirtTls } from "./commands/libvirt/command.ts";
import { runAgent } from "./commands/run.ts";
import { readSettings } from "./config/settings.ts";
import { VERSION } from "./version.ts";

const PROPERTIES = "/etc/slipway/agent.properties";

/** The `slipway-agent` command. Sets the exit status; returns when the command is done. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command("slipway-agent")
    .description("Runs maintenance steps on this host for a Slipway controller.")
    .version(VERSION)
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  const properties = ["--properties <file>", "agent.properties file", PROPERTIES] as const;
  program
    .command("run", { isDefault: true })
    .description("connect to the controller and run steps until stopped (the default)")
    .option(...properties)
    .action((options: { properties: string }) => runAgent(readSettings(options.properties)));
  program
    .command("hooks")
    .description("check the hooks of this host; exit status 1 when one of them would be refused")
    .option(...properties)
    .action((options: { properties: string }) => {
      const { text, isGood } = checkHooks(readSettings(options.properties));
      process.stdout.write(text);
      process.exitCode = isGood ? 0 : 1;
    });
  program
    .command("doctor")
    .description("say what is wrong on this host, and the way out; exit status 1 when anything is")
    .option(...properties)
    .action(async (options: { properties: string }) => {
      const { text, isGood } = await examine(options.properties);
      process.stdout.write(text);
      process.exitCode = isGood ? 0 : 1;
    });
  program
    .command("libvirt-tls")
    .description("let this host's libvirt move guests over TLS with the agent's certificate; may be repeated")
    .option(...properties)
    .option("--replace", "overwrite certificates of libvirt that came from elsewhere")
    .action(async (options: { properties: string; replace?: boolean }) => {
      process.stdout.write(await libvirtTls(readSettings(options.properties), options.replace === true));
    });
  for (const command of program.commands) command.configureOutput({ outputError: () => {} }).exitOverride();
  try {
    await program.parseAsync(argv);
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      // Help and version arrive here as well, with status 0.
      if (thrown.exitCode === 0) return;
      const text = thrown.message.replace(/^error: /, "").replace(/\s+/g, " ");
      console.error(`slipway-agent: ${text}; see slipway-agent --help`);
      process.exitCode = 2;
      return;
    }
    const error = SlipwayError.from(thrown);
    console.error(`slipway-agent: ${error.message}`);
    process.exitCode = error.exitStatus;
  }
}

// Started as a program, not imported by bin/.
if (import.meta.main) await main(process.argv);
