import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import { rivals } from "./arrange.ts";
import { guestOf, put, shortages, siteOf } from "./room.ts";
import { sentence } from "./text.ts";
import type { InFlight } from "./types.ts";

/**
 * Why a host does not take an instance any more that it was chosen for, as one sentence about it; undefined while it does. `coming`:
 * all that is on its way there, the instance included.
 */
export function noPlaceAnyMore(
  uuid: string,
  host: HostInventory,
  coming: readonly InFlight[],
  pool: PoolConfig,
  comingBack: ReadonlySet<string>,
): string | undefined {
  const site = siteOf(host, pool, comingBack);
  const own = coming.find((f) => f.instance.uuid === uuid);
  if (own === undefined) return undefined;
  for (const { instance } of coming) {
    const guest = guestOf(instance, pool);
    if (instance.uuid !== uuid) put(site, guest, guest.arrival);
  }
  const guest = guestOf(own.instance, pool);
  const [short] = shortages(site.free, guest.arrival);
  if (short) return `${sentence([host.host], short.phrase)} by now`;
  const [rival] = rivals(site, guest);
  return rival && `${host.host} runs ${rival.instance.name} by now, which is kept apart from it`;
}
