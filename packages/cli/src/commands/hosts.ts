import type { Command } from "commander";
import type { Register } from "../program.ts";
import type { AddFlags, RemoveFlags } from "../ssh/commands.ts";

const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];
/** Loaded when it is used: it brings an SSH client with it, which the other commands should not wait for. */
const commands = () => import("../ssh/commands.ts");

/** Adds to the `host` command what makes a machine a host, and ends it. */
export function registerHosts(register: Register, host: Command): void {
  register(
    declareSshFlags(host.command("add").argument("<TARGET>", "where to log in: user@machine[:port]"))
      .summary("make a machine a host, over SSH")
      .option("--name <name>", "name of the host (default: what it is called there)")
      .option("--labels <k=v,...>", "labels of the host, such as cluster=c1,zone=z1 (default: as they are there)")
      .option("--package <file>", "package of the agent, or of its runtime; may be repeated", collect)
      .option("--controller <host:port>", "the controller as the host sees it; may be repeated", collect)
      .option("--enrol <host:port>", "its enrolment port as the host sees it")
      .option("--allow-hooks-push", "let `slipway hooks push` replace the hooks of the host")
      .option("--rejoin", "take over a machine that belongs to another controller, or has another name")
      .option("--wait <duration>", "how long the agent may take to connect", "1m"),
    "Logs in, installs the agent's package, configures, enrols and starts it, and waits until it is connected. What is done " +
      "already is left alone, so the command can be repeated; a machine that is a host already is not touched at all. The host's " +
      "key must be in known_hosts; at a terminal it is asked for, in scripts it can be given with --host-key.",
    [
      "slipway host add root@hv7 --labels cluster=c1",
      "slipway host add admin@10.0.0.7 --name hv7 --jump ops@bastion --identity ~/.ssh/id_ops",
    ],
    async (context, [target = ""], flags) => (await commands()).addHost(context, target, flags as unknown as AddFlags),
  );
  register(
    declareSshFlags(host.command("remove").argument("<HOST>", "name of a host"))
      .summary("forget a host, and keep its agent out")
      .option("--reason <text>", "why, for people and the audit log")
      .option("--ssh <target>", "also stop the agent there and remove its package: user@machine[:port]"),
    "The controller forgets the host: its session ends and its certificate is not accepted any more. `slipway host add` brings it " +
      "back. Refused while a run has the host, or left it cordoned.",
    ["slipway host remove hv7 --reason sold", "slipway host remove hv7 --ssh root@hv7"],
    async (context, [name = ""], flags) =>
      (await commands()).removeHost(context, name, flags as unknown as RemoveFlags),
  );
}

function declareSshFlags(command: Command): Command {
  return command
    .option(
      "--identity <file>",
      "private key to log in with (default: ssh-agent and ~/.ssh/id_*); may be repeated",
      collect,
    )
    .option("--port <n>", "port of sshd (default 22)")
    .option("--jump <target>", "log in through this machine: user@machine[:port]")
    .option("--host-key <fingerprint>", "SHA256:... of the host's key, instead of asking; may be repeated", collect)
    .option("--known-hosts <file>", "instead of ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts");
}
