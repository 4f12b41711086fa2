import type { PoolConfig } from "../domain/pool.ts";
import { rivals } from "./arrange.ts";
import { movesFreely } from "./duties.ts";
import { misfits, ties } from "./obstacles.ts";
import { type Guest, put, remove, type Site, shortages } from "./room.ts";
import { sentence } from "./text.ts";
import type { Aside, Blocker, Move, Role } from "./types.ts";

/** The moves that make room, and those of them that the rules do not allow. */
export interface PushedAside {
  readonly made: readonly Move[];
  /** `why`: one sentence about what is in the way. */
  readonly refused: readonly (Move & { readonly why: string })[];
}

/**
 * Makes the moves by which a schedule makes room on hosts that stay in, one after the other on imagined hosts, which are changed
 * accordingly. What the rules do not allow is left out: what needs the room will say so. One that is on its way holds its room at its
 * target already.
 */
export function pushAside(
  moves: readonly Aside[],
  sites: ReadonlyMap<string, Site>,
  roles: ReadonlyMap<string, Role>,
  pool: PoolConfig,
): PushedAside {
  const made: Move[] = [];
  const refused: (Move & { why: string })[] = [];
  for (const { kind, uuid, name, from, to, failed } of moves) {
    const source = sites.get(from);
    const target = sites.get(to);
    const guest = source?.guests.get(uuid);
    if (kind !== "make-room" || !source || !target || !guest) continue;
    const move = { uuid, name, from, to };
    const why = target.guests.has(uuid) ? undefined : (failed ?? whyNotAside(guest, source, target, roles, pool));
    if (why !== undefined) {
      refused.push({ ...move, why });
      continue;
    }
    remove(source, uuid);
    put(target, guest, guest.arrival);
    made.push(move);
  }
  return { made, refused };
}

function whyNotAside(
  guest: Guest,
  source: Site,
  target: Site,
  roles: ReadonlyMap<string, Role>,
  pool: PoolConfig,
): string | undefined {
  const { instance, settled } = guest;
  for (const { name } of [source, target]) {
    const role = roles.get(name);
    if (role?.is === "source") return `${name} is being emptied itself`;
    if (role?.is === "closed") return role.because.text;
  }
  const [tie] = ties(instance, source.host);
  if (tie) return `it ${tie.phrase}`;
  if (!movesFreely(instance, pool))
    return `it is ${instance.job || instance.state} and its policy is ${settled.policy}`;
  const phrase = (
    misfits(instance, source.host, target.host, pool, settled.policy)[0] ?? shortages(target.free, guest.arrival)[0]
  )?.phrase;
  if (phrase !== undefined) return sentence([target.name], phrase);
  const [rival] = rivals(target, guest);
  return rival && `${target.name} runs ${rival.instance.name}, which is kept apart from it`;
}

/** What fits nowhere may lack the room that could not be made for it. */
export function withoutRoom(blocker: Blocker, refused: PushedAside["refused"]): Blocker {
  if (blocker.targets.length === 0 || refused.length === 0) return blocker;
  const { reason } = blocker;
  const why = refused.map((r) => `; room was to be made on ${r.from} by moving ${r.name} to ${r.to}: ${r.why}`);
  return { ...blocker, reason: { ...reason, text: reason.text + why.join("") } };
}
