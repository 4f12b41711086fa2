import type { PlannedHost } from "../domain/events.ts";
import type { Schedule } from "../domain/schedule.ts";
import { parseWindows } from "../domain/window.ts";
import type { Reason, RunOptions, Scope, StepName } from "../domain/words.ts";
import { checkMoves, type Evacuation, rehearseRun, type Surroundings } from "./evacuation.ts";
import { hookFindings } from "./hooks.ts";
import { type Scheduled, scheduleOf } from "./schedule/index.ts";
import { checkNames, clusterOf, type KnownHost, resolve } from "./scope.ts";
import { stepsOf } from "./steps.ts";
import { fixedWaves, refuseEndlessDrain } from "./waves.ts";
import { tooLongForWindow, windowOutlook } from "./window.ts";

export { optionsOf } from "./options.ts";
export { clusterOf, hostsOf, type KnownHost, NO_CLUSTER, scopeOf } from "./scope.ts";

export interface Plan {
  readonly scope: Scope;
  readonly options: RunOptions;
  /** In the order of the run. */
  readonly hosts: readonly PlannedHost[];
  readonly steps: Readonly<Record<string, readonly StepName[]>>;
  /** Hosts that would be skipped, as far as can be known without running a hook, and those that the operator leaves out. */
  readonly skipped: readonly Reason[];
  /** Why a run of this plan would fail before it changed anything. */
  readonly blockers: readonly Reason[];
  /** Changes each of which would make a schedule possible where there is none; the smallest first. */
  readonly relaxations: readonly Reason[];
  readonly warnings: readonly Reason[];
  /** Absent for work that takes no host out, and where there is none: hosts then go wave by wave as they stand in the order. */
  readonly schedule?: Schedule;
  /** What the schedule was made of. */
  readonly basis?: Basis;
  /** Instances: where they go, who is stopped by what right, in numbers. Without the blockers and warnings, which are above. */
  readonly evacuation: Pick<Evacuation, "hosts" | "makeRoom" | "moves" | "floor">;
}

export type Basis = Pick<Extract<Scheduled, { kind: "schedule" }>, "snapshot" | "uuids" | "assumed">;

type Closed = (host: string) => Reason | undefined;

/**
 * Computes what a run would do; the same function makes the run, so `plan` and `start` cannot differ. Errors: `bad-input`, `not-found`
 * where scope or options name what is not there.
 */
export function planRun(fleet: readonly KnownHost[], scope: Scope, options: RunOptions, around: Surroundings): Plan {
  const chosen = resolve(fleet, scope);
  checkNames(fleet, chosen, options);
  const isExcluded = new Set(options.exclude);
  const members = chosen.filter((h) => !isExcluded.has(h.name));
  if (options.op === "drain") refuseEndlessDrain(fleet, members, options);
  const hooks = hookFindings(members, options);
  const isSkipped = new Set(hooks.skipped.map((s) => s.subject));
  const going = members.filter((h) => !isSkipped.has(h.name));
  const made = wavesOf({ fleet, chosen, members, going, options, around });
  const { evacuation } = made;
  const away = new Set(members.filter((h) => !h.connected).map((h) => h.name));
  const cordoned = options.op === "restore" || options.op === "move" ? [] : members.flatMap(alreadyCordoned);
  return {
    ...{ scope, options, evacuation, hosts: made.hosts },
    ...(made.schedule ? { schedule: made.schedule } : {}),
    ...(made.basis ? { basis: made.basis } : {}),
    steps: Object.fromEntries(members.map((h) => [h.name, stepsOf(h, options, around.quorum)])),
    skipped: [...hooks.skipped, ...options.exclude.map(excluded)],
    // That its agent is away has been said.
    blockers: [
      ...hooks.blockers,
      ...evacuation.blockers.filter((b) => !b.isUnknown || !away.has(b.host)).map((b) => b.reason),
      ...made.blockers,
    ],
    relaxations: made.relaxations,
    warnings: [...cordoned, ...hooks.warnings, ...evacuation.warnings, ...made.warnings],
  };
}

interface Made {
  readonly hosts: readonly PlannedHost[];
  readonly evacuation: Evacuation;
  readonly schedule?: Schedule;
  readonly basis?: Basis;
  readonly blockers: readonly Reason[];
  readonly relaxations: readonly Reason[];
  readonly warnings: readonly Reason[];
}

const nothingMore = { blockers: [], relaxations: [], warnings: [] };

interface Question {
  readonly fleet: readonly KnownHost[];
  /** The scope; without what the operator leaves out; and without those that have nothing to be done. */
  readonly chosen: readonly KnownHost[];
  readonly members: readonly KnownHost[];
  readonly going: readonly KnownHost[];
  readonly options: RunOptions;
  readonly around: Surroundings;
}

