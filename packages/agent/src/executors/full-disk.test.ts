import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Bench, type ExecutorKind, until } from "../testing/bench.ts";
import { hasSystemd } from "./choose.ts";

// A small file system of its own is the only honest full disk; making one takes privileges.
const mountPoint = mkdtempSync(join(tmpdir(), "slipway-full-"));
const canMount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", mountPoint]).status === 0;
const filler = join(mountPoint, "filler");

const kinds: ExecutorKind[] = hasSystemd() ? ["direct", "systemd"] : ["direct"];

describe.runIf(canMount).each(kinds)("the %s executor on a full disk", (kind) => {
  let bench: Bench;
  beforeAll(() => expect(canMount).toBe(true));
  beforeEach(() => {
    bench = new Bench(kind, join(mountPoint, "steps"));
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

  it("the verdict of a hook has room set aside for it", async () => {
    const hook = bench.script(
      'echo up > "$DIR/up"; while [ ! -e "$DIR/go" ]; do sleep 0.05; done; echo first; head -c 5000000 /dev/zero | tr "\\0" 0; exit 6',
    );
    bench.executor.start("a", bench.task(hook));
    await until(() => existsSync(bench.path("up")));
    fill();
    writeFileSync(bench.path("go"), "");
    expect(await bench.ended("a")).toMatchObject({ exitCode: 6, signal: "", outputBytes: 5_000_006 });
    expect((await bench.ended("a")).output).toMatch(/^first\n0*\n\[\.\.\. output cut: \d+ bytes left out/);
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
