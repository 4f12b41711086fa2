import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Pool, sleep, until } from "./kit.ts";

/** Can this machine mount a small file system? Root in most places, not in an unprivileged container. */
function cannotMount(): string {
  const dir = mkdtempSync(join(tmpdir(), "slipway-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", dir], { stdio: "pipe" });
    execFileSync("umount", [dir]);
    return "";
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr ?? error).trim();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
const why = cannotMount();
if (why) console.log(`disk-full tests are skipped: a small file system cannot be mounted here (${why})`);

/** Takes up all room; returns the way to give it back. */
function fill(dir: string): () => void {
  const file = join(dir, "filler");
  const fd = openSync(file, "w");
  for (const size of [1 << 20, 1 << 12, 1])
    try {
      for (;;) writeSync(fd, Buffer.alloc(size, 1));
    } catch {
      // Full at this granularity.
    }
  closeSync(fd);
  return () => rmSync(file);
}

async function withSmallDisk(work: (pool: Pool) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "slipway-disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=32m", "tmpfs", dir]);
  let pool: Pool | undefined;
  try {
    pool = await Pool.start(2, { dir });
    await work(pool);
  } finally {
    await pool?.stop();
    execFileSync("umount", [dir]);
    rmSync(dir, { recursive: true, force: true });
  }
}

test.skipIf(why !== "")(
  "a full disk under agents and controller loses nothing, says so, and the run goes on when there is room",
  async () => {
    await withSmallDisk(async (pool) => {
      for (const stage of ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"])
        pool.hook(stage, `sleep 1; echo ${stage} done`);
      const run = await pool.detach("--cluster", "c1", "--ping-interval", "1");
      await until("Maintenance of hv1", async () => (await pool.slipway("show", run)).stdout.includes("maintenance"));
      const free = fill(pool.dir);
      await sleep(4000);
      const refused = await pool.slipway("cordon", "hv2");
      expect(refused.status).toBe(1);
      expect(refused.stderr).toMatch(/full|space|room/);
      expect(refused.stderr.trim().split("\n")).toHaveLength(1);
      free();
      expect((await pool.slipway("watch", run)).status).toBe(0);
      const report = await pool.report(run);
      expect(report.hosts.map((h) => h.outcome)).toEqual(["updated", "updated"]);
      expect(report.hosts[0]?.stages.map((s) => [s.stage, s.attempt, s.output])).toEqual(
        ["PreFlight", "PreMaintenance", "Maintenance", "PostMaintenance"].map((s) => [s, 1, `${s} done\n`]),
      );
      expect(readFileSync(join(pool.dir, "controller/controller.log"), "utf8")).toMatch(/full|space/);
    });
  },
);
