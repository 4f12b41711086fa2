import { type Command, Option } from "commander";
import { wrongUse } from "../io.ts";
import { durationFlag, parseDuration } from "./duration.ts";
import { collect, namesOf, quote } from "./words.ts";

/** How hosts follow each other: fields of the wire's RunOptions, only those that were given. */
export interface RollingValues {
  maxOut?: number;
  maxOutPercent?: number;
  domainLimits?: { label: string; maxHosts: number; percent: number }[];
  maxClusters?: number;
  order?: string;
  exclude?: string[];
  canary?: string;
  bakeMs?: bigint;
  maxFailures?: number;
  approve?: string;
  window?: string;
}

/** Flags as commander hands them over. */
export interface RollingFlags {
  maxOut?: string;
  maxOutPer?: string[];
  maxClusters?: string;
  order?: string;
  exclude?: string[];
  canary?: string;
  bake?: string;
  maxFailures?: string;
  approve?: string;
  window?: string;
}

export const maxOutHelp = "hosts of one cluster that may be out at the same time: a number, or a share such as 25%";

/** Declares who goes when, and where the run waits. */
export function declareRollingFlags(command: Command): Command {
  return command
    .option("--max-out <n>", `${maxOutHelp} (default 1)`)
    .addOption(
      new Option(
        "--max-out-per <label=n>",
        "the same for hosts that share a label's value, such as rack=1 or zone=25%; may be repeated",
      ).argParser(collect),
    )
    .option("--max-clusters <n>", "clusters that may have hosts out at the same time (default 1)")
    .addOption(
      new Option(
        "--order <how>",
        "hosts go as given, or as the planner thinks best (default given for --hosts, else free)",
      ).choices(["given", "free"]),
    )
    .addOption(new Option("--exclude <names>", "hosts of the scope that are left out").argParser(collect))
    .option("--canary <host>", "this host goes first, and alone")
    .option("--bake <duration>", "how long the canary is watched before anything else goes (default 0)")
    .option(
      "--max-failures <n>",
      "so many failed hosts pause the run; 0: the first one ends it (default 1; with --forced: none does)",
    )
    .addOption(
      new Option("--approve <when>", "where the run waits for slipway run approve (default never)").choices([
        "never",
        "each-wave",
        "after-canary",
      ]),
    )
    .option("--window <text>", 'when hosts may go out, such as "Sat 22:00-04:00 Europe/Paris" (default: at any time)');
}

/** Reads them; throws wrong use in one line. */
export function parseRollingFlags(flags: RollingFlags): RollingValues {
  const values: RollingValues = {};
  if (flags.maxOut !== undefined) {
    const { number, percent } = limitOf("--max-out", flags.maxOut, "write 2, or 25%");
    if (percent > 0) values.maxOutPercent = percent;
    else values.maxOut = number;
  }
  if (flags.maxOutPer !== undefined)
    values.domainLimits = namesOf("--max-out-per", flags.maxOutPer).map((text) => {
      const [, label = "", limit = ""] = /^([^=]+)=(.*)$/.exec(text) ?? [];
      if (label === "")
        throw wrongUse(`--max-out-per: "${text}" names no label`, "write for example rack=1 or rack=25%");
      const { number, percent } = limitOf(`--max-out-per ${label}`, limit, `write ${label}=1, or ${label}=25%`);
      return { label, maxHosts: number, percent };
    });
  if (flags.maxClusters !== undefined) values.maxClusters = countOf("--max-clusters", flags.maxClusters, "clusters");
  if (flags.maxFailures !== undefined) values.maxFailures = countOf("--max-failures", flags.maxFailures, "hosts", 0);
  if (flags.exclude !== undefined) values.exclude = namesOf("--exclude", flags.exclude);
  if (flags.bake !== undefined) {
    if (flags.canary === undefined) throw wrongUse("--bake: there is no canary to be watched", "name it with --canary");
    values.bakeMs = BigInt(parseDuration("--bake", flags.bake));
  }
  for (const name of ["canary", "window"] as const) {
    const text = flags[name]?.trim();
    if (text === "") throw wrongUse(`--${name}: is empty`, "leave it out, or say what is meant");
    if (text !== undefined) values[name] = text;
  }
  for (const name of ["order", "approve"] as const) if (flags[name] !== undefined) values[name] = flags[name];
  return values;
}

/** The words of a command line that say the same. */
export function rollingWords(values: RollingValues): string[] {
  const words: string[] = [];
  if (values.maxOut !== undefined) words.push("--max-out", String(values.maxOut));
  if (values.maxOutPercent !== undefined) words.push("--max-out", `${values.maxOutPercent}%`);
  for (const { label, maxHosts, percent } of values.domainLimits ?? [])
    words.push("--max-out-per", quote(`${label}=${percent > 0 ? `${percent}%` : maxHosts}`));
  if (values.maxClusters !== undefined) words.push("--max-clusters", String(values.maxClusters));
  if (values.order !== undefined) words.push("--order", values.order);
  if (values.exclude !== undefined) words.push("--exclude", quote(values.exclude.join(",")));
  if (values.canary !== undefined) words.push("--canary", quote(values.canary));
  if (values.bakeMs !== undefined) words.push("--bake", durationFlag(Number(values.bakeMs)));
  if (values.maxFailures !== undefined) words.push("--max-failures", String(values.maxFailures));
  if (values.approve !== undefined) words.push("--approve", values.approve);
  if (values.window !== undefined) words.push("--window", quote(values.window));
  return words;
}

function limitOf(flag: string, text: string, fix: string): { number: number; percent: number } {
  const [, digits = "", share = ""] = /^([1-9]\d{0,5})(%?)$/.exec(text.trim()) ?? [];
  if (digits === "") throw wrongUse(`${flag}: "${text}" is neither a number of hosts nor a share of them`, fix);
  const value = Number(digits);
  if (share === "") return { number: value, percent: 0 };
  if (value > 100) throw wrongUse(`${flag}: ${value}% is more than all hosts`, "give 1% to 100%");
  return { number: 0, percent: value };
}

function countOf(flag: string, text: string, what: string, least = 1): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) < least)
    throw wrongUse(`${flag}: "${text}" is no number of ${what}`, `write a whole number from ${least} on`);
  return Number(text);
}
