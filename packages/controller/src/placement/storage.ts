import type { Disk, HostCapacity } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { Policy } from "../domain/pool.ts";
import type { Facts, Obstacle } from "./facts.ts";

/** Why a disk cannot be used on `to`, nor be copied there; nothing when it can. Room for copies is counted elsewhere. */
export function reach(
  disk: Disk,
  instance: string,
  from: HostInventory,
  here: HostCapacity,
  to: string,
  about: Facts,
  policy: Policy,
): Obstacle | undefined {
  if (disk.source === "") return undefined;
  const own = here.pools.find((p) => p.name === disk.pool);
  if (disk.sharedAs !== "") {
    const seen = about.shared.get(disk.sharedAs);
    // Network disks are opened by the emulator itself; hosts need no pool for them.
    if (seen === undefined && disk.kind === "network") return undefined;
    const what = `${disk.pool ? `pool ${disk.pool}` : "storage"} (${disk.sharedAs}), where disk ${disk.target} of ${instance} is`;
    if (seen === undefined)
      return { rule: "storage-unreachable", phrase: `does not reach ${what}`, fix: `connect it to ${to}` };
    if (!seen.active)
      return {
        rule: "storage-unreachable",
        phrase: `has no active ${what}`,
        fix: `virsh pool-start ${seen.name} on ${to}`,
      };
    if (disk.kind !== "network" && own && own.path !== "" && seen.path !== "" && own.path !== seen.path)
      return {
        rule: "storage-path",
        phrase: `has ${what}, at ${seen.path}, not ${own.path}`,
        fix: "give the pool the same path on every host",
      };
    return undefined;
  }
  const local = `disk ${disk.target} (${disk.source})`;
  if (disk.device === "cdrom" || disk.device === "floppy")
    return {
      rule: "local-media",
      phrase: `does not reach the medium in drive ${disk.target} (${disk.source}), which only ${from.host} has`,
      fix: `eject it: virsh change-media ${instance} ${disk.target} --eject`,
    };
  if (policy !== "migrate-with-storage")
    return {
      rule: "local-disk",
      phrase: `does not reach ${local}, which only ${from.host} has`,
      fix: "move the disk to shared storage, or give it the policy migrate-with-storage",
    };
  if (disk.readonly || disk.shareable)
    return {
      rule: "local-disk",
      phrase: `does not reach ${local}, and a ${disk.readonly ? "read-only" : "shareable"} disk is not copied along`,
      fix: "move the disk to shared storage",
    };
  if (own === undefined)
    return {
      rule: "local-disk",
      phrase: `has no place for ${local}, which is in no storage pool of ${from.host}`,
      fix: "put its directory into a storage pool of the same name on both hosts",
    };
  const same = about.pools.get(disk.pool);
  if (!same?.active || same.path !== own.path)
    return {
      rule: "local-disk",
      phrase: `has no active storage pool ${disk.pool}${own.path ? ` at ${own.path}` : ""} to copy ${local} to`,
      fix: `make such a pool on ${to}`,
    };
  return undefined;
}
