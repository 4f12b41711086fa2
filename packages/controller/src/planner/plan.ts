import { naturalCompare, nearest, SlipwayError, splitPayload } from "@slipway/shared";
import type { PlannedHost } from "../domain/events.ts";
import { defaultOptions, type Reason, type RunOptions, type Scope, type StepName } from "../domain/words.ts";
import { checkMoves, type Evacuation, rehearseRun, type Surroundings } from "./evacuation.ts";

/** What the planner knows of a host of the fleet. */
export interface KnownHost {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly connected: boolean;
  /** For people: "last seen ..." or "never seen". */
  readonly lastSeen: string;
  readonly hooksDir: string;
  readonly hooksProblem: string;
  readonly hooks: readonly { stage: string; file: string; sha256: string; problem: string }[];
  readonly cordonedBy: readonly string[];
}

export interface Plan {
  readonly scope: Scope;
  readonly options: RunOptions;
  /** In the order of the run. */
  readonly hosts: readonly PlannedHost[];
  readonly steps: Readonly<Record<string, readonly StepName[]>>;
  /** Hosts that would be skipped, as far as can be known without running a hook. */
  readonly skipped: readonly Reason[];
  /** Why a run of this plan would fail before it changed anything. */
  readonly blockers: readonly Reason[];
  readonly warnings: readonly Reason[];
  /** Instances: where they go, who is stopped by what right, in numbers. Without the blockers and warnings, which are above. */
  readonly evacuation: Pick<Evacuation, "hosts" | "moves" | "floor">;
}

/** Seven days; far below 2^31 milliseconds, where timers wrap around. */
const MAX_DURATION_MS = 7 * 86_400_000;

/** Cluster of a host that carries no such label. */
export const NO_CLUSTER = "default";

export function clusterOf(labels: Readonly<Record<string, string>>): string {
  return labels["cluster"] || NO_CLUSTER;
}

/** The scope that a request means. Errors: `bad-input` unless exactly one kind is given. */
export function scopeOf(given: {
  hosts: readonly string[];
  clusters: readonly string[];
  pods: readonly string[];
  zones: readonly string[];
}): Scope {
  const kinds = (["hosts", "clusters", "pods", "zones"] as const).filter((kind) => given[kind].length > 0);
  const kind = kinds[0];
  if (kind === undefined)
    throw new SlipwayError("bad-input", "scope: nothing is chosen", {
      fix: "give one of --hosts, --cluster, --pod, --zone",
    });
  if (kinds.length > 1) {
    const both = kinds.map((k) => `${k} ${given[k].join(",")}`).join(" and ");
    throw new SlipwayError("bad-input", `scope: ${both} were given`, { fix: "choose exactly one kind" });
  }
  return { kind, names: [...new Set(given[kind])] };
}

/**
 * Fills in defaults and checks. Errors: `bad-input`, among them CloudStack's rule that the timeout must not be below the
 * ping interval (equal is allowed, as its guide says).
 */
export function optionsOf(given: Partial<Omit<RunOptions, "args">>): RunOptions {
  const options: RunOptions = {
    ...defaultOptions,
    ...(given.op === "reboot" ? { reboot: "always" } : {}),
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
  return options;
}

/** Of options for which 0 means that they are not given. */
const mayBeZero = new Set(["maxOutPercent", "bakeMs", "maxFailures"]);

function least(name: string): number {
  return mayBeZero.has(name) ? 0 : 1;
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value))
    throw new SlipwayError("bad-input", `${name}: "${value}" is not known`, { fix: `choose ${allowed.join(" or ")}` });
}

/** The hosts that a scope means, in the order of a run. Errors: `not-found` with the nearest name. */
export function hostsOf(fleet: readonly KnownHost[], scope: Scope): string[] {
  return byCluster(resolve(fleet, scope)).flatMap(([, hosts]) => hosts.map((h) => h.name));
}

function byCluster(hosts: readonly KnownHost[]): [string, KnownHost[]][] {
  return [...Map.groupBy(hosts, (h) => clusterOf(h.labels))];
}

