import { naturalCompare } from "@slipway/shared";
import type { Durations } from "../domain/durations.ts";
import type { PlannedHost } from "../domain/events.ts";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { QuorumConfig } from "../domain/quorum.ts";
import type { ScheduledMove } from "../domain/schedule.ts";
import type { Reason, RunOptions } from "../domain/words.ts";
import {
  type HostTurn,
  type InFlight,
  type Move,
  place,
  type Rehearsal,
  type Role,
  rehearse,
} from "../placement/index.ts";

/** What runs where, and what the operator laid down about it. */
export interface Surroundings {
  /** Hosts of a cluster with what is on them; those that never told are missing. */
  inventories(cluster: string): readonly HostInventory[];
  readonly pool: PoolConfig;
  /** Engine time. */
  readonly nowT: number;
  /** Instances (uuid) that are off, and will be started again where they are. */
  readonly comingBack?: ReadonlySet<string>;
  /** Default: none. */
  readonly quorum?: QuorumConfig;
  /** What steps, turns and migrations usually take. Default: stated guesses. */
  readonly durations?: Durations;
  /** Wall clock, to judge windows; milliseconds since the epoch. Without it windows are not judged. */
  readonly wallMs?: number;
  /** Moves that a schedule has chosen, by the waves of the hosts. */
  readonly scheduled?: readonly ScheduledMove[];
}

/** What becomes of instances in a run: per host in its order, and in numbers. */
export interface Evacuation {
  readonly hosts: readonly HostTurn[];
  /** Moves between hosts that stay in, made before the drains of their wave. */
  readonly makeRoom: readonly (Move & { readonly wave: number })[];
  /** Moves of the whole run, returns included, and the fewest that there can be: one for each instance that has to leave. */
  readonly moves: number;
  readonly floor: number;
  readonly blockers: readonly { readonly host: string; readonly isUnknown: boolean; readonly reason: Reason }[];
  readonly warnings: readonly Reason[];
}

const nothing: Evacuation = { hosts: [], makeRoom: [], moves: 0, floor: 0, blockers: [], warnings: [] };

/**
 * Plays the moves of a whole run through, cluster by cluster. `closed`: hosts that take nothing for a reason that outlasts the run.
 * Hosts without a platform have no instances and are no targets.
 */
export function rehearseRun(
  hosts: readonly PlannedHost[],
  options: RunOptions,
  around: Surroundings,
  closed: (host: string) => Reason | undefined,
): Evacuation {
  if (options.op === "restore") return nothing;
  const found: Rehearsal[] = [];
  for (const [cluster, members] of Map.groupBy(hosts, (h) => h.cluster)) {
    const pictures = around.inventories(cluster);
    const known = new Map(pictures.map((p) => [p.host, p]));
    // Nothing to be moved, whatever else may be wrong with a host.
    if (members.every((h) => known.get(h.name)?.inventory.platform === "none")) continue;
    const shut = new Map<string, Reason>();
    for (const { host, inventory } of pictures) {
      const text = `${host} has no platform for instances`;
      const reason =
        closed(host) ??
        (inventory.platform === "none" ? { rule: "no-platform", subject: host, text, fix: "" } : undefined);
      if (reason) shut.set(host, reason);
    }
    const numbered = [...Map.groupBy(members, (h) => h.wave)].sort(([a], [b]) => a - b);
    const numbers = numbered.map(([number]) => number);
    const waves = numbered.map(([, wave]) =>
      wave.map((h) => h.name).filter((n) => known.get(n)?.inventory.platform !== "none"),
    );
    const { consentStop, op, reboot } = options;
    const back = around.comingBack ? { comingBack: around.comingBack } : {};
    const how = { consentStop, op, reboot, return: options.return, nowT: around.nowT, closed: shut, ...back };
    const scheduled = around.scheduled?.flatMap((move) => {
      // What comes after the last wave of this cluster is none of a drain's business.
      const at = known.has(move.from) ? numbers.findIndex((number) => number >= move.wave) : -1;
      return at < 0 ? [] : [{ ...move, wave: at + 1 }];
    });
    const played = rehearse(pictures, waves, scheduled ? { ...how, scheduled } : how, around.pool);
    const numberOf = (index: number) => numbers[index - 1] ?? index;
    found.push({
      ...played,
      hosts: played.hosts.map((h) => ({ ...h, wave: numberOf(h.wave) })),
      makeRoom: played.makeRoom.map((m) => ({ ...m, wave: numberOf(m.wave) })),
    });
  }
  return {
    hosts: found.flatMap((r) => r.hosts),
    makeRoom: found.flatMap((r) => r.makeRoom),
    moves: found.reduce((sum, r) => sum + r.moves, 0),
    floor: found.reduce((sum, r) => sum + r.floor, 0),
    // Without an instance's name it is the host's picture that is missing.
    blockers: found.flatMap((r) =>
      r.blockers.map(({ host, uuid, name, reason }) => ({
        host,
        isUnknown: uuid === "" && name === "" && reason.subject === host,
        reason,
      })),
    ),
    warnings: warningsOf(found),
  };
}

