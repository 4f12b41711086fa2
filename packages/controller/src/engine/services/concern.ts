import type { ServiceTurn } from "../../domain/action.ts";
import type { FleetView, StandingEntry } from "../../domain/fleet.ts";
import type { QuorumConfig, ServiceConfig } from "../../domain/quorum.ts";
import { noQuorum, servicesFor } from "../../domain/quorum.ts";
import type { HostRun, LedgerRecord, Run } from "../../domain/run.ts";
import type { Concern } from "../turn.ts";

/** What the pool file, and the ledger, have on a host just now. */
export function concernOf(run: Run, host: HostRun, fleet: FleetView): Concern {
  const quorum = fleet.quorum ?? noQuorum;
  return {
    isWatched: quorum.probes.length > 0 || quorum.groups.length > 0,
    hasServices: servicesOf(quorum, host.name, fleet.host(host.name)?.labels ?? {}).length > 0,
    isOwed: standingOf(run, host).length > 0 || leftBehind(run, host, fleet).length > 0,
  };
}

/** "gluster", "systemd nfs-server.service". */
export function serviceName({ kind, name }: ServiceConfig): string {
  return name === "" ? kind : `${kind} ${name}`;
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