/** Who goes when, and what becomes of instances with that. */
function wavesOf(question: Question): Made {
  const { fleet, members, going, options, around } = question;
  const closed = closedOf(fleet);
  const isGoing = new Set(going.map((h) => h.name));
  const inOrder = fixedWaves(fleet, members, options);
  if (options.op === "move")
    return { ...nothingMore, hosts: inOrder, evacuation: checkMoves(inOrder, options.moves, around, closed) };
  const fixed = () => {
    const turns = inOrder.filter((h) => isGoing.has(h.name));
    return { hosts: inOrder, evacuation: rehearseRun(turns, options, around, closed) };
  };
  if (options.op === "restore" || going.length === 0) return { ...nothingMore, ...fixed() };
  const scheduled = askFor(question, closed);
  if (scheduled.kind === "none") return withoutSchedule(scheduled, fixed());
  const { schedule } = scheduled;
  const turns = schedule.turns.map(({ host, cluster, wave }) => ({ name: host, cluster, wave }));
  const evacuation = rehearseRun(turns, options, { ...around, scheduled: schedule.moves }, closed);
  const last = Math.max(...turns.map((h) => h.wave));
  const idle = members.filter((h) => !isGoing.has(h.name));
  const rest = fixedWaves(fleet, idle, options).map((h) => ({ ...h, wave: last + h.wave }));
  const found = {
    ...{ ...nothingMore, ...windowNews(schedule, options, around) },
    ...{ hosts: [...turns, ...rest], evacuation, schedule, basis: scheduled },
  };
  if (evacuation.blockers.length === 0) return found;
  // The planner counts in fewer kinds of room than the rules do; the plain order may do where its own does not.
  const plain = fixed();
  return plain.evacuation.blockers.length > 0 ? found : { ...nothingMore, ...plain, warnings: [noSchedule()] };
}

function windowNews(schedule: Schedule, { window }: RunOptions, { wallMs }: Surroundings) {
  if (window === "" || wallMs === undefined) return {};
  const windows = parseWindows(window);
  const blockers = tooLongForWindow(schedule, windows, wallMs);
  return blockers.length > 0 ? { blockers } : { warnings: windowOutlook(schedule, windows, wallMs) };
}

function askFor({ fleet, chosen, going, options, around }: Question, closed: Closed): Scheduled {
  const labels = new Map(fleet.map((h) => [h.name, h.labels]));
  const isGoing = new Set(going.map((h) => h.name));
  return scheduleOf({
    ...around,
    hosts: chosen.map(({ name, labels: own }) => ({
      ...{ name, cluster: clusterOf(own) },
      state: isGoing.has(name) ? "in-scope" : "excluded",
    })),
    labels: (host) => labels.get(host),
    ...{ closed, options },
  });
}

/** Rules of the planner that the rehearsal knows as well, and tells with the names of what is in the way. */
const told: ReadonlySet<string> = new Set(["no-room", "no-target", "pinned", "anti-affinity", "affinity"]);

function withoutSchedule(
  none: Extract<Scheduled, { kind: "none" }>,
  fixed: { readonly hosts: readonly PlannedHost[]; readonly evacuation: Evacuation },
): Made {
  const { evacuation } = fixed;
  const isBlocked = evacuation.blockers.length > 0;
  if (!isBlocked && !none.proven) return { ...nothingMore, ...fixed, warnings: [noSchedule()] };
  // What is not known is told by the rehearsal already.
  const blockers = isBlocked ? none.reasons.filter((r) => none.proven && !told.has(r.rule)) : none.reasons;
  return { ...nothingMore, ...fixed, blockers, relaxations: none.relaxations };
}

function noSchedule(): Reason {
  const text =
    "no rolling schedule was found; hosts go in waves as they stand in the order, each wave after the one before";
  return { rule: "no-schedule", subject: "schedule", text, fix: "" };
}

function closedOf(fleet: readonly KnownHost[]): Closed {
  const cordoned = new Map(fleet.filter((h) => h.cordonedBy.length > 0).map((h) => [h.name, h.cordonedBy]));
  return (host) => {
    const holders = cordoned.get(host);
    if (!holders) return undefined;
    const who = holders.map((h) => (h === "operator" ? "an operator" : `run ${h}`)).join(" and ");
    const text = `${host} is cordoned by ${who}`;
    return { rule: "cordoned", subject: host, text, fix: `slipway uncordon ${host}` };
  };
}

function alreadyCordoned({ name, cordonedBy }: KnownHost): Reason[] {
  if (cordonedBy.length === 0) return [];
  const who = cordonedBy.map((c) => (c === "operator" ? "by an operator" : `by run ${c}`)).join(", ");
  const fix = cordonedBy.includes("operator") ? "it stays cordoned after the run; slipway uncordon puts it back" : "";
  return [{ rule: "already-cordoned", subject: name, text: `${name} is cordoned already (${who})`, fix }];
}

function excluded(host: string): Reason {
  return { rule: "excluded", subject: host, text: `${host}: left out by --exclude; it keeps its instances`, fix: "" };
}
