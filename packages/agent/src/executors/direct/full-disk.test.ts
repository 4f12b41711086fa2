import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Bench, until } from "../../testing/bench.ts";

// A small file system of its own is the only honest full disk; making one takes privileges.
const mountPoint = mkdtempSync(join(tmpdir(), "slipway-full-"));
const canMount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", mountPoint]).status === 0;
const filler = join(mountPoint, "filler");

describe.runIf(canMount)("on a full disk", () => {
  let bench: Bench;
  beforeAll(() => expect(canMount).toBe(true));
  beforeEach(() => {
    bench = new Bench(join(mountPoint, "steps"));
  });
  afterEach(() => {
    rmSync(filler, { force: true });
    bench.remove();
    rmSync(join(mountPoint, "steps"), { recursive: true, force: true });
  });

  function fill(): void {
    for (const size of [65_536, 4_096, 1]) {
      try {
        for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: "a" });
      } catch {
        // Full for this size.
      }
    }
  }

  it("a start says so, starts nothing, and works once there is room", async () => {
    const hook = bench.script('echo ran >> "$DIR/count"');
    fill();
    expect(() => bench.executor.start("a", bench.task(hook))).toThrow(
      expect.objectContaining({
        code: "out-of-space",
        message: expect.stringMatching(/\/steps\/\w+: the disk is full; make room$/),
      }),
    );
    expect(bench.executor.look("a").state).toBe("absent");
    rmSync(filler);
    expect(await bench.run("a", bench.task(hook))).toMatchObject({ exitCode: 0 });
    expect(readFileSync(bench.path("count"), "utf8")).toBe("ran\n");
  });

  it("the verdict of a hook waits for room instead of getting lost", async () => {
    const hook = bench.script(
      'echo up > "$DIR/up"; while [ ! -e "$DIR/go" ]; do sleep 0.05; done; echo > "$DIR/gone"; exit 6',
    );
    bench.executor.start("a", bench.task(hook));
    await until(() => existsSync(bench.path("up")));
    fill();
    writeFileSync(bench.path("go"), "");
    await until(() => existsSync(bench.path("gone")));
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(bench.executor.look("a").state).toBe("running");
    rmSync(filler);
    expect(await bench.ended("a")).toMatchObject({ exitCode: 6, signal: "" });
  });

  it("a running hook can still be cancelled", async () => {
    const hook = bench.script('echo up > "$DIR/up"; sleep 300');
    bench.executor.start("a", bench.task(hook));
    await until(() => existsSync(bench.path("up")));
    fill();
    bench.executor.cancel("a", "ann aborted");
    await until(() => bench.executor.look("a").state === "running" && sleepers() === 0);
    rmSync(filler);
    expect(await bench.ended("a")).toMatchObject({ cancelled: true });
  });

  function sleepers(): number {
    return spawnSync("ps", ["-eo", "args"], { encoding: "utf8" })
      .stdout.split("\n")
      .filter((line) => line.includes(bench.dir)).length;
  }
});

afterAll(() => {
  if (canMount) spawnSync("umount", [mountPoint]);
  rmdirSync(mountPoint);
});
