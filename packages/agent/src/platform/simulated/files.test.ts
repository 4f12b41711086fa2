import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SlipwayError } from "@slipway/shared";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileWorld } from "./files.ts";
import { findIn, MemoryWorld, plainHost, plainInstance, type SimulatedWorld } from "./world.ts";

const uuid = "11111111-1111-4111-8111-111111111111";
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-world-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

describe.each<[string, () => SimulatedWorld]>([
  [
    "files",
    () => {
      const world = new FileWorld(dir);
      for (const name of ["hv1", "hv2"]) world.join(name);
      return world;
    },
  ],
  [
    "memory",
    () => {
      const world = new MemoryWorld();
      for (const name of ["hv1", "hv2"]) world.add(name);
      return world;
    },
  ],
])("a world of %s", (_name, make) => {
  it("keeps instances, each on one host", () => {
    const world = make();
    const one = { ...plainInstance(uuid, "vm1"), metadata: { tier: "2" }, fail: ["move"] as const };
    expect(world.instances("hv1")).toEqual([]);
    world.put("hv1", one);
    expect(world.instances("hv1")).toEqual([one]);
    world.put("hv1", { ...one, state: "paused" });
    world.hand("hv1", "hv2", uuid);
    expect([findIn(world, "hv1", uuid), findIn(world, "hv2", uuid)?.state]).toEqual([undefined, "paused"]);
    expect(() => world.hand("hv1", "hv2", uuid)).toThrow();
    world.remove("hv2", uuid);
    world.remove("hv2", uuid);
    expect(world.instances("hv2")).toEqual([]);
  });

  it("keeps work under way", () => {
    const world = make();
    const times = { beganMs: 1.5, takesMs: 2, deadlineMs: 3, stuckMs: 4 };
    const work = { id: "r1/hv1/move/1", verb: "move", to: "hv2", toBoot: "b", ...times } as const;
    world.put("hv1", { ...plainInstance(uuid, "vm1"), work });
    expect(findIn(world, "hv1", uuid)?.work).toEqual(work);
  });

  it("gives the same list as long as nothing has changed", () => {
    const world = make();
    world.put("hv1", plainInstance(uuid, "vm1"));
    const list = world.instances("hv1");
    world.put("hv2", plainInstance("22222222-2222-4222-8222-222222222222", "vm2"));
    expect(world.instances("hv1")).toBe(list);
    world.put("hv1", plainInstance(uuid, "vm1"));
    expect(world.instances("hv1")).not.toBe(list);
  });

  it("knows which hosts are up, and what they offer by default", () => {
    const world = make();
    expect([world.bootOf("hv1"), world.reaches("hv2", "hv1")]).toEqual(["", false]);
    world.setBoot("hv1", "b1");
    expect([world.bootOf("hv1"), world.reaches("hv2", "hv1")]).toEqual(["b1", true]);
    world.setBoot("hv1", "");
    expect(world.reaches("hv2", "hv1")).toBe(false);
    expect(world.reaches("hv1", "../hv2")).toBe(false);
    expect(world.host("hv1")).toEqual(plainHost("hv1"));
  });
});

describe("files that people write", () => {
  function write(name: string, content: unknown): void {
    mkdirSync(join(dir, "hv1"), { recursive: true });
    writeFileSync(join(dir, "hv1", name), typeof content === "string" ? content : JSON.stringify(content));
  }
  it("say only what is not plain", () => {
    write(`${uuid}.json`, { name: "db1", memoryMib: 2_048, disks: [{ target: "vda", source: "/vm/a" }] });
    write("host.json", { memoryMib: 4_096, perGibMs: 10 });
    write("notes.json", "no instance");
    const world = new FileWorld(dir);
    expect(world.instances("hv1")).toMatchObject([{ name: "db1", memoryMib: 2_048, state: "running", vcpus: 1 }]);
    expect(world.instances("hv1")[0]?.disks[0]).toMatchObject({ kind: "file", sharedAs: "", readonly: false });
    const plain = plainHost("hv1");
    expect(world.host("hv1")).toEqual({
      capacity: { ...plain.capacity, memoryMib: 4_096 },
      timing: { ...plain.timing, perGibMs: 10 },
    });
    expect(world.host("hv1")).toBe(world.host("hv1"));
  });

  it("are read again when they were changed or removed", () => {
    write(`${uuid}.json`, { name: "db1" });
    const world = new FileWorld(dir);
    world.instances("hv1");
    write(`${uuid}.json`, { name: "db1", state: "shutoff" });
    expect(world.instances("hv1")[0]?.state).toBe("shutoff");
    rmSync(join(dir, "hv1", `${uuid}.json`));
    expect(world.instances("hv1")).toEqual([]);
  });

  it.each([
    [{ name: "x", memoryMb: 1 }, /it: Unrecognized key: "memoryMb"; correct the file$/],
    [{ name: "x", memoryMib: -1 }, /memoryMib: /],
    [{ name: "x", fail: ["fly"] }, /fail\.0: /],
    [{ memoryMib: 1 }, /name: /],
    ["{", /cannot be read \(.*JSON/],
  ])("that are wrong are named: %j", (content, message) => {
    write(`${uuid}.json`, content);
    const attempt = () => new FileWorld(dir).instances("hv1");
    expect(attempt).toThrow(SlipwayError);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(join(dir, "hv1", `${uuid}.json`));
  });

  it("of a host that is not there are an error, and names never leave the world", () => {
    const world = new FileWorld(join(dir, "none"));
    expect(() => world.instances("hv1")).toThrow(/cannot be read/);
    expect(() => world.instances("../hv1")).toThrow(/is no host name/);
    expect(readdirSync(dir)).toEqual([]);
  });
});
