import type { Disk } from "@slipway/shared";
import { describe, expect, test } from "vitest";
import { type KnownPool, placeDisk, storagePools } from "./storage.ts";

const mounts = [
  { mountPoint: "/", sharedAs: "" },
  { mountPoint: "/srv/vm", sharedAs: "netfs nas:/vm" },
  { mountPoint: "/srv/vm/scratch", sharedAs: "" },
];
const dir = (name: string, path: string): KnownPool => ({
  name,
  type: "dir",
  path,
  freeMib: 1,
  identity: "",
  active: true,
});
const disk = (source: string, more: Partial<Disk> = {}): Disk => ({
  ...{ target: "vda", kind: "file", device: "disk", source, pool: "", sharedAs: "" },
  ...{ sizeMib: 0, readonly: false, shareable: false, ...more },
});
const shared = [{ path: "/dev/vg0", name: "ocean" }];
const pools = storagePools([dir("gold", "/srv/vm/gold"), dir("local", "/var/images")], mounts, shared);

describe("pools", () => {
  test("on storage of several hosts say which, and where in it", () => {
    expect(pools.map(({ name, type, sharedAs }) => [name, type, sharedAs])).toEqual([
      ["gold", "dir", "netfs nas:/vm/gold"],
      ["local", "dir", ""],
      ["/dev/vg0", "mount", "shared ocean"],
      ["/srv/vm", "mount", "netfs nas:/vm"],
    ]);
  });
  test("of the network have their own name for it", () => {
    const rbd = { ...dir("ceph", ""), type: "rbd", identity: "rbd a,b/vms" };
    expect(storagePools([rbd], [], [])).toMatchObject([{ name: "ceph", path: "", sharedAs: "rbd a,b/vms" }]);
  });
});

describe("a disk", () => {
  const place = (one: Disk) => {
    const { pool, sharedAs } = placeDisk(one, pools, mounts);
    return [pool, sharedAs];
  };
  test("is in the innermost place that holds it", () => {
    expect(place(disk("/srv/vm/gold/a"))).toEqual(["gold", "netfs nas:/vm/gold"]);
    expect(place(disk("/srv/vm/a"))).toEqual(["/srv/vm", "netfs nas:/vm"]);
    expect(place(disk("/dev/vg0/a", { kind: "block" }))).toEqual(["/dev/vg0", "shared ocean"]);
    expect(place(disk("/var/images/a"))).toEqual(["local", ""]);
  });
  test("on a local file system inside of a shared one is local", () => {
    expect(place(disk("/srv/vm/scratch/a"))).toEqual(["", ""]);
  });
  test("that is nowhere known belongs to this host alone", () => {
    expect(place(disk("/home/a"))).toEqual(["", ""]);
    expect(place(disk(""))).toEqual(["", ""]);
    expect(place(disk("0000:01:00.0", { kind: "nvme" }))).toEqual(["", ""]);
  });
  test("of a pool or of the network is told by it", () => {
    expect(place(disk("v1", { kind: "volume", pool: "gold" }))).toEqual(["gold", "netfs nas:/vm/gold"]);
    expect(place(disk("v1", { kind: "volume", pool: "gone" }))).toEqual(["gone", ""]);
    expect(place(disk("rbd:vms/a", { kind: "network" }))).toEqual(["", "network rbd:vms/a"]);
  });
});
