import type { FleetView } from "../domain/fleet.ts";
import { type HostRun, type Run, stepInHand } from "../domain/run.ts";
import type { Reason } from "../domain/words.ts";
import { hasBegun } from "./rolling/fold.ts";

/** A host that is out of service, or about to be, and why. */
export interface OutHost {
  readonly name: string;
  readonly cluster: string;
  readonly why: string;
  /** A turn of this run that is going on: it ends by itself. */
  readonly isTurn: boolean;
  /** This run has taken it out, or is about to. */
  readonly isOwn: boolean;
}

/**
 * Hosts in the clusters of the run that are out together with `host` if it goes now: cordoned by anybody, on their way out in this
 * run, or asking the gate before it. A host that failed in a run that goes on past failures is not counted: that is the operator's
 * recorded decision to go on without such hosts.
 */
export function outTogether(run: Run, host: HostRun, fleet: FleetView): OutHost[] {
  return outWith(run, host, fleet, (other) => isLeaving(run, other, host));
}

/** The same for a host whose turn has not begun: every turn that has, holds its place until it is over. */
export function placesTaken(run: Run, host: HostRun, fleet: FleetView): OutHost[] {
  return outWith(run, host, fleet, hasBegun);
}

function outWith(run: Run, host: HostRun, fleet: FleetView, isGoing: (other: HostRun) => boolean): OutHost[] {
  const out = new Map<string, OutHost>();
  for (const cluster of clustersOf(run))
    for (const { name, cordonedBy } of fleet.cordonedIn(cluster)) {
      const foreign = cordonedBy.filter((holder) => holder !== run.spec.run);
      if (foreign.length === 0) continue;
      const why = `cordoned by ${foreign.map((f) => (f === "operator" ? "an operator" : `run ${f}`)).join(" and ")}`;
      out.set(name, { name, cluster, why, isTurn: false, isOwn: false });
    }
  for (const other of run.hosts) {
    const { name, cluster, outcome } = other;
    if (name === host.name) continue;
    const isTurn = outcome === undefined;
    if (other.cordoned && !isWrittenOff(run, other)) {
      const why = outcome === "failed" ? "cordoned since it failed" : "in maintenance";
      out.set(name, { name, cluster, why, isTurn, isOwn: true });
    } else if (isTurn && isGoing(other)) out.set(name, { name, cluster, why: "about to go", isTurn, isOwn: true });
  }
  out.delete(host.name);
  return [...out.values()];
}

const clusters = new WeakMap<Run["spec"]["hosts"], readonly string[]>();

function clustersOf({ spec: { hosts } }: Run): readonly string[] {
  const known = clusters.get(hosts) ?? [...new Set(hosts.map((h) => h.cluster))];
  clusters.set(hosts, known);
  return known;
}

function isWrittenOff({ spec: { options } }: Run, { outcome }: HostRun): boolean {
  return outcome === "failed" && (options.forced || options.maxFailures > 0);
}

/** Has the gate let `other` go, or was it asked for `other` before `host`? Of two questions, the later one counts the earlier. */
function isLeaving(run: Run, other: HostRun, host: HostRun): boolean {
  const last = other.steps.at(-1);
  if (last?.step !== "gate") return false;
  if (stepInHand(other) === undefined) return last.result?.verdict === "ok";
  const own = host.steps.at(-1);
  // A host that is through the gate does not wait for one that still asks, and would be waited for by it.
  if (own?.step !== "gate") return false;
  const before = last.startedT - own.startedT;
  return before < 0 || (before === 0 && run.hosts.indexOf(other) < run.hosts.indexOf(host));
}

/** Why a budget does not let `host` go with these others out; undefined when all of them do. */
export function budgetDenial(run: Run, host: HostRun, out: readonly OutHost[], fleet: FleetView): Reason | undefined {
  const { schedule, spec } = run;
  const { name, cluster } = host;
  const maxOut = schedule?.maxOut[cluster] ?? spec.options.maxOut;
  const near = out.filter((o) => o.cluster === cluster);
  if (near.length + 1 > maxOut)
    return denial(host, near, "max-out", cluster, `at most ${maxOut} of cluster ${cluster}`, "--max-out");
  if (schedule === undefined) return undefined;
  const labelOf = (of: string, label: string) => fleet.host(of)?.labels?.[label];
  for (const { label, value, maxHosts } of schedule.domains) {
    if (labelOf(name, label) !== value) continue;
    const among = out.filter((o) => labelOf(o.name, label) === value);
    if (among.length + 1 <= maxHosts) continue;
    const most = `at most ${maxHosts} of ${label} ${value}`;
    return denial(host, among, "max-out", `${label} ${value}`, most, `--max-out-per ${label}`);
  }
  const others = out.filter((o) => o.isOwn && o.cluster !== cluster);
  if (new Set(others.map((o) => o.cluster)).size + 1 <= schedule.maxClusters) return undefined;
  const most =
    schedule.maxClusters === 1 ? "hosts of one cluster" : `hosts of at most ${schedule.maxClusters} clusters`;
  return denial(host, others, "max-clusters", cluster, most, "--max-clusters");
}

function denial(
  host: HostRun,
  out: readonly OutHost[],
  rule: string,
  subject: string,
  most: string,
  flag: string,
): Reason {
  const who = out.map((o) => `${o.name} is ${o.why}`).join(", ");
  const names = out.map((o) => o.name).join(", ");
  const fix = out.every((o) => o.isTurn)
    ? ""
    : `bring ${names} back (slipway uncordon HOST), or start with a larger ${flag}`;
  return { rule, subject, text: `${host.name} may not go out: ${who}, and ${most} may be out at once`, fix };
}
