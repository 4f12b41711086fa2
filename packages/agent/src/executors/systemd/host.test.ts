import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Claim } from "../../runner/files.ts";
import type { Look } from "../../steps/ports.ts";
import { Bench, until } from "../../testing/bench.ts";
import { hasSystemd } from "../choose.ts";
import { parseLines } from "./unit.ts";

function systemctl(...args: string[]): string {
  return spawnSync("systemctl", args, { encoding: "utf8", timeout: 20_000 }).stdout.trim();
}

describe.runIf(hasSystemd())("under a systemd that runs", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench("systemd");
  });
  afterEach(() => bench.remove());

  const waiting = 'echo up > "$DIR/up"; while [ ! -e "$DIR/go" ]; do sleep 0.05; done';
  async function start(body: string, change = {}): Promise<void> {
    bench.executor.start("a", bench.task(bench.script(body), change));
    await until(() => existsSync(bench.path("up")));
  }
  function claim(): Claim {
    const [name = ""] = readdirSync(bench.steps);
    return JSON.parse(readFileSync(join(bench.steps, name, "claim"), "utf8"));
  }
  function lost(): Promise<Extract<Look, { state: "lost" }>> {
    return until(() => {
      const look = bench.executor.look("a");
      return look.state === "lost" ? look : undefined;
    });
  }

  it("a step is a unit with its own bounds, apart from everybody else's", async () => {
    await start(waiting, { timeoutMs: 90_000, graceMs: 2_000 });
    const names =
      "ActiveState,MainPID,ControlGroup,RuntimeMaxUSec,TimeoutStopUSec,KillMode,OOMPolicy,LogRateLimitIntervalUSec,User,Description";
    const shown = parseLines(systemctl("show", `--property=${names}`, bench.unit("a")));
    expect(Object.fromEntries(shown)).toEqual({
      ActiveState: "active",
      MainPID: String(claim().pid),
      ControlGroup: `/system.slice/${bench.unit("a")}`,
      RuntimeMaxUSec: "1min 32s",
      TimeoutStopUSec: "7s",
      KillMode: "control-group",
      OOMPolicy: "continue",
      LogRateLimitIntervalUSec: "1s",
      User: "",
      Description: "Slipway step a",
    });
  });

  it("output is in the host's journal in full, whatever of it is kept", async () => {
    const result = await bench.run("a", bench.task(bench.script("seq 1 40000; echo words >&2; exit 3")));
    expect(result).toMatchObject({ exitCode: 3, output: expect.stringContaining("[... output cut: ") });
    const lines = await until(() => {
      spawnSync("journalctl", ["--sync"], { timeout: 20_000 });
      const args = ["-o", "cat", "--no-pager", "_TRANSPORT=stdout", `_SYSTEMD_INVOCATION_ID=${claim().invocation}`];
      const { stdout } = spawnSync("journalctl", args, { encoding: "utf8", maxBuffer: 2 ** 26, timeout: 20_000 });
      const found = stdout.split("\n").filter(Boolean);
      return found.length >= 40_001 ? found : undefined;
    });
    expect(lines.filter((line) => line !== "words")).toEqual(Array.from({ length: 40_000 }, (_, i) => String(i + 1)));
  });

  it("what a hook leaves behind ends with its unit, and no failed unit stays", async () => {
    await bench.run("a", bench.task(bench.script('sleep 300 & echo $! > "$DIR/child"; setsid sleep 300 & exit 1')));
    await until(() => systemctl("show", "--property=LoadState", "--value", bench.unit("a")) === "not-found");
    expect(existsSync(`/proc/${bench.read("child").trim()}`)).toBe(false);
    expect(systemctl("list-units", "--all", "--no-legend", bench.unit("a"))).toBe("");
  });

  it("a unit stopped by somebody says so", async () => {
    await start('trap "" TERM; echo up > "$DIR/up"; while :; do sleep 1; done');
    systemctl("stop", bench.unit("a"));
    expect(await bench.ended("a")).toMatchObject({ stoppedBy: "outside", timedOut: false, signal: "SIGKILL" });
  });

  it("a unit stopped by somebody says so, also if its hook is the first to go", async () => {
    await start('echo up > "$DIR/up"; exec sleep 300');
    systemctl("stop", bench.unit("a"));
    expect(await bench.ended("a")).toMatchObject({ stoppedBy: "outside", timedOut: false, signal: "SIGTERM" });
  });

  it("a hook that heeds TERM at its deadline has timed out", async () => {
    const result = await bench.run("a", bench.task(bench.script("sleep 300"), { timeoutMs: 1_000 }));
    expect(result).toMatchObject({ timedOut: true, signal: "SIGTERM" });
    expect(result).not.toHaveProperty("stoppedBy");
  });

  it("a runner that was stopped is woken for the deadline by systemd, and records it", async () => {
    await start(`${waiting}; exit 0`, { timeoutMs: 1_500 });
    process.kill(claim().pid, "SIGSTOP");
    expect(await bench.ended("a")).toMatchObject({ timedOut: true });
  });

  it("the stop record survives a reload and a re-execution of systemd", async () => {
    await start('echo up > "$DIR/up"; sleep 300');
    systemctl("daemon-reload");
    systemctl("daemon-reexec");
    expect(bench.executor.look("a").state).toBe("running");
    process.kill(claim().pid, "SIGKILL");
    expect((await lost()).reason).toBe(`the hook's runner (process ${claim().pid}) was killed (KILL)`);
    const record = parseLines(
      readFileSync(join(bench.steps, readdirSync(bench.steps)[0] ?? "", `stopped.${claim().invocation}`), "utf8"),
    );
    expect(record.get("system")).toMatch(/^(running|degraded)$/);
    expect(record.get("boot")).toBe(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
    expect(Number(record.get("uptime"))).toBeGreaterThan(0);
  });

  it("a unit that systemd cannot make is given up with its words", async () => {
    bench.remove();
    bench = new Bench("systemd", undefined, { tasksMax: "many" });
    const task = bench.task(bench.script("exit 0"));
    await until(() => {
      bench.executor.start("a", task);
      return bench.executor.look("a").state === "ended";
    });
    expect(await bench.ended("a")).toMatchObject({
      cancelled: true,
      cancelReason: expect.stringMatching(/^systemd does not start its unit: systemd-run: .*TasksMax/),
    });
  });

  describe.runIf(hasMemoryLimits())("and limits memory", () => {
    const limits = { memoryMax: "150M" };
    async function run(body: string) {
      bench.remove();
      bench = new Bench("systemd", undefined, limits);
      return bench.run("a", bench.task(bench.script(body)));
    }
    it("a hook that eats all it may is killed, and its runner is left to say so", async () => {
      const result = await run("echo eating; exec tail /dev/zero");
      expect(result).toMatchObject({ signal: "SIGKILL", oomKills: 1, memoryMax: "150M", output: "eating\n" });
    });
    it("a hook may outlive a child that does", async () => {
      const result = await run("tail /dev/zero; exit 0");
      expect(result).toMatchObject({ exitCode: 0, oomKills: 1, memoryMax: "150M" });
    });
  });
});

/** Whether the memory controller is systemd's to use here; in a container it may not be. */
function hasMemoryLimits(): boolean {
  if (!hasSystemd()) return false;
  const args = ["--quiet", "--wait", "--pipe", "--collect", "--property=MemoryMax=100M", "cat", "/proc/self/cgroup"];
  const { stdout } = spawnSync("systemd-run", args, { encoding: "utf8", timeout: 20_000 });
  return (
    /^\d+:([a-z,]*,)?memory[^:]*:\/system\.slice\//m.test(stdout) ||
    existsSync("/sys/fs/cgroup/system.slice/memory.max")
  );
}
