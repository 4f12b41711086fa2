import type { Durations } from "../domain/durations.ts";
import type { FleetView, HostFact } from "../domain/fleet.ts";
import type { HostInventory } from "../domain/inventory.ts";
import type { OpenLedger } from "./open-ledger.ts";
import type { Roster } from "./ports.ts";

/** The fleet as the engine sees it: who is connected, who is cordoned by whom, what is where. */
export function fleetView(
  roster: Roster,
  ledger: OpenLedger,
  moment: { readonly startedT: number; readonly wallT: number; readonly usual: Durations },
): FleetView {
  const fact = (name: string): HostFact | undefined => {
    const host = roster.host(name);
    if (!host) return undefined;
    const cordonedBy = ledger.cordoners(name);
    if (host.cordonedByOperator) cordonedBy.push("operator");
    const { connected, sinceT, lastSeen, labels } = host;
    return { name, connected, sinceT, lastSeen, cordonedBy, ...(labels ? { labels } : {}) };
  };
  // One view is one moment, however often it is looked at.
  const pictures = new Map<string, readonly HostInventory[]>();
  return {
    ...moment,
    host: fact,
    cordonedIn: (cluster) =>
      roster
        .members(cluster)
        .map(fact)
        .filter((f) => f !== undefined)
        .filter((f) => f.cordonedBy.length > 0),
    inventoriesOf: (cluster) => {
      const found = pictures.get(cluster) ?? roster.inventories(cluster);
      pictures.set(cluster, found);
      return found;
    },
    pool: roster.pool(),
    ...(roster.quorum ? { quorum: roster.quorum() } : {}),
    ledgerOf: (host) => ledger.of(host),
  };
}
