import type { FleetView, HostFact } from "../domain/fleet.ts";
import type { Cordons } from "./cordons.ts";
import type { Roster } from "./ports.ts";

/** The fleet as the engine sees it: who is connected, and who is cordoned by whom. */
export function fleetView(roster: Roster, cordons: Cordons, startedT: number): FleetView {
  const fact = (name: string): HostFact | undefined => {
    const host = roster.host(name);
    if (!host) return undefined;
    const cordonedBy = [...new Set(cordons.of(name).map((e) => e.run))];
    if (host.cordonedByOperator) cordonedBy.push("operator");
    return { name, connected: host.connected, sinceT: host.sinceT, lastSeen: host.lastSeen, cordonedBy };
  };
  return {
    startedT,
    host: fact,
    cordonedIn: (cluster) =>
      roster
        .members(cluster)
        .map(fact)
        .filter((f) => f !== undefined)
        .filter((f) => f.cordonedBy.length > 0),
  };
}
