import type { Disk, StoragePool } from "@slipway/shared";
import type { Pool } from "./host-xml.ts";
import { innermost, type Mount } from "./mounts.ts";

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
  const places = [...shared.map((one) => one.path), ...mounts.map((one) => one.mountPoint)];
  for (const path of new Set(places)) {
    const view = sharedAs(path, mounts, shared);
    if (view !== "" && !known.some((one) => one.path === path))
      known.push({ name: path, type: "mount", path, active: true, freeMib: 0, sharedAs: view });
  }
  return known;
}

/** A disk with what the host knows of the place it is in. */
export function placeDisk(disk: Disk, pools: readonly StoragePool[], mounts: readonly Mount[]): Disk {
  if (disk.source === "") return disk;
  if (disk.kind === "volume") return { ...disk, sharedAs: pools.find((one) => one.name === disk.pool)?.sharedAs ?? "" };
  // The emulator reaches it over the network by itself, from whichever host.
  if (disk.kind === "network") return { ...disk, sharedAs: `network ${disk.source}` };
  if (!disk.source.startsWith("/")) return disk;
  const places = pools.filter((one) => one.path.startsWith("/"));
  const pool = innermost(disk.source, places, (one) => one.path);
  const mount = innermost(disk.source, mounts, (one) => one.mountPoint);
  // Something else is mounted inside of the pool.
  if (pool === undefined || (mount !== undefined && mount.mountPoint.length > pool.path.length)) return disk;
  return { ...disk, pool: pool.name, sharedAs: pool.sharedAs };
}

/** What a directory is a view of: its storage, and where in it. */
function sharedAs(path: string, mounts: readonly Mount[], shared: readonly SharedPath[]): string {
  if (!path.startsWith("/")) return "";
  const configured = innermost(path, shared, (one) => one.path);
  if (configured !== undefined) return `shared ${configured.name}${path.slice(configured.path.length)}`;
  const mount = innermost(path, mounts, (one) => one.mountPoint);
  return mount === undefined || mount.sharedAs === "" ? "" : `${mount.sharedAs}${path.slice(mount.mountPoint.length)}`;
}
