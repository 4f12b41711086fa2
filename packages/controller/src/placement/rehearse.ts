import { naturalCompare, nearest } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { ScheduledMove } from "../domain/schedule.ts";
import type { Reason, RunOptions } from "../domain/words.ts";
import { type Duties, dutiesOn, type Left, type Stop } from "./duties.ts";
import { failOver } from "./failover.ts";
import { pushAside, withoutRoom } from "./make-room.ts";
import { pictureProblem } from "./picture.ts";
import { placeOn } from "./place.ts";
import { returnTo } from "./returns.ts";
import { guestOf, put, remove, type Site, siteOf } from "./room.ts";
import type { Blocker, InFlight, Move, Mover, Role } from "./types.ts";

export interface RehearsalOptions extends Pick<RunOptions, "consentStop" | "op" | "reboot" | "return"> {
  /** Engine time, to judge how old the pictures of the hosts are. */
  readonly nowT: number;
  /**
   * Hosts that take nothing, for a reason that outlasts this run and that the pictures do not tell: cordoned by an operator, out for
   * another run. What this run itself cordons does not belong here.
   */
  readonly closed?: ReadonlyMap<string, Reason>;
  /** Hosts whose turn is over. */
  readonly done?: ReadonlySet<string>;
  /** What the run moved away so far, by host. */
  readonly away?: ReadonlyMap<string, readonly string[]>;
  readonly inFlight?: readonly InFlight[];
  /** Instances (uuid) that are off now and will be started again where they are. */
  readonly comingBack?: ReadonlySet<string>;
  /** What a schedule has chosen, by wave counted from 1: made where the rules allow it, else another way is looked for. */
  readonly scheduled?: readonly ScheduledMove[];
}

/** What becomes of the instances of one host in its turn. */
export interface HostTurn {
  readonly host: string;
  /** Counted from 1. */
  readonly wave: number;
  readonly moves: readonly Move[];
  readonly stops: readonly Stop[];
  readonly leaves: readonly Left[];
  /** They come back right after the turn. */
  readonly returns: readonly Move[];
  readonly blockers: readonly Blocker[];
}

export interface Rehearsal {
  readonly hosts: readonly HostTurn[];
  /** Moves between hosts that stay in, made before the drains of their wave. */
  readonly makeRoom: readonly (Move & { readonly wave: number })[];
  /** Of all hosts, in their order; empty: the whole run can be done. */
  readonly blockers: readonly Blocker[];
  readonly warnings: readonly Reason[];
  /** Moves of the whole run, those that make room and returns included. */
  readonly moves: number;
  /** The fewest that there can be: one for each instance that has to leave. */
  readonly floor: number;
}

/**
 * Plays a run through, wave by wave, on copies: what one wave moves is there for the next. `waves`: names of hosts that are out
 * together. An instance that is in the way is named, and taken as dealt with for the rest of the rehearsal.
 */
