import type { PoolConfig } from "../domain/pool.ts";
import type { ScheduledMove } from "../domain/schedule.ts";
import { rivals } from "./arrange.ts";
import { movesFreely } from "./duties.ts";
import { misfits, ties } from "./obstacles.ts";
import { fits, put, remove, type Site } from "./room.ts";
import type { Move, Role } from "./types.ts";

/**
 * Makes the moves by which a schedule makes room on hosts that stay in, one after the other on imagined hosts, which are changed
 * accordingly. What the rules do not allow is left out: what needs the room will say so.
 */
export function pushAside(
  moves: readonly ScheduledMove[],
  sites: ReadonlyMap<string, Site>,
  roles: ReadonlyMap<string, Role>,
  pool: PoolConfig,
): Move[] {
  const made: Move[] = [];
  for (const { kind, uuid, name, from, to } of moves) {
    const source = sites.get(from);
    const target = sites.get(to);
    const guest = source?.guests.get(uuid);
    if (kind !== "make-room" || !source || !target || !guest) continue;
    const isClosed = [from, to].some((host) => roles.get(host)?.is === "closed");
    const mayGo =
      movesFreely(guest.instance, pool) &&
      ties(guest.instance, source.host).length === 0 &&
      misfits(guest.instance, source.host, target.host, pool, guest.settled.policy).length === 0 &&
      rivals(target, guest).length === 0;
    if (isClosed || !mayGo || !fits(target.free, guest.arrival)) continue;
    remove(source, uuid);
    put(target, guest, guest.arrival);
    made.push({ uuid, name, from, to });
  }
  return made;
}
