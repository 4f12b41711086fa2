import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Claim, Spec } from "../runner/files.ts";
import { isAlive, processesOf } from "../runner/processes.ts";
import { Bench, type ExecutorKind, until } from "../testing/bench.ts";
import { hasSystemd } from "./choose.ts";

const kinds: ExecutorKind[] = hasSystemd() ? ["direct", "systemd"] : ["direct"];
it.runIf(hasSystemd())("the systemd executor is tried as well, because systemd runs on this machine", () => {
  expect(kinds).toContain("systemd");
});

let bench: Bench;

function stepDir(): string {
  const [name] = readdirSync(bench.steps);
  if (name === undefined) throw new Error("no step");
  return join(bench.steps, name);
}
function stepFile<T>(name: string): T {
  return JSON.parse(readFileSync(join(stepDir(), name), "utf8")) as T;
}
function lines(name: string): string[] {
  return existsSync(bench.path(name)) ? bench.read(name).split("\n").filter(Boolean) : [];
}

describe.each(kinds)("the %s executor", (kind) => {
  beforeEach(() => {
    bench = new Bench(kind);
  });
  afterEach(() => bench.remove());

  describe("a hook", () => {
    it("leaves exit status, both streams, requests and times", async () => {
      const hook = bench.script(
        'echo out; echo err >&2; echo "reboot=required" >> "$SLIPWAY_OUTPUT"; echo "message=all done" >> "$SLIPWAY_OUTPUT"; exit 3',
      );
      const result = await bench.run("a", bench.task(hook));
      expect(result).toMatchObject({ exitCode: 3, signal: "", timedOut: false, cancelled: false, startError: "" });
      expect(result.output.split("\n").sort()).toEqual(["", "err", "out"]);
      expect(result.outputBytes).toBe(8);
      expect(result.requests).toMatchObject({ rebootRequired: true, message: "all done" });
      expect(result.bootId).toBe("boot1");
      await until(() => bench.announced.includes("a"));
    });

    it("gets the contract's environment and nothing of the agent's", async () => {
      process.env["SECRET_OF_THE_AGENT"] = "x";
      const env = { SLIPWAY_RUN: "r1", SLIPWAY_LABEL_CLUSTER: "c 1" };
      const result = await bench.run("a", bench.task(bench.script("env; pwd"), { env }));
      delete process.env["SECRET_OF_THE_AGENT"];
      const names = result.output.split("\n").map((line) => line.split("=")[0]);
      expect(new Set(names)).toEqual(
        new Set([
          "PATH",
          "HOME",
          "LANG",
          "SLIPWAY_RUN",
          "SLIPWAY_LABEL_CLUSTER",
          "SLIPWAY_OUTPUT",
          "SLIPWAY_STEP",
          "PWD",
          "/",
          "",
        ]),
      );
      expect(result.output).toContain("SLIPWAY_LABEL_CLUSTER=c 1\n");
    });

    it("gets its words literally", async () => {
      const words = [
        "a b",
        "it's",
        '"q"',
        ";",
        "$(touch x)",
        "`id`",
        "a,b",
        "two\nlines",
        "ünïcödé ☃",
        "",
        "*",
        "\\",
        "%I",
        "x".repeat(100_000),
      ];
      const hook = bench.script('for w in "$@"; do printf "%s\\0" "$w"; done > "$DIR/words"');
      const result = await bench.run("a", bench.task(hook, { args: words }));
      expect(result.exitCode).toBe(0);
      expect(bench.read("words").split("\0").slice(0, -1)).toEqual(words);
    });

    it("runs under sh when it has no first line for an interpreter", async () => {
      const result = await bench.run("a", bench.task(bench.file("plain", 'echo "plain $1"\n'), { args: ["x y"] }));
      expect(result).toMatchObject({ exitCode: 0, output: "plain x y\n" });
    });

    it.each([
      ["not executable", "#!/bin/sh\n", 0o644, "EACCES"],
      ["interpreter missing", "#!/no/such/sh\n", 0o755, "ENOENT"],
    ])("that cannot be started (%s) says why", async (_name, content, mode, code) => {
      const result = await bench.run("a", bench.task(bench.file("bad", content, mode)));
      expect(result.startError).toContain(`cannot be started: `);
      expect(result.startError).toContain(code);
      expect(result.exitCode).toBeUndefined();
    });

    it("reports the signal that ended it", async () => {
      expect(await bench.run("a", bench.task(bench.script("kill -SEGV $$")))).toMatchObject({ signal: "SIGSEGV" });
    });

    it("may write 100 MB to both streams; memory stays bounded and the cut is marked", async () => {
      const hook = bench.script(
        'echo first; head -c 100000000 /dev/zero | tr "\\0" x & head -c 100000000 /dev/zero | tr "\\0" y >&2; wait; grep VmHWM "/proc/$PPID/status" > "$DIR/hwm"; echo; echo last',
      );
      const result = await bench.run("a", bench.task(hook));
      expect(result.exitCode).toBe(0);
      expect(result.outputBytes).toBe(200_000_000 + 12);
      expect(result.output.length).toBeLessThan(70_000);
      expect(result.output.startsWith("first\n")).toBe(true);
      expect(result.output.endsWith("\nlast\n")).toBe(true);
      expect(result.output).toMatch(/\n\[\.\.\. output cut: \d+ bytes left out here \.\.\.\]\n/);
      const kib = Number(/(\d+) kB/.exec(bench.read("hwm"))?.[1]);
      expect(kib).toBeLessThan(160 * 1024);
    });
  });

  describe("ending a hook", () => {
    const stubborn =
      'trap "" TERM; setsid sh -c \'trap "" TERM; while :; do sleep 1; done\' & setsid sleep 300 & sleep 300 & echo up > "$DIR/up"; while :; do sleep 1; done';

    it("by its deadline: TERM, then KILL of all its processes, also those in sessions of their own", async () => {
      const result = await bench.run("a", bench.task(bench.script(stubborn), { timeoutMs: 700 }));
      expect(result).toMatchObject({ timedOut: true, cancelled: false, signal: "SIGKILL" });
      expect(processesOf("SLIPWAY_STEP", stepFile<Spec>("spec.json").marker)).toEqual([]);
    });

    it("on request, with the reason kept", async () => {
      bench.executor.start("a", bench.task(bench.script(stubborn)));
      await until(() => existsSync(bench.path("up")));
      bench.executor.cancel("a", "ann aborted");
      expect(await bench.ended("a")).toMatchObject({ cancelled: true, cancelReason: "ann aborted", timedOut: false });
      expect(processesOf("SLIPWAY_STEP", stepFile<Spec>("spec.json").marker)).toEqual([]);
    });

    it("lets a hook that heeds TERM clean up", async () => {
      const hook = bench.script('trap "echo cleaned; exit 9" TERM; echo up > "$DIR/up"; while :; do sleep 0.05; done');
      bench.executor.start("a", bench.task(hook, { graceMs: 10_000 }));
      await until(() => existsSync(bench.path("up")));
      bench.executor.cancel("a", "x");
      expect(await bench.ended("a")).toMatchObject({
        cancelled: true,
        exitCode: 9,
        output: expect.stringContaining("cleaned\n"),
      });
    });

    it("before it was started means that it never will be", async () => {
      bench.executor.cancel("a", "too late");
      expect(bench.executor.look("a")).toMatchObject({
        state: "ended",
        result: { cancelled: true, cancelReason: "too late" },
      });
      bench.executor.start("a", bench.task(bench.script('echo ran >> "$DIR/count"')));
      await until(() => bench.announced.includes("a"));
      expect(lines("count")).toEqual([]);
      expect(bench.executor.known()).toEqual(["a"]);
    });
  });

  describe("at most once", () => {
    it("however often and from wherever a start is repeated", async () => {
      const hook = bench.script('echo ran >> "$DIR/count"; sleep 0.3');
      const executors = [bench.executor, bench.open(), bench.open()];
      for (let i = 0; i < 10; i++) executors[i % 3]?.start("a", bench.task(hook));
      await bench.ended("a");
      bench.executor.start("a", bench.task(hook));
      await until(() => processesOf("SLIPWAY_RUNNER", stepFile<Spec>("spec.json").marker).length === 0);
      expect(lines("count")).toEqual(["ran"]);
      for (const executor of executors) executor.close();
    });

    it("and what was never started is absent", () => {
      expect(bench.executor.look("a")).toEqual({ state: "absent" });
    });

    it("forgets an acknowledged step without a trace", async () => {
      await bench.run("a", bench.task(bench.script("exit 0")));
      bench.executor.forget("a");
      expect(readdirSync(bench.steps)).toEqual([]);
      expect(bench.executor.known()).toEqual([]);
    });
  });

  describe("surviving", () => {
    it("the agent's death: the hook goes on and its verdict is found", async () => {
      const hook = bench.script(
        'echo up > "$DIR/up"; while [ ! -e "$DIR/go" ]; do sleep 0.05; done; echo ended; exit 7',
      );
      const program = bench.agentProgram("a", bench.task(hook), import.meta.url);
      const agent = spawn(process.execPath, ["--conditions=@slipway/source", "--input-type=module", "-e", program], {
        stdio: "ignore",
        cwd: fileURLToPath(new URL(".", import.meta.url)),
      });
      await until(() => existsSync(bench.path("up")));
      agent.kill("SIGKILL");
      await new Promise((resolve) => agent.on("exit", resolve));
      expect(bench.executor.look("a").state).toBe("running");
      writeFileSync(bench.path("go"), "");
      expect(await bench.ended("a")).toMatchObject({ exitCode: 7, output: "ended\n" });
      await until(() => bench.announced.includes("a"));
    });

    it("a signal at the agent's group", async () => {
      const hook = bench.script('echo up > "$DIR/up"; while [ ! -e "$DIR/go" ]; do sleep 0.05; done');
      bench.executor.start("a", bench.task(hook));
      await until(() => existsSync(bench.path("up")));
      const { pid } = stepFile<Claim>("claim");
      for (const name of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.kill(pid, name);
      writeFileSync(bench.path("go"), "");
      expect(await bench.ended("a")).toMatchObject({ exitCode: 0, timedOut: false });
    });

    it("not the runner's death: the hook is ended and its verdict unknown", async () => {
      const hook = bench.script('echo working; echo "message=half" >> "$SLIPWAY_OUTPUT"; setsid sleep 300 & sleep 300');
      bench.executor.start("a", bench.task(hook));
      await until(() => existsSync(join(bench.steps, readdirSync(bench.steps)[0] ?? "", "output.json")));
      const claim = stepFile<Claim>("claim");
      process.kill(claim.pid, "SIGKILL");
      await until(() => !isAlive(claim.pid, claim.startTime));
      const look = await until(() => {
        const now = bench.executor.look("a");
        return now.state === "lost" ? now : undefined;
      });
      expect(look).toMatchObject({
        output: "working\n",
        outputBytes: 8,
        bootId: "boot1",
        requests: { message: "half" },
      });
      expect(look.reason).toMatch(/^the hook's runner \(process \d+\) was killed/);
      expect(processesOf("SLIPWAY_STEP", stepFile<Spec>("spec.json").marker)).toEqual([]);
      bench.executor.start("a", bench.task(hook));
      expect(bench.executor.look("a").state).toBe("lost");
    });

    it("not a power cut: runner and hook are gone, and the earlier boot is named", async () => {
      bench.executor.start("a", bench.task(bench.script('echo up > "$DIR/up"; setsid sleep 300 & sleep 300')));
      await until(() => existsSync(bench.path("up")));
      bench.executor.cutPower();
      bench.bootId = "boot2";
      expect(bench.executor.look("a")).toMatchObject({ state: "lost", bootId: "boot1" });
    });
  });

  describe("progress", () => {
    it("is what the hook said last", async () => {
      const hook = bench.script(
        'echo "progress=40" >> "$SLIPWAY_OUTPUT"; echo "message=packages" >> "$SLIPWAY_OUTPUT"; while [ ! -e "$DIR/go" ]; do sleep 0.05; done',
      );
      expect(bench.executor.progress("a")).toBeUndefined();
      bench.executor.start("a", bench.task(hook));
      await until(() => bench.executor.progress("a")?.message === "packages");
      expect(bench.executor.progress("a")).toEqual({ percent: 40, message: "packages" });
      writeFileSync(bench.path("go"), "");
      await bench.ended("a");
    });
  });
});