export function rehearse(
  hosts: readonly HostInventory[],
  waves: readonly (readonly string[])[],
  options: RehearsalOptions,
  pool: PoolConfig,
): Rehearsal {
  const comingBack = options.comingBack ?? new Set<string>();
  const known = [...hosts].sort((a, b) => naturalCompare(a.host, b.host));
  let sites = new Map<string, Site>(known.map((h) => [h.host, siteOf(h, pool, comingBack)]));
  for (const { instance, from, to } of options.inFlight ?? []) {
    const site = sites.get(to);
    const guest = guestOf(instance, pool);
    if (site) put(site, guest, guest.arrival);
    const source = sites.get(from);
    if (site && source) remove(source, instance.uuid);
  }
  const problems = new Map(known.map((h) => [h.host, pictureProblem(h, options.nowT)]));
  const away = new Map([...(options.away ?? [])].map(([host, uuids]) => [host, new Set(uuids)]));
  const turns: HostTurn[] = [];
  const warnings: Reason[] = [];
  const haveToLeave = new Set<string>();
  const makeRoom: (Move & { wave: number })[] = [];
  const isAtHome = new Map(known.map((h) => [h.host, new Set(h.inventory.instances.map((i) => i.uuid))]));
  const scheduled = Map.groupBy(options.scheduled ?? [], (m) => m.wave);
  const turnOf = new Map(waves.flatMap((wave, w) => wave.map((host) => [host, w] as const)));
  const names = new Set(
    known.filter((h) => turnOf.has(h.host)).flatMap((h) => h.inventory.instances.map((i) => i.name)),
  );
  for (const name of options.consentStop) if (!names.has(name)) warnings.push(unknownConsent(name, names));

  for (const [w, wave] of waves.entries()) {
    const roles = rolesIn(w, turnOf, known, problems, options);
    const chosen = scheduled.get(w + 1) ?? [];
    const aside = pushAside(chosen, sites, roles, pool);
    for (const move of aside.made) makeRoom.push({ ...move, wave: w + 1 });
    const wanted = new Map(chosen.filter((m) => m.kind === "drain").map((m) => [m.uuid, m]));
    const todo = new Map<string, Duties>();
    const unknown = new Map<string, Blocker>();
    for (const host of wave) {
      const site = sites.get(host);
      const problem = site ? problems.get(host) : noPicture(host);
      if (problem) unknown.set(host, { host, uuid: "", name: "", reason: problem, targets: [], missingMib: 0 });
      else if (site && options.op !== "restore") todo.set(host, dutiesOn(site, options));
    }
    const all = [...todo.values()];
    const { placement, after } = placeOn(
      sites,
      roles,
      all.flatMap((d) => d.movers.map((m) => aimed(m, wanted))),
      new Set(all.flatMap((d) => [...d.mayStop])),
      pool,
    );
    sites = after;
    for (const move of placement.moves) {
      const source = sites.get(move.from);
      if (source) remove(source, move.uuid);
      if (isAtHome.get(move.from)?.has(move.uuid)) haveToLeave.add(move.uuid);
      const gone = away.get(move.from) ?? new Set();
      away.set(move.from, gone.add(move.uuid));
    }
    const failing = [...todo].flatMap(([host, d]) =>
      d.leaves.filter((l) => l.how === "failover").map(({ uuid }) => ({ uuid, host })),
    );
    const over = failOver(sites, roles, failing, options);
    const places = new Map(over.moves.map((m) => [m.uuid, m.to]));
    warnings.push(...all.flatMap((d) => d.warnings), ...placement.warnings, ...over.warnings);
    for (const host of wave) {
      const duty = todo.get(host);
      const picture = unknown.get(host);
      const stops = placement.stops
        .filter((s) => s.from === host)
        .map((s): Stop => ({ uuid: s.uuid, name: s.name, how: "shutdown-restart", because: s.reason }));
      turns.push({
        host,
        wave: w + 1,
        moves: placement.moves.filter((m) => m.from === host),
        stops: [...(duty?.stops ?? []), ...stops],
        leaves: (duty?.leaves ?? []).map((l) => ({ ...l, to: places.get(l.uuid) ?? "" })),
        returns: [],
        blockers: [
          ...(picture ? [picture] : []),
          ...(duty?.blockers ?? []),
          ...placement.blockers.filter((b) => b.host === host).map((b) => withoutRoom(b, aside.refused)),
          ...over.blockers.filter((b) => b.host === host),
        ],
      });
    }
    if (options.op === "drain") continue;
    for (const host of wave) {
      if (unknown.has(host) || options.closed?.has(host)) continue;
      const closed = (name: string) => problems.get(name) !== undefined;
      const back = returnTo(host, sites, pool, options.return, away.get(host) ?? new Set(), closed);
      warnings.push(...back.refused);
      const at = turns.findIndex((t) => t.host === host && t.wave === w + 1);
      const turn = turns[at];
      if (turn) turns[at] = { ...turn, returns: back.moves };
    }
  }
  return {
    hosts: turns,
    makeRoom,
    blockers: turns.flatMap((t) => t.blockers),
    warnings,
    moves: makeRoom.length + turns.reduce((sum, t) => sum + t.moves.length + t.returns.length, 0),
    floor: haveToLeave.size,
  };
}

function aimed(mover: Mover, wanted: ReadonlyMap<string, ScheduledMove>): Mover {
  const move = wanted.get(mover.uuid);
  return move?.from === mover.from ? { ...mover, wanted: move.to } : mover;
}

function rolesIn(
  w: number,
  turnOf: ReadonlyMap<string, number>,
  known: readonly HostInventory[],
  problems: ReadonlyMap<string, Reason | undefined>,
  options: RehearsalOptions,
): Map<string, Role> {
  const roles = new Map<string, Role>();
  for (const { host } of known) {
    const turn = turnOf.get(host) ?? -1;
    const because = problems.get(host) ?? options.closed?.get(host);
    if (turn === w) roles.set(host, { is: "source" });
    else if (turn >= 0 && turn < w && options.op === "drain")
      roles.set(host, { is: "closed", because: drained(host, turn + 1) });
    else if (because) roles.set(host, { is: "closed", because });
    else if (turn >= 0 && turn < w) roles.set(host, { is: "done" });
    else if (options.done?.has(host)) roles.set(host, { is: "done" });
    else if (turn > w) roles.set(host, { is: "later", turn: turn - w });
    else roles.set(host, { is: "target" });
  }
  return roles;
}

function unknownConsent(name: string, names: ReadonlySet<string>): Reason {
  const near = nearest(name, names);
  return {
    rule: "unknown-instance",
    subject: name,
    text: `consent to stop ${JSON.stringify(name)}: no instance of that name is on the hosts of this run`,
    fix: near ? `did you mean ${near}?` : "see slipway instance list",
  };
}

function drained(host: string, wave: number): Reason {
  return { rule: "drained", subject: host, text: `${host} is drained by this run itself (wave ${wave})`, fix: "" };
}

function noPicture(host: string): Reason {
  return {
    rule: "no-picture",
    subject: host,
    text: `${host} has never told what runs there`,
    fix: `look at slipway-agent on ${host}`,
  };
}
