import type { Command } from "commander";

/** What can stand in a place of the command line. Words after `=` in `names` are asked of the controller. */
export type Values =
  | "file"
  | "directory"
  | { words: readonly string[] }
  | { names: "hosts" | "runs" | "clusters" | "pods" | "zones" | "instances" }
  | "none";

export interface CompletionOption {
  readonly flag: string;
  /** Undefined for a switch. */
  readonly values: Values | undefined;
}

export interface CompletionNode {
  /** Words of the command, such as "run abort"; empty for the program itself. */
  readonly path: string;
  readonly subcommands: readonly string[];
  readonly options: readonly CompletionOption[];
  /** What the arguments are, in order. */
  readonly operands: readonly Values[];
  /** The last of them may be repeated. */
  readonly isVariadic: boolean;
}

const byFlag: Record<string, Values> = {
  "--config": "file",
  "--payload-file": "file",
  "--pool": "file",
  "--identity": "file",
  "--known-hosts": "file",
  "--package": "file",
  "--dir": "directory",
  "--hooks-dir": "directory",
  "--host": { names: "hosts" },
  "--cluster": { names: "clusters" },
  "--clusters": { names: "clusters" },
  "--pod": { names: "pods" },
  "--pods": { names: "pods" },
  "--zone": { names: "zones" },
  "--zones": { names: "zones" },
  "--to": { names: "hosts" },
  "--consent-stop": { names: "instances" },
  "--exclude": { names: "hosts" },
  "--canary": { names: "hosts" },
};

const byOperand: Record<string, Values> = {
  RUN: { names: "runs" },
  HOST: { names: "hosts" },
  INSTANCE: { names: "instances" },
  DIR: "directory",
  FILE: "file",
  PLAN: "file",
  SHELL: { words: ["bash", "zsh"] },
};

function valuesOf(path: string, flag: string, choices: readonly string[] | undefined): Values {
  if (choices !== undefined) return { words: choices };
  // `dev --hosts` is a number, everywhere else it is names.
  if (flag === "--hosts") return path === "dev" ? "none" : { names: "hosts" };
  return byFlag[flag] ?? "none";
}

/** Reads the commands that help shows out of the program; the scripts are made from nothing else. */
export function completionTree(program: Command): CompletionNode[] {
  const nodes: CompletionNode[] = [];
  const visit = (command: Command, path: string, inherited: readonly CompletionOption[]): void => {
    const own = command
      .createHelp()
      .visibleOptions(command)
      .flatMap((option): CompletionOption[] =>
        option.long === undefined || option.long === null
          ? []
          : [
              {
                flag: option.long,
                values: option.required || option.optional ? valuesOf(path, option.long, option.argChoices) : undefined,
              },
            ],
      );
    const options = [...own, ...inherited].filter((o, i, all) => all.findIndex((x) => x.flag === o.flag) === i);
    const subcommands = command.createHelp().visibleCommands(command);
    nodes.push({
      path,
      subcommands: subcommands.map((sub) => sub.name()),
      options,
      operands: command.registeredArguments.map((argument) => byOperand[argument.name()] ?? "none"),
      isVariadic: command.registeredArguments.at(-1)?.variadic === true,
    });
    for (const sub of subcommands) visit(sub, path === "" ? sub.name() : `${path} ${sub.name()}`, options);
  };
  visit(program, "", []);
  return nodes;
}
