import type { FleetView } from "../domain/fleet.ts";
import { type HostRun, type Run, stepInHand } from "../domain/run.ts";
import type { Reason } from "../domain/words.ts";

/** A host that is out of service, or about to be, and why. */
export interface OutHost {
  readonly name: string;
  readonly why: string;
}

/**
 * Hosts of the cluster of `host` that are out together with it if it goes now: cordoned by anybody, on their way out in this
 * run, or asking the gate before it. A host that failed in a forced run is not counted: `forced` is the operator's recorded
 * decision to go on without such hosts.
 */
export function outTogether(run: Run, host: HostRun, fleet: FleetView): OutHost[] {
  const out = new Map<string, string>();
  for (const fact of fleet.cordonedIn(host.cluster)) {
    const foreign = fact.cordonedBy.filter((holder) => holder !== run.spec.run);
    if (foreign.length > 0)
      out.set(
        fact.name,
        `cordoned by ${foreign.map((f) => (f === "operator" ? "an operator" : `run ${f}`)).join(" and ")}`,
      );
  }
  for (const other of run.hosts) {
    if (other.cluster !== host.cluster || other.name === host.name) continue;
    if (other.cordoned && !(run.spec.options.forced && other.outcome === "failed"))
      out.set(other.name, other.outcome === "failed" ? "cordoned since it failed" : "in maintenance");
    else if (other.outcome === undefined && isLeaving(run, other, host)) out.set(other.name, "about to go");
  }
  out.delete(host.name);
  return [...out].map(([name, why]) => ({ name, why }));
}

/** Has the gate let `other` go, or was it asked for `other` before `host`? Of two questions, the later one counts the earlier. */
function isLeaving(run: Run, other: HostRun, host: HostRun): boolean {
  const last = other.steps.at(-1);
  if (last?.step !== "gate") return false;
  if (stepInHand(other) === undefined) return last.result?.verdict === "ok";
  const own = host.steps.at(-1);
  const before = last.startedT - (own?.step === "gate" ? own.startedT : Number.POSITIVE_INFINITY);
  return before < 0 || (before === 0 && run.hosts.indexOf(other) < run.hosts.indexOf(host));
}

/** Why the budget does not let `host` go with these others out; undefined when it does. */
export function budgetDenial(host: HostRun, out: readonly OutHost[], maxOut: number): Reason | undefined {
  if (out.length + 1 <= maxOut) return undefined;
  return {
    rule: "max-out",
    subject: host.cluster,
    text: `${host.name} may not go out: ${out.map((o) => `${o.name} is ${o.why}`).join(", ")}, and at most ${maxOut} of cluster ${host.cluster} may be out at once`,
    fix: `bring ${out.map((o) => o.name).join(", ")} back (slipway uncordon HOST), or start with a larger --max-out`,
  };
}
