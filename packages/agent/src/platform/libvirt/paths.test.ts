import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deviceFacts, pathExists } from "./paths.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-paths-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a device is known by its name and by each of its links", () => {
  const places = { udev: join(dir, "udev"), block: join(dir, "block") };
  expect(deviceFacts("/dev/sda", places)).toBeUndefined();
  mkdirSync(places.udev);
  for (const [name, number, facts] of [
    ["sda", "8:0", "S:disk/by-id/wwn-0x5000\nE:ID_FS_UUID=1234-AB\n"],
    ["dm-0", "253:0", "S:mapper/mpatha\nS:vg0/vm1\nE:DM_NAME=mpatha\n"],
    ["cciss!c0d0", "104:0", ""],
  ] as const) {
    mkdirSync(join(places.block, name), { recursive: true });
    writeFileSync(join(places.block, name, "dev"), `${number}\n`);
    writeFileSync(join(places.udev, `b${number}`), facts);
  }
  expect(deviceFacts("/dev/sda", places)).toEqual({ exists: true, fsUuid: "1234-AB" });
  expect(deviceFacts("/dev/disk/by-id/wwn-0x5000", places)?.fsUuid).toBe("1234-AB");
  for (const path of ["/dev/vg0/vm1", "/dev/mapper/mpatha", "/dev/cciss/c0d0"])
    expect(deviceFacts(path, places)).toEqual({ exists: true, fsUuid: "" });
  for (const path of ["/dev/sdb", "/dev/vg0", "/dev/mapper/mpath"])
    expect(deviceFacts(path, places)?.exists).toBe(false);
});

test("a file is there or it is not", async () => {
  writeFileSync(join(dir, "-e with space"), "");
  expect(await pathExists(join(dir, "-e with space"))).toBe(true);
  expect(await pathExists(join(dir, "other"))).toBe(false);
});
