import { readFileSync, statSync } from "node:fs";
import { MAX_PAYLOAD_BYTES, SlipwayError, splitPayload } from "@slipway/shared";
import { type Command, Option } from "commander";
import { wrongUse } from "../io.ts";
import { durationFlag, parseDuration } from "./duration.ts";
import {
  declareRollingFlags,
  maxOutHelp,
  parseRollingFlags,
  type RollingFlags,
  type RollingValues,
  rollingWords,
} from "./rolling.ts";
import { type ScopeFlags, type ScopeLists, scopeFlags } from "./scope.ts";
import { collect, namesOf, quote } from "./words.ts";

export { quote } from "./words.ts";

/** RunOptions of the wire with only the fields that were given: 0 or absent means the controller's default. */
export interface RunOptionValues extends RollingValues {
  forced?: boolean;
  payload?: string;
  timeoutMs?: bigint;
  pingIntervalMs?: bigint;
  maintenanceWaitMs?: bigint;
  onFailure?: string;
  op?: string;
  reboot?: string;
  agentWaitMs?: bigint;
  rebootWaitMs?: bigint;
  graceMs?: bigint;
  return?: string;
  onDrainFailure?: string;
  consentStop?: string[];
  moves?: { uuid: string; name: string; to: string }[];
}

/** Flags as commander hands them over. */
export interface RunFlags extends ScopeFlags, RollingFlags {
  forced?: boolean;
  timeout?: string;
  payload?: string;
  payloadFile?: string;
  pingInterval?: string;
  maintenanceWait?: string;
  onFailure?: string;
  op?: string;
  reboot?: string;
  agentWait?: string;
  rebootWait?: string;
  grace?: string;
  return?: string;
  onDrainFailure?: string;
  consentStop?: string[];
}

const durations = [
  ["timeoutMs", "timeout", "--timeout"],
  ["pingIntervalMs", "pingInterval", "--ping-interval"],
  ["maintenanceWaitMs", "maintenanceWait", "--maintenance-wait"],
  ["agentWaitMs", "agentWait", "--agent-wait"],
  ["rebootWaitMs", "rebootWait", "--reboot-wait"],
  ["graceMs", "grace", "--grace"],
] as const;

/** Declares the four kinds of scope, so that every command takes the same words. */
export function declareScopeFlags(command: Command): Command {
  for (const [one, many, what] of [
    ["host", "hosts", "hosts, in this order"],
    ["cluster", "clusters", "all hosts of these clusters"],
    ["pod", "pods", "all hosts of these pods"],
    ["zone", "zones", "all hosts of these zones"],
  ] as const) {
    const shown = one === "host" ? many : one;
    const alias = one === "host" ? one : many;
    command.addOption(
      new Option(`--${shown} <names>`, `${what} (separated by commas; also --${alias})`).argParser(collect),
    );
    command.addOption(new Option(`--${alias} <names>`).argParser(collect).hideHelp());
  }
  return command;
}

const help = {
  forced: "skip a failed host and go on; never ignores a check",
  maintenanceWait: "how long a host may take to enter maintenance (default 30m)",
  agentWait: "how long an unreachable agent is waited for before the run pauses (default 5m)",
};

/** Declares scope and run options on `plan` and `start`. */
export function declareRunFlags(command: Command): Command {
  return declareInstanceFlags(
    declareRollingFlags(declareScopeFlags(command))
      .option("--forced", help.forced)
      .option("--timeout <duration>", "per stage and host (default 30m)")
      .option("--payload <text>", "words handed to every hook; quotes group, nothing is expanded")
      .option("--payload-file <file>", "the same, read from a file")
      .option("--ping-interval <duration>", "how often a running stage is asked for its state (default 10s)")
      .option("--maintenance-wait <duration>", help.maintenanceWait)
      .addOption(
        new Option("--on-failure <how>", "what becomes of a host whose Maintenance failed (default cordoned)").choices([
          "cordoned",
          "uncordon",
        ]),
      )
      .addOption(
        new Option("--op <work>", "the work: the Maintenance hook, or only a reboot (default hooks)").choices([
          "hooks",
          "reboot",
        ]),
      )
      .addOption(
        new Option(
          "--reboot <when>",
          "reboot a host if a hook asks, if the distribution wants it too, or always (default if-asked; with --op reboot always)",
        ).choices(["if-asked", "if-required", "always"]),
      )
      .option("--agent-wait <duration>", help.agentWait)
      .option("--reboot-wait <duration>", "how long a host may take to come back from a reboot (default 15m)")
      .option("--grace <duration>", "time between TERM and KILL of a hook at its deadline (default 5s)"),
  );
}