/** Computes what a run would do; the same function makes the run, so `plan` and `start` cannot differ. */
export function planRun(fleet: readonly KnownHost[], scope: Scope, options: RunOptions, around: Surroundings): Plan {
  const chosen = resolve(fleet, scope);
  if (options.op === "drain") refuseEndlessDrain(chosen, options.maxOut);
  const hosts: PlannedHost[] = [];
  let wave = 0;
  for (const [cluster, members] of byCluster(chosen))
    for (const [i, host] of members.entries()) {
      if (i % options.maxOut === 0) wave++;
      hosts.push({ name: host.name, cluster, wave });
    }
  const steps: Record<string, StepName[]> = {};
  const skipped: Reason[] = [];
  const blockers: Reason[] = [];
  const warnings: Reason[] = [];
  const needsHooks = options.op === "hooks" || options.op === "reboot";
  for (const host of chosen) {
    const has = (stage: string) => host.hooks.some((h) => h.stage === stage);
    const problems = host.hooks.filter((h) => h.problem !== "");
    if (!host.connected)
      blockers.push({
        rule: "unreachable",
        subject: host.name,
        text: `${host.name}: its agent is not connected (${host.lastSeen})`,
        fix: `start slipway-agent on ${host.name}, or leave it out`,
      });
    else if (host.hooksProblem !== "" && needsHooks)
      blockers.push({
        rule: "hooks-dir",
        subject: host.name,
        text: `${host.name}: ${host.hooksProblem}`,
        fix: "set rolling.maintenance.hooks.dir",
      });
    for (const hook of needsHooks ? problems : [])
      blockers.push({
        rule: "invalid-hook",
        subject: host.name,
        text: `${host.name}: ${hook.stage} hook: ${hook.problem}`,
        fix: "",
      });
    if (options.op === "hooks" && host.connected && host.hooksProblem === "" && !has("Maintenance")) {
      skipped.push({
        rule: "no-maintenance-hook",
        subject: host.name,
        text: `${host.name}: there is no Maintenance hook on the host`,
        fix: `put one into ${host.hooksDir || "its hooks directory"}`,
      });
    }
    if (host.cordonedBy.length > 0 && options.op !== "restore" && options.op !== "move")
      warnings.push({
        rule: "already-cordoned",
        subject: host.name,
        text: `${host.name} is cordoned already (${host.cordonedBy.map((c) => (c === "operator" ? "by an operator" : `by run ${c}`)).join(", ")})`,
        fix: host.cordonedBy.includes("operator")
          ? "it stays cordoned after the run; slipway uncordon puts it back"
          : "",
      });
    steps[host.name] = stepsOf(has, options);
  }
  if (needsHooks) warnings.push(...differingHooks(chosen));
  const evacuation = evacuationOf(
    fleet,
    hosts.filter((h) => !skipped.some((s) => s.subject === h.name)),
    options,
    around,
  );
  const away = new Set(chosen.filter((h) => !h.connected).map((h) => h.name));
  // That its agent is away has been said.
  blockers.push(...evacuation.blockers.filter((b) => !b.isUnknown || !away.has(b.host)).map((b) => b.reason));
  warnings.push(...evacuation.warnings);
  return { scope, options, hosts, steps, skipped, blockers, warnings, evacuation };
}

/** What is drained stays out, so the hosts beyond the budget would be waited for without an end. Errors: `bad-input`. */
function refuseEndlessDrain(chosen: readonly KnownHost[], maxOut: number): void {
  for (const [cluster, { length }] of byCluster(chosen))
    if (length > maxOut)
      throw new SlipwayError(
        "bad-input",
        `drain: ${length} hosts of cluster ${cluster} would stay out together, and at most ${maxOut} may`,
        { fix: `drain fewer at once, or allow it: --max-out ${length}` },
      );
}

