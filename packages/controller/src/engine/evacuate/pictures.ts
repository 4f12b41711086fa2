import type { Instance } from "@slipway/shared";
import type { FleetView } from "../../domain/fleet.ts";
import type { HostInventory } from "../../domain/inventory.ts";
import type { HostRun, Run } from "../../domain/run.ts";
import type { Reason } from "../../domain/words.ts";
import { pictureProblem } from "../../placement/index.ts";

export function pictureOf(fleet: FleetView, cluster: string, host: string): HostInventory | undefined {
  return fleet.inventoriesOf(cluster).find((p) => p.host === host);
}

/** Why what is known of a host's instances cannot be acted on; undefined when it can. */
export function staleness(host: string, picture: HostInventory | undefined, now: number): Reason | undefined {
  if (picture) return pictureProblem(picture, now);
  return {
    rule: "no-picture",
    subject: host,
    text: `${host} has not told what runs there`,
    fix: `look at slipway-agent on ${host}`,
  };
}

/** A host without a platform has no instances that anybody could move. */
export function hasNoPlatform(picture: HostInventory | undefined): boolean {
  return picture?.inventory.platform === "none";
}

/** Does the host itself say that it takes no instances, for this run? */
export function isMarked(picture: HostInventory, run: string): boolean {
  return picture.inventory.cordonedBy.split(",").some((holder) => holder.trim() === run);
}

/** It takes up the host. One that crashed is nobody's to throw away. */
export function isAlive(instance: Instance): boolean {
  return instance.state !== "shutoff";
}

/** The highest generation of an instance that any host or this run knows of. */
export function generationOf(run: Run, pictures: readonly HostInventory[], uuid: string): number {
  let highest = 0;
  for (const { inventory } of pictures)
    for (const i of inventory.instances) if (i.uuid === uuid) highest = Math.max(highest, i.generation);
  for (const { actions } of run.hosts)
    for (const a of actions)
      if (a.subject === uuid) highest = Math.max(highest, a.spec.generation, a.result?.instance?.generation ?? 0);
  return highest;
}

type Settled = HostRun["settled"];
const settlements = new WeakMap<Settled, ReadonlyMap<string, Settled>>();

/** What became of an instance in the turn of a host, in order. */
export function settledOf({ settled }: HostRun, uuid: string): Settled {
  let index = settlements.get(settled);
  if (!index) {
    index = Map.groupBy(settled, (s) => s.uuid);
    settlements.set(settled, index);
  }
  return index.get(uuid) ?? [];
}

/** When a picture was taken is known about this well: word of it takes its time, too. In milliseconds. */
const READ_SLACK_MS = 1_000;

/** Was the picture perhaps taken before that time? */
export function isFromBefore({ readT }: HostInventory, t: number): boolean {
  return readT < t + READ_SLACK_MS;
}

/** Has the run settled this instance after its host's picture was taken? */
export function isKnownGone(host: HostRun, picture: HostInventory, uuid: string): boolean {
  const last = settledOf(host, uuid).at(-1);
  return last !== undefined && last.outcome !== "stayed" && last.outcome !== "failed" && isFromBefore(picture, last.t);
}
