import type { ServiceTurn } from "../../domain/action.ts";
import type { FleetView, StandingEntry } from "../../domain/fleet.ts";
import type { QuorumConfig, ServiceConfig } from "../../domain/quorum.ts";
import { goesByLabels, noQuorum, servicesFor } from "../../domain/quorum.ts";
import type { HostRun, LedgerRecord, Run } from "../../domain/run.ts";
import type { Reason } from "../../domain/words.ts";
import type { Concern } from "../turn.ts";

/** What the pool file, and the ledger, have on a host just now. */
export function concernOf(run: Run, host: HostRun, fleet: FleetView): Concern {
  const quorum = fleet.quorum ?? noQuorum;
  const services = toStop(fleet, host.name);
  return {
    isWatched: quorum.probes.length > 0 || quorum.groups.length > 0,
    // Not to know of any is not to have none.
    hasServices: "rule" in services || services.length > 0,
    isOwed: standingOf(run, host).length > 0 || leftBehind(run, host, fleet).length > 0,
  };
}

/** "gluster", "systemd nfs-server.service". */
export function serviceName({ kind, name }: ServiceConfig): string {
  return name === "" ? kind : `${kind} ${name}`;
}

/** What is stopped for the turn of a host as the pool file stands. A reason: it cannot be told. */
export function toStop(fleet: FleetView, host: string): readonly ServiceTurn[] | Reason {
  const quorum = fleet.quorum ?? noQuorum;
  const labels = fleet.host(host)?.labels;
  if (labels !== undefined || !goesByLabels(quorum, host)) return servicesOf(quorum, host, labels ?? {});
  return {
    rule: "labels-unknown",
    subject: host,
    text: `which services are stopped on ${host} goes by its labels, and they are not known`,
    fix: `start slipway-agent on ${host}, or name the host in the pool file's rule`,
  };
}

/** What is stopped for the turn of a host, in this order; the first rule that matches says it. */
export function servicesOf(
  quorum: QuorumConfig,
  host: string,
  labels: Readonly<Record<string, string>>,
): readonly ServiceTurn[] {
  const turns: ServiceTurn[] = [];
  for (const service of servicesFor(quorum, host, labels)) {
    if (turns.some((t) => t.service.kind === service.kind && t.service.name === service.name)) continue;
    const plain = subjectOf(service);
    const isTaken = turns.some((t) => t.subject === plain);
    turns.push({ subject: isTaken ? `${plain}.${turns.length + 1}` : plain, service });
  }
  return turns;
}

/** Names of units have characters that subjects do not. */
function subjectOf({ kind, name }: ServiceConfig): string {
  const plain = name.replaceAll(/[^A-Za-z0-9._@-]/g, "_").slice(0, 90);
  return `${kind}@${plain}`.replace(/[^A-Za-z0-9]+$/, "");
}

/** Services that stand in this run's ledger as stopped, as they were stopped. */
export function standingOf(run: Run, host: HostRun): LedgerRecord[] {
  return run.ledger.filter((l) => l.host === host.name && l.kind === "service" && l.closedAt === undefined);
}

/** And in those of runs that are over. */
export function leftBehind(run: Run, host: HostRun, fleet: FleetView): StandingEntry[] {
  return fleet.ledgerOf(host.name).filter((e) => e.entry.kind === "service" && e.runEnded && e.run !== run.spec.run);
}