/** An instance of one cluster is unknown in the others: that is worth saying only where all of them say it, and once. */
function warningsOf(found: readonly Rehearsal[]): Reason[] {
  const all = found.flatMap((r) => r.warnings);
  return all.filter((w, at) => {
    if (w.rule !== "unknown-instance") return true;
    const same = all.filter((o) => o.rule === w.rule && o.subject === w.subject);
    return same.length === found.length && all.indexOf(same[0] as Reason) === at;
  });
}

/** Checks the moves that an operator asks for, one after the other, each with those before it. */
export function checkMoves(
  hosts: readonly PlannedHost[],
  moves: RunOptions["moves"],
  around: Surroundings,
  closed: (host: string) => Reason | undefined,
): Evacuation {
  const blockers: { host: string; isUnknown: boolean; reason: Reason }[] = [];
  const turns = new Map<string, HostTurn>();
  const flights: InFlight[] = [];
  for (const { uuid, name, to } of moves) {
    const refuse = (host: string, rule: string, text: string, fix: string) =>
      blockers.push({ host, isUnknown: false, reason: { rule, subject: name || uuid, text, fix } });
    const at = hosts.flatMap((h) => {
      const picture = around.inventories(h.cluster).find((p) => p.host === h.name);
      const instance = picture?.inventory.instances.find((i) => i.uuid === uuid && i.state !== "shutoff");
      return instance ? [{ ...h, instance }] : [];
    });
    const [from, second] = at;
    if (!from) {
      const where = hosts.map((h) => h.name).sort(naturalCompare);
      refuse(
        where[0] ?? "",
        "no-instance",
        `${name || uuid} does not run on ${where.join(", ")}`,
        "see slipway instance list",
      );
      continue;
    }
    if (second) {
      refuse(
        from.name,
        "doubled",
        `${from.instance.name} runs on ${at.map((h) => h.name).join(" and ")}`,
        "end one of them",
      );
      continue;
    }
    const pictures = around.inventories(from.cluster);
    if (from.name === to || !pictures.some((p) => p.host === to)) {
      const text = from.name === to ? `${name} is on ${to} already` : `${to} is no host of cluster ${from.cluster}`;
      refuse(from.name, "no-target", text, "choose another host of its cluster");
      continue;
    }
    const roles = new Map(
      pictures.map(({ host }): [string, Role] => {
        const notAsked = { rule: "not-asked", subject: host, text: `${host} is not where it was asked to go`, fix: "" };
        const because = host === to ? closed(host) : notAsked;
        return [host, because ? { is: "closed", because } : { is: "target" }];
      }),
    );
    const question = {
      hosts: pictures,
      roles,
      movers: [{ uuid, from: from.name }],
      inFlight: flights,
      pool: around.pool,
    };
    const { blockers: found } = place(question);
    for (const { reason } of found) blockers.push({ host: from.name, isUnknown: false, reason });
    flights.push({ instance: from.instance, from: from.name, to });
    const turn = turns.get(from.name) ?? {
      ...{ host: from.name, wave: from.wave, moves: [], stops: [], leaves: [], returns: [], blockers: [] },
    };
    turns.set(from.name, { ...turn, moves: [...turn.moves, { uuid, name: from.instance.name, from: from.name, to }] });
  }
  return {
    hosts: [...turns.values()],
    makeRoom: [],
    moves: flights.length,
    floor: flights.length,
    blockers,
    warnings: [],
  };
}
