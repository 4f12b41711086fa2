import type { Instance } from "@slipway/shared";
import type { InstanceNeeds, Purpose } from "../../domain/action.ts";
import { settle } from "../../placement/index.ts";
import type { Desk } from "../desk.ts";
import { QUICK_MS } from "./move.ts";
import { type Op, opsOfRun, startAction } from "./ops.ts";
import { generationOf } from "./pictures.ts";

/** Is there room for one more migration, by the limits of the pool file? */
export class Lanes {
  readonly #desk: Desk;
  readonly #open: { from: string; to: string }[];

  constructor(desk: Desk) {
    this.#desk = desk;
    const cluster = new Set(desk.run.hosts.filter((h) => h.cluster === desk.host.cluster).map((h) => h.name));
    this.#open = opsOfRun({ ...desk.run, hosts: desk.run.hosts.filter((h) => cluster.has(h.name)) })
      .filter((op: Op) => op.kind === "move")
      .map(({ from, to }) => ({ from, to }));
  }

  get isFull(): boolean {
    return this.#open.length >= this.#desk.fleet.pool.migration.perCluster;
  }

  free(from: string, to: string): boolean {
    const { perHost, perTarget } = this.#desk.fleet.pool.migration;
    const count = (fits: (o: { from: string; to: string }) => boolean) => this.#open.filter(fits).length;
    return !this.isFull && count((o) => o.from === from) < perHost && count((o) => o.to === to) < perTarget;
  }

  hasRoomFrom(from: string): boolean {
    return !this.isFull && this.#open.filter((o) => o.from === from).length < this.#desk.fleet.pool.migration.perHost;
  }

  take(from: string, to: string): void {
    this.#open.push({ from, to });
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
