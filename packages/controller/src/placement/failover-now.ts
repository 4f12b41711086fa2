import { naturalCompare } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { RunOptions } from "../domain/words.ts";
import { dutiesOn } from "./duties.ts";
import { failOver } from "./failover.ts";
import { siteOf } from "./room.ts";
import type { Blocker, Role } from "./types.ts";

/**
 * What stops with the hosts that go out now (role `source`) and would run nowhere, as things are, for want of a place that its platform
 * takes. Hosts without a role are places.
 */
export function failoverBlockers(
  hosts: readonly HostInventory[],
  roles: ReadonlyMap<string, Role>,
  options: Pick<RunOptions, "consentStop" | "op" | "reboot">,
  pool: PoolConfig,
): readonly Blocker[] {
  const known = [...hosts].sort((a, b) => naturalCompare(a.host, b.host));
  const sites = new Map(known.map((h) => [h.host, siteOf(h, pool, new Set())]));
  const leaving = [...sites.values()].flatMap((site) =>
    roles.get(site.name)?.is === "source"
      ? dutiesOn(site, options).leaves.flatMap(({ uuid, how }) =>
          how === "failover" ? [{ uuid, host: site.name }] : [],
        )
      : [],
  );
  return leaving.length === 0 ? [] : failOver(sites, roles, leaving, options).blockers;
}