/** Declares what becomes of instances. */
function declareInstanceFlags(command: Command): Command {
  return declareStopFlags(command.addOption(returnOption()));
}

const returnOption = () =>
  new Option(
    "--return <which>",
    "instances that come back to a host after its turn: none, those whose home it is, or all it had (default preferred)",
  ).choices(["none", "preferred", "exact"]);

function declareStopFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--consent-stop <instance>",
        "an instance that may be shut down for its host's turn although its policy does not say so; may be repeated",
      ).argParser(collect),
    )
    .addOption(
      new Option(
        "--on-drain-failure <how>",
        "what becomes of instances that had moved when the drain of their host failed (default stay)",
      ).choices(["stay", "return"]),
    );
}

/** Declares the options of `drain` and `restore`. */
export function declareTurnFlags(command: Command, verb: "drain" | "restore"): Command {
  command.option("--forced", help.forced).option("--max-out <n>", `${maxOutHelp} (default: all that are named)`);
  return declareMoveFlags(verb === "drain" ? declareStopFlags(command) : command.addOption(returnOption()));
}

/** Declares the options of runs that move instances and nothing else. */
export function declareMoveFlags(command: Command): Command {
  return command
    .option("--maintenance-wait <duration>", "how long the moves of a host may take (default 30m)")
    .option("--agent-wait <duration>", help.agentWait)
    .option("--detach", "print the id of the run and return at once");
}

/** Reads the run options; throws wrong use in one line. */
export function parseRunOptions(flags: RunFlags): RunOptionValues {
  const values: RunOptionValues = parseRollingFlags(flags);
  if (flags.forced) values.forced = true;
  for (const [field, key, flag] of durations) {
    const text = flags[key];
    if (text !== undefined) values[field] = BigInt(parseDuration(flag, text));
  }
  for (const name of ["onFailure", "op", "reboot", "return", "onDrainFailure"] as const)
    if (flags[name] !== undefined) values[name] = flags[name];
  if (flags.consentStop !== undefined) values.consentStop = namesOf("--consent-stop", flags.consentStop);
  const payload = readPayload(flags);
  if (payload !== undefined) {
    // The agent splits the same way; an open quote is better found before anything starts.
    splitPayload(payload);
    values.payload = payload;
  }
  return values;
}

function readPayload(flags: RunFlags): string | undefined {
  if (flags.payloadFile === undefined) return flags.payload;
  if (flags.payload !== undefined)
    throw wrongUse("payload: both --payload and --payload-file are given", "keep one of them");
  const file = flags.payloadFile;
  try {
    if (statSync(file).size > MAX_PAYLOAD_BYTES)
      throw wrongUse(`--payload-file: ${file} is larger than ${MAX_PAYLOAD_BYTES} bytes`, "shorten it");
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(file));
  } catch (cause) {
    if (cause instanceof SlipwayError) throw cause;
    const text = cause instanceof TypeError ? "is not UTF-8 text" : reasonOf(cause);
    throw wrongUse(`--payload-file: ${file} ${text}`, "name a readable text file");
  }
}

/** An operating system error in plain words. */
export function reasonOf(cause: unknown): string {
  const code = (cause as { code?: unknown }).code;
  if (code === "ENOENT") return "does not exist";
  if (code === "EACCES" || code === "EPERM") return "may not be read by this user";
  if (code === "EISDIR") return "is a directory";
  return cause instanceof Error ? cause.message : String(cause);
}

/** The command line that starts what was planned; `self` is how the command itself is called. */
export function startCommand(scope: ScopeLists, flags: RunFlags, self = "slipway"): string {
  const words = [self, "start"];
  for (const [kind, flag] of Object.entries(scopeFlags)) {
    const names = scope[kind as keyof ScopeLists];
    if (names.length > 0) words.push(flag, quote(names.join(",")));
  }
  const values = parseRunOptions(flags);
  if (values.forced) words.push("--forced");
  for (const [field, , flag] of durations) {
    const ms = values[field];
    if (ms !== undefined) words.push(flag, durationFlag(Number(ms)));
  }
  words.push(...rollingWords(values));
  if (values.onFailure !== undefined) words.push("--on-failure", values.onFailure);
  if (values.op !== undefined) words.push("--op", values.op);
  if (values.reboot !== undefined) words.push("--reboot", values.reboot);
  if (values.return !== undefined) words.push("--return", values.return);
  for (const name of values.consentStop ?? []) words.push("--consent-stop", quote(name));
  if (values.onDrainFailure !== undefined) words.push("--on-drain-failure", values.onDrainFailure);
  if (flags.payloadFile !== undefined) words.push("--payload-file", quote(flags.payloadFile));
  else if (flags.payload !== undefined) words.push("--payload", quote(flags.payload));
  return words.join(" ");
}
