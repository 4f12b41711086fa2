import { SlipwayError, splitPayload } from "@slipway/shared";
import { parseWindows } from "../domain/window.ts";
import { defaultOptions, type RunOptions, type Scope } from "../domain/words.ts";

/** Seven days; far below 2^31 milliseconds, where timers wrap around. */
const MAX_DURATION_MS = 7 * 86_400_000;

/**
 * Fills in defaults and checks; the order of hosts that are not named one by one is free. Errors: `bad-input`, among them CloudStack's
 * rule that the timeout must not be below the ping interval (equal is allowed, as its guide says).
 */
export function optionsOf(given: Partial<Omit<RunOptions, "args">>, scope?: Scope): RunOptions {
  const options: RunOptions = {
    ...defaultOptions,
    ...(scope && scope.kind !== "hosts" ? { order: "free" } : {}),
    ...(given.op === "reboot" ? { reboot: "always" } : {}),
    ...(isMaintenance(given.op) && given.forced !== true ? { maxFailures: 1 } : {}),
    ...given,
    args: splitPayload(given.payload ?? ""),
  };
  for (const [name, value] of Object.entries(options))
    if (typeof value === "number" && (!Number.isSafeInteger(value) || value < least(name) || value > MAX_DURATION_MS))
      throw new SlipwayError("bad-input", `${name}: ${value} is out of range`, {
        fix: "give at least 1 and, for durations, at most 7 days",
      });
  oneOf("on-failure", options.onFailure, ["cordoned", "uncordon"]);
  oneOf("op", options.op, ["hooks", "reboot", "drain", "restore", "move"]);
  oneOf("return", options.return, ["none", "preferred", "exact"]);
  oneOf("on-drain-failure", options.onDrainFailure, ["stay", "return"]);
  oneOf("order", options.order, ["given", "free"]);
  oneOf("approve", options.approve, ["never", "each-wave", "after-canary"]);
  oneOf("reboot", options.reboot, ["if-asked", "if-required", "always"]);
  if (options.op === "reboot" && given.reboot === "if-asked")
    throw new SlipwayError("bad-input", "reboot: if-asked means nothing when the reboot is the work", {
      fix: "choose always or if-required",
    });
  if (options.timeoutMs < options.pingIntervalMs)
    throw new SlipwayError(
      "bad-input",
      `timeout: ${options.timeoutMs / 1000} s is below the ping interval of ${options.pingIntervalMs / 1000} s`,
      { fix: "it must be greater or equal; raise --timeout or lower --ping-interval" },
    );
  checkLimits(options, given);
  // Stored as it was understood, with its zone.
  return options.window.trim() === "" ? options : { ...options, window: parseWindows(options.window).text };
}

function checkLimits(options: RunOptions, given: Partial<RunOptions>): void {
  const bad = (what: string, fix: string) => new SlipwayError("bad-input", what, { fix });
  const percent = (name: string, value: number) => {
    if (!(Number.isSafeInteger(value) && value >= 1 && value <= 100))
      throw bad(`${name}: ${value}% is no share of hosts`, "give 1% to 100%");
  };
  if (options.maxOutPercent !== 0) {
    percent("max-out", options.maxOutPercent);
    if (given.maxOut !== undefined) throw bad("max-out: a number and a share are given", "keep one of them");
  }
  const labels = new Set<string>();
  for (const { label, maxHosts, percent: share } of options.domainLimits) {
    const name = `max-out-per ${label}`;
    if (label === "") throw bad("max-out-per: no label is given", "write for example rack=1");
    if (labels.has(label)) throw bad(`${name}: it is given twice`, "keep one of them");
    labels.add(label);
    if ((maxHosts === undefined) === (share === undefined))
      throw bad(`${name}: it is neither a number of hosts nor a share`, "write for example rack=1 or rack=25%");
    if (share !== undefined) percent(name, share);
    else if (!Number.isSafeInteger(maxHosts) || (maxHosts ?? 0) < 1)
      throw bad(`${name}: ${maxHosts} is no number of hosts`, "give at least 1");
  }
  if (options.canary === "") {
    if (options.bakeMs > 0) throw bad("bake: there is no canary to be watched", "name it with --canary");
    if (options.approve === "after-canary")
      throw bad("approve: after-canary means nothing without a canary", "name it with --canary, or choose each-wave");
  } else if (options.exclude.includes(options.canary))
    throw bad(`canary: ${options.canary} is excluded`, "choose another canary, or do not exclude it");
}

/** Of options for which 0 means that they are not given. */
const mayBeZero = new Set(["maxOutPercent", "bakeMs", "maxFailures"]);

function isMaintenance(op: RunOptions["op"] = defaultOptions.op): boolean {
  return op === "hooks" || op === "reboot";
}

function least(name: string): number {
  return mayBeZero.has(name) ? 0 : 1;
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value))
    throw new SlipwayError("bad-input", `${name}: "${value}" is not known`, { fix: `choose ${allowed.join(" or ")}` });
}
