import { naturalCompare } from "@slipway/shared";
import { Argument, type Command } from "commander";
import type { Context } from "../context.ts";
import type { Register } from "../program.ts";
import { bashScript, NAMES_COMMAND, zshScript } from "./scripts.ts";
import { completionTree } from "./tree.ts";

/** A shell waits for this; rather no names than a stuck prompt. */
const NAMES_MS = 2000;

export function registerCompletion(register: Register, program: Command): void {
  register(
    program
      .command("completion")
      .addArgument(new Argument("<SHELL>", "bash or zsh").choices(["bash", "zsh"]))
      .summary("print the completion script of a shell"),
    "Prints a script that completes commands, options, and the names of hosts, instances and runs.",
    ["source <(slipway completion bash)", "slipway completion zsh > ~/.zfunc/_slipway"],
    async (context, [shell]) => {
      const nodes = completionTree(program);
      context.io.out(shell === "zsh" ? zshScript(nodes) : bashScript(nodes));
      return 0;
    },
  );
  register(
    program.command(NAMES_COMMAND, { hidden: true }).argument("<KIND>"),
    "Prints names for the completion scripts, one a line; nothing when the controller is away.",
    [],
    async (context, [kind]) => {
      try {
        const names = await namesOf(context, kind ?? "");
        context.lines([...new Set(names)].filter((name) => /^[\w.-]+$/.test(name)));
      } catch {
        // A prompt is no place for errors.
      }
      return 0;
    },
  );
}

async function namesOf(context: Context, kind: string): Promise<string[]> {
  const bounds = { deadlineMs: NAMES_MS };
  if (kind === "runs") {
    const { runs } = await context.client.call("listRuns", { limit: 50 }, bounds);
    return ["last", ...runs.map(({ run }) => run)];
  }
  if (kind === "instances") {
    const { instances } = await context.client.call("listInstances", {}, bounds);
    return instances.map(({ facts }) => facts?.name ?? "").sort(naturalCompare);
  }
  const { hosts } = await context.client.call("listHosts", {}, bounds);
  const label = { clusters: "cluster", pods: "pod", zones: "zone" }[kind];
  const names = hosts.map((host) => (label === undefined ? host.name : (host.labels[label] ?? "")));
  return names.filter((name) => name !== "").sort(naturalCompare);
}
