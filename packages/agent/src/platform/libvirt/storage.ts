import type { Disk, StoragePool } from "@slipway/shared";
import type { Pool } from "./host-xml.ts";
import { innermost, isBelow, type Mount } from "./mounts.ts";

/** A place that the operator knows to be the same on several hosts, such as a volume group on a shared disk. */
export interface SharedPath {
  /** Absolute path. */
  readonly path: string;
  /** What it is a view of; the same word on every host. */
  readonly name: string;
}

export type KnownPool = Pool & { readonly active: boolean };

/** The pools as the inventory has them; a shared place that is no pool of libvirt's is one of the type "mount". */
export function storagePools(
  pools: readonly KnownPool[],
  mounts: readonly Mount[],
  shared: readonly SharedPath[],
): StoragePool[] {
  const known = pools.map(({ name, type, path, freeMib, active, identity }) => ({
    name,
    type,
    path,
    active,
    freeMib,
    sharedAs: identity || sharedAs(path, mounts, shared),
  }));
  const places = [
    ...shared.map((one) => ({ path: one.path, sharedAs: sharedName(one) })),
    ...mounts.map((one) => ({ path: one.mountPoint, sharedAs: one.sharedAs })),
  ];
  for (const { path, sharedAs } of places)
    if (sharedAs !== "" && !known.some((one) => one.sharedAs === sharedAs))
      known.push({ name: path, type: "mount", path, active: true, freeMib: 0, sharedAs });
  return known;
}

/** A disk with what the host knows of the place it is in. */
export function placeDisk(
  disk: Disk,
  pools: readonly StoragePool[],
  mounts: readonly Mount[],
  shared: readonly SharedPath[],
): Disk {
  if (disk.source === "") return disk;
  if (disk.kind === "volume") {
    const pool = pools.find((one) => one.name === disk.pool);
    return { ...disk, sharedAs: pool?.sharedAs ?? "" };
  }
  // The emulator reaches it over the network by itself, from whichever host.
  if (disk.kind === "network") return { ...disk, sharedAs: `network ${disk.source}` };
  if (!disk.source.startsWith("/")) return disk;
  const libvirts = pools.filter((one) => one.type !== "mount" && one.path.startsWith("/"));
  const pool = innermost(disk.source, libvirts, (one) => one.path);
  return {
    ...disk,
    pool: pool?.name ?? "",
    sharedAs: pool?.sharedAs || sharedAs(disk.source, mounts, shared),
  };
}

function sharedAs(path: string, mounts: readonly Mount[], shared: readonly SharedPath[]): string {
  if (!path.startsWith("/")) return "";
  const configured = shared.find((one) => isBelow(path, one.path));
  if (configured !== undefined) return sharedName(configured);
  return innermost(path, mounts, (one) => one.mountPoint)?.sharedAs ?? "";
}

function sharedName({ name, path }: SharedPath): string {
  return `shared ${name} on ${path}`;
}
