import type { Instance } from "@slipway/shared";
import type { InstanceNeeds, Purpose } from "../../domain/action.ts";
import { settle } from "../../placement/index.ts";
import type { Desk } from "../desk.ts";
import { hasBegun, opsOfRun, QUICK_MS, startAction } from "./ops.ts";
import { generationOf } from "./pictures.ts";

interface Way {
  readonly from: string;
  readonly to: string;
}

/**
 * Is there room for one more migration, by the limits of the pool file? They count migrations that have begun. As many more may be
 * asked for ahead, so that the next one begins the moment that a lane is free.
 */
export class Lanes {
  readonly #desk: Desk;
  readonly #begun: Way[];
  /** Asked for, or let in; they wait for a lane. */
  readonly #ahead: Way[];

  constructor(desk: Desk) {
    this.#desk = desk;
    const hosts = desk.run.hosts.filter((h) => h.cluster === desk.host.cluster);
    const moves = opsOfRun({ ...desk.run, hosts }).filter((op) => op.kind === "move");
    this.#begun = moves.filter(hasBegun);
    this.#ahead = moves.filter((op) => !hasBegun(op));
  }

  /** May a migration that its target has let in begin? */
  mayBegin(from: string, to: string): boolean {
    return this.#fits(this.#begun, from, to);
  }

  begin(from: string, to: string): void {
    this.#begun.push({ from, to });
  }

  /** May a target be asked for the next one? */
  mayAsk(from: string, to: string): boolean {
    return this.#fits(this.#ahead, from, to);
  }

  mayAskFrom(from: string): boolean {
    return this.#fits(this.#ahead, from, undefined);
  }

  ask(from: string, to: string): void {
    this.#ahead.push({ from, to });
  }

  #fits(ways: readonly Way[], from: string, to: string | undefined): boolean {
    const { perCluster, perHost, perTarget } = this.#desk.fleet.pool.migration;
    const count = (fits: (way: Way) => boolean) => ways.filter(fits).length;
    if (ways.length >= perCluster || count((way) => way.from === from) >= perHost) return false;
    return to === undefined || count((way) => way.to === to) < perTarget;
  }
}

/** Asks the target whether it would take the instance: the first act of a migration. */
export function beginMove(desk: Desk, instance: Instance, purpose: Purpose, from: string, to: string): void {
  const { fleet, host, run } = desk;
  const { uuid, name } = instance;
  const generation = generationOf(run, fleet.inventoriesOf(host.cluster), uuid) + 1;
  const { startedAtMs: _, ...needs } = instance;
  const disks = disksToCopy(instance, settle(instance, fleet.pool).policy);
  startAction(desk, "admit", to, uuid, {
    ...{ name, generation, timeoutMs: QUICK_MS, purpose, from, to },
    instance: needs satisfies InstanceNeeds,
    ...(disks.length > 0 ? { copies: disks } : {}),
  });
}

/** Disks that only its host has, of an instance that says that they may be copied along. */
function disksToCopy(instance: Instance, policy: string): string[] {
  if (policy !== "migrate-with-storage") return [];
  return instance.disks
    .filter((d) => d.sharedAs === "" && d.source !== "" && !d.readonly && d.device !== "cdrom" && d.device !== "floppy")
    .map((d) => d.target);
}
