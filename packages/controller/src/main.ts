import { SlipwayError } from "@slipway/shared";
import { Command, CommanderError } from "commander";
import { init } from "./commands/init.ts";
import { makeOperator } from "./commands/operator.ts";
import { actAsOwner } from "./commands/owner.ts";
import { runController } from "./commands/run.ts";
import { makeToken } from "./commands/token.ts";
import { VERSION } from "./version.ts";

type Flags = Record<string, string | undefined>;

/** Entry of `slipway-controller`. Exit status: 0 done, 1 failed, 2 wrong use. */
export async function main(argv: readonly string[]): Promise<void> {
  const say = (text: string) => process.stdout.write(`${text}\n`);
  const program = new Command("slipway-controller")
    .description("coordinates rolling maintenance over the agents of a fleet")
    .version(VERSION)
    // Said below, in one line like every other error.
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  program
    .command("init")
    .description("make the controller's directory: authority, certificate, controller.yaml; keeps what is there")
    .requiredOption("--dir <dir>", "directory of the controller")
    .option("--listen <host:port>", "address for agents and operators (default 0.0.0.0:7443)")
    .option("--enrol-listen <host:port>", "address for enrolment (default 0.0.0.0:7444)")
    .option("--name <name>", "name of the certificate authority (default Slipway CA)")
    .action(async (flags: Flags) => {
      const dir = flags["dir"] ?? "";
      actAsOwner(dir);
      const made = await init({ dir, ...given(flags, "listen", "enrolListen", "name") });
      say(made.length === 0 ? `${dir} is complete, nothing was changed` : `made ${made.join(", ")}`);
      say("next:");
      say(`  slipway-controller run --dir ${dir}`);
      say(
        `  slipway-controller operator NAME --dir ${dir} --out DIR    certificate and cli.yaml for the slipway command`,
      );
      say(`  slipway-controller token --dir ${dir} --host HOST          one-time token for the agent of a host`);
    });
  program
    .command("operator")
    .description("make a certificate and cli.yaml for a person")
    .argument("<name>", "name in the certificate and in the audit log")
    .requiredOption("--dir <dir>", "directory of the controller")
    .requiredOption("--out <dir>", "directory that gets the files")
    .option("--role <role>", "operator (may act) or viewer (may read)", "operator")
    .option("--address <host:port>", "the controller as that person's machine sees it")
    .action(async (name: string, flags: Flags) => {
      const { dir = "", out = "", role = "" } = flags;
      const file = await makeOperator({ name, dir, out, role, ...given(flags, "address") });
      say(`made ${file} for ${name} (${role}); try: slipway --config ${file} host list`);
    });
  program
    .command("token")
    .description("make a one-time enrolment token; works beside a running controller")
    .requiredOption("--dir <dir>", "directory of the controller")
    .option("--host <name>", "host that the token is good for; without it, any host that does not exist yet")
    .option("--ttl <duration>", "how long it is good", "1h")
    .action((flags: Flags) => {
      actAsOwner(flags["dir"] ?? "");
      say(makeToken({ dir: flags["dir"] ?? "", host: flags["host"] ?? "", ttl: flags["ttl"] ?? "1h" }).token);
    });
  program
    .command("run")
    .description("run the controller in the foreground; logs JSON lines on stderr")
    .requiredOption("--dir <dir>", "directory of the controller")
    .option("--listen <host:port>", "instead of what controller.yaml says")
    .option("--enrol-listen <host:port>", "instead of what controller.yaml says")
    .action((flags: Flags) => {
      actAsOwner(flags["dir"] ?? "");
      return runController({ dir: flags["dir"] ?? "", ...given(flags, "listen", "enrolListen") });
    });
  try {
    await program.parseAsync([...argv]);
    process.exitCode = 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      // Help and version arrive here as well, with status 0.
      if (thrown.exitCode === 0) return;
      const text = thrown.message.replace(/^error: /, "").replace(/\s+/g, " ");
      if (text !== "(outputHelp)") process.stderr.write(`slipway-controller: ${text}; see slipway-controller --help\n`);
      process.exitCode = 2;
    } else {
      const error = SlipwayError.from(thrown);
      process.stderr.write(`slipway-controller: ${error.message.replace(/\s*\n\s*/g, " ")}\n`);
      process.exitCode = error.exitStatus;
    }
  }
}

/** The flags among `names` that were given. */
function given<Name extends string>(flags: Flags, ...names: Name[]): Partial<Record<Name, string>> {
  const out: Partial<Record<Name, string>> = {};
  for (const name of names) if (flags[name] !== undefined) out[name] = flags[name];
  return out;
}

// Started as a program, not imported by bin/.
if (import.meta.main) await main(process.argv);
