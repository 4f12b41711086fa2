export interface Mount {
  readonly mountPoint: string;
  /** The same text on every host that has the same storage at the same place; empty for what only one host can have. */
  readonly sharedAs: string;
}

/** Things outside of the mount table that tell one storage from another. */
export interface Identities {
  /** Id of a Gluster volume where this host serves it; every server mounts it from itself. */
  readonly glusterVolume: (volume: string) => string;
  /** UUID of the file system on a block device, whose name may differ between hosts. */
  readonly deviceUuid: (device: string) => string;
}

/** Reads /proc/self/mountinfo (proc(5)); lines that cannot be read are left out. */
export function parseMounts(mountinfo: string, identities: Identities): Mount[] {
  const found = new Map<string, Mount>();
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ", 2);
    const mountPoint = unoctal(before?.split(" ")[4] ?? "");
    const [type = "", rawSource = ""] = (after ?? "").split(" ");
    if (!mountPoint.startsWith("/") || type === "") continue;
    const root = unoctal(before?.split(" ")[3] ?? "/");
    const source = identityOf(type, unoctal(rawSource), identities);
    const kind = kinds[type] ?? type;
    const part = kind === "netfs" || root === "/" ? source : `${source}${root}`;
    // The last mount at a place hides those before it.
    found.set(mountPoint, { mountPoint, sharedAs: source === "" ? "" : `${kind} ${part}` });
  }
  return [...found.values()];
}

const kinds: Readonly<Record<string, string>> = {
  nfs: "netfs",
  nfs4: "netfs",
  cifs: "netfs",
  smb3: "netfs",
  ceph: "cephfs",
  "fuse.ceph": "cephfs",
  "fuse.glusterfs": "gluster",
  glusterfs: "gluster",
  ocfs2: "ocfs2",
  gfs2: "gfs2",
  lustre: "lustre",
};

function identityOf(type: string, source: string, identities: Identities): string {
  switch (kinds[type]) {
    case undefined:
      return "";
    case "gluster": {
      const volume = /^[^:]+:\/?([^/]+)/.exec(source)?.[1];
      // Mounted by a volume file of its own, it has no name: "glusterfs:(null)".
      return volume === undefined || volume === "(null)" ? "" : identities.glusterVolume(volume) || source;
    }
    case "ocfs2":
    case "gfs2":
      // A name such as /dev/sdb means another disk on another host.
      return identities.deviceUuid(source);
    // FUSE's client of Ceph does not say which cluster it is.
    case "cephfs":
      return source === "ceph-fuse" ? "" : source;
    default:
      return source;
  }
}

/** The mount table writes space, tab, newline and backslash as octal. */
function unoctal(word: string): string {
  return word.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Whether `path` is `dir` or below it. */
function isBelow(path: string, dir: string): boolean {
  return path === dir || path.startsWith(dir.endsWith("/") ? dir : `${dir}/`);
}

/** The innermost of several places that holds `path`. */
export function innermost<T>(path: string, places: readonly T[], dirOf: (place: T) => string): T | undefined {
  let best: T | undefined;
  for (const place of places)
    if (isBelow(path, dirOf(place)) && (best === undefined || dirOf(place).length > dirOf(best).length)) best = place;
  return best;
}