function evacuationOf(
  fleet: readonly KnownHost[],
  hosts: readonly PlannedHost[],
  options: RunOptions,
  around: Surroundings,
): Evacuation {
  const cordoned = new Map(fleet.filter((h) => h.cordonedBy.length > 0).map((h) => [h.name, h.cordonedBy]));
  const closed = (host: string): Reason | undefined => {
    const holders = cordoned.get(host);
    if (!holders) return undefined;
    const who = holders.map((h) => (h === "operator" ? "an operator" : `run ${h}`)).join(" and ");
    const text = `${host} is cordoned by ${who}`;
    return { rule: "cordoned", subject: host, text, fix: `slipway uncordon ${host}` };
  };
  return options.op === "move"
    ? checkMoves(hosts, options.moves, around, closed)
    : rehearseRun(hosts, options, around, closed);
}

function stepsOf(has: (stage: string) => boolean, options: RunOptions): StepName[] {
  if (options.op === "drain") return ["gate", "cordon", "drain"];
  if (options.op === "restore") return ["restore", "uncordon"];
  if (options.op === "move") return ["move"];
  const always: StepName[] = has("PreFlight") ? ["inspect", "PreFlight"] : ["inspect"];
  if (options.op === "hooks" && !has("Maintenance")) return always;
  return [
    ...always,
    ...(has("PreMaintenance") ? (["PreMaintenance"] as const) : []),
    "gate",
    "cordon",
    "drain",
    ...(options.op === "hooks" ? (["Maintenance"] as const) : []),
    ...(options.reboot === "always" ? (["reboot"] as const) : []),
    "restore",
    "uncordon",
    ...(has("PostMaintenance") ? (["PostMaintenance"] as const) : []),
  ];
}

/** Hosts of one cluster whose hooks are not the same usually are so by mistake. */
function differingHooks(hosts: readonly KnownHost[]): Reason[] {
  const out: Reason[] = [];
  const groups = Map.groupBy(
    hosts.filter((h) => h.connected),
    (h) => clusterOf(h.labels),
  );
  for (const [cluster, members] of groups) {
    for (const stage of new Set(members.flatMap((m) => m.hooks.map((h) => h.stage)))) {
      const hashes = Map.groupBy(members, (m) => m.hooks.find((h) => h.stage === stage)?.sha256 ?? "none");
      if (hashes.size < 2) continue;
      const odd = [...hashes.values()].sort((a, b) => a.length - b.length)[0] ?? [];
      out.push({
        rule: "hooks-differ",
        subject: cluster,
        text: `${stage} hooks differ within cluster ${cluster}: ${odd.map((h) => h.name).join(", ")} ${odd.length === 1 ? "has" : "have"} another one than the rest`,
        fix: `see slipway hooks diff --cluster ${cluster}`,
      });
    }
  }
  return out;
}

/** The hosts of a scope in the order of the run: grouped by cluster, in the given order, else sorted naturally by name. */
function resolve(fleet: readonly KnownHost[], scope: Scope): KnownHost[] {
  const sorted = [...fleet].sort((a, b) => naturalCompare(a.name, b.name));
  const label = { hosts: "", clusters: "cluster", pods: "pod", zones: "zone" }[scope.kind];
  const nameOf = (h: KnownHost) =>
    scope.kind === "hosts" ? h.name : scope.kind === "clusters" ? clusterOf(h.labels) : (h.labels[label] ?? "");
  const chosen: KnownHost[] = [];
  for (const name of scope.names) {
    const found = sorted.filter((h) => nameOf(h) === name);
    if (found.length === 0) {
      const kind = scope.kind.slice(0, -1);
      const near = nearest(name, new Set(sorted.map(nameOf).filter((n) => n !== "")));
      throw new SlipwayError("not-found", `${kind} ${JSON.stringify(name)}: there is none of that name`, {
        fix: near
          ? `did you mean ${near}?`
          : fleet.length === 0
            ? "no host has ever connected"
            : "see slipway host list",
      });
    }
    chosen.push(...found.filter((h) => !chosen.includes(h)));
  }
  if (scope.kind === "pods" || scope.kind === "zones")
    chosen.sort((a, b) => naturalCompare(clusterOf(a.labels), clusterOf(b.labels)) || naturalCompare(a.name, b.name));
  return chosen;
}
