import { describe, expect, test } from "vitest";
import { innermost, parseMounts } from "./mounts.ts";

const identities = {
  glusterVolume: (volume: string) => (volume === "vm" ? "id-of-vm" : ""),
  deviceUuid: () => "uuid-1",
};
const table = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:40 / /srv/vm rw - nfs4 nas:/export/vm rw,vers=4.2
41 40 8:2 / /srv/vm/scratch rw - ext4 /dev/sdb1 rw
42 22 0:42 / /srv/g rw - fuse.glusterfs localhost:/vm rw
43 22 0:43 / /srv/h rw - fuse.glusterfs other:/far rw
44 22 8:3 / /srv/with\\040space rw master:2 - ocfs2 /dev/sdc rw
45 22 0:45 /sub /srv/c rw - ceph 10.0.0.1:6789,10.0.0.2:6789:/ rw
46 22 0:46 / /srv/f rw - fuse.ceph ceph-fuse rw
47 22 0:47 / /srv/v rw - fuse.glusterfs glusterfs:(null) rw
garbage
`;
const shared = Object.fromEntries(parseMounts(table, identities).map((one) => [one.mountPoint, one.sharedAs]));

describe("mounts", () => {
  test("that several hosts can have are told by what they are of, and where they are", () => {
    expect(shared).toEqual({
      "/": "",
      "/srv/vm": "netfs nas:/export/vm",
      "/srv/vm/scratch": "",
      "/srv/g": "gluster id-of-vm",
      "/srv/h": "gluster other:/far",
      "/srv/with space": "ocfs2 uuid-1",
      "/srv/c": "cephfs 10.0.0.1:6789,10.0.0.2:6789://sub",
      "/srv/f": "",
      "/srv/v": "",
    });
  });
  test("hide what was mounted there before", () => {
    const over = `${table}60 22 8:9 / /srv/vm rw - ext4 /dev/sdz rw\n`;
    expect(parseMounts(over, identities).find((one) => one.mountPoint === "/srv/vm")?.sharedAs).toBe("");
  });
  test("that are not there are none", () => {
    expect(parseMounts("", identities)).toEqual([]);
    expect(parseMounts("no such table\n - - -\n", identities)).toEqual([]);
  });
  test("hold the paths below them, the innermost counts", () => {
    const of = (path: string) => innermost(path, Object.keys(shared), (one) => one);
    expect(of("/srv/vm/a.qcow2")).toBe("/srv/vm");
    expect(of("/srv/vm/scratch/a")).toBe("/srv/vm/scratch");
    expect(of("/srv/vmother")).toBe("/");
  });
});
