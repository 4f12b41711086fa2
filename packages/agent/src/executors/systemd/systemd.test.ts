import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { names, takeClaim, writeDurably } from "../../runner/files.ts";
import { until } from "../../testing/bench.ts";
import type { Answer, Systemd } from "./systemctl.ts";
import { SystemdExecutor } from "./systemd.ts";
import { stoppedName, unitName } from "./unit.ts";

/** A systemd that says what the test wants, and runners that exist only as files. */
class FakeSystemd implements Systemd {
  readonly calls: string[] = [];
  runAnswer: Answer = { ok: true, text: "" };
  showAnswer: Answer = { ok: true, text: "LoadState=loaded\nActiveState=active\n" };
  async run(): Promise<Answer> {
    this.calls.push("run");
    return this.runAnswer;
  }
  async systemctl(args: readonly string[]): Promise<Answer> {
    this.calls.push(args[0] ?? "");
    return this.showAnswer;
  }
}

let dir: string;
let systemd: FakeSystemd;
let bootId: string;
let logged: string[];
let announced: string[];
let executor: SystemdExecutor;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-systemd-"));
  systemd = new FakeSystemd();
  bootId = "boot1";
  logged = [];
  announced = [];
  executor = new SystemdExecutor({
    dir,
    bootId: () => bootId,
    announce: (id) => announced.push(id),
    log: (_level, text) => logged.push(text),
    limits: {},
    systemd,
  });
});
afterEach(() => {
  executor.close();
  rmSync(dir, { recursive: true, force: true });
});

const task = { program: "/x", args: [], env: {}, timeoutMs: 1000, graceMs: 10, bootId: "boot1" };
const turn = () => new Promise((resolve) => setImmediate(resolve));
/** A process that is certainly dead: no start time is 0. */
const dead = { pid: 1, startTime: "0" };

function stepDir(): string {
  const [name] = readdirSync(dir);
  if (name === undefined) throw new Error("no step");
  return join(dir, name);
}
function claimByDeadRunner(): void {
  executor.start("a", task);
  takeClaim(stepDir(), {
    id: "a",
    ...dead,
    bootId: "boot1",
    claimedAtMs: 1,
    unit: unitName(dir, "a"),
    invocation: "i1",
  });
}

it("a state directory that a unit cannot name is refused at once", () => {
  const options = { dir: join(dir, "a;b"), bootId: () => "", announce: () => {}, log: () => {}, limits: {}, systemd };
  expect(() => new SystemdExecutor(options)).toThrow(/a;b: cannot be named in a systemd unit; use a path of letters/);
});

describe("a start", () => {
  it("that systemd refuses is given up after a few times, with systemd's words", async () => {
    systemd.runAnswer = { ok: false, reason: "systemd-run: Unknown assignment: Foo=1" };
    for (let i = 0; i < 6; i++) {
      expect(executor.look("a").state).toBe("absent");
      executor.start("a", task);
      await turn();
    }
    expect(executor.look("a")).toMatchObject({
      state: "ended",
      result: {
        cancelled: true,
        cancelReason: "systemd does not start its unit: systemd-run: Unknown assignment: Foo=1",
      },
    });
    await until(() => announced.includes("a"));
  });
  it("that finds its unit there already is no refusal", async () => {
    systemd.runAnswer = {
      ok: false,
      reason: "Failed to start transient service unit: Unit x.service was already loaded",
    };
    for (let i = 0; i < 10; i++) {
      executor.start("a", task);
      await turn();
    }
    expect([executor.look("a").state, logged]).toEqual(["absent", []]);
  });
  it("on a host that goes down waits for the next boot", async () => {
    systemd.runAnswer = { ok: false, reason: "Transaction for x.service/start is destructive (reboot.target ...)" };
    for (let i = 0; i < 10; i++) {
      executor.start("a", task);
      await turn();
    }
    expect(executor.look("a").state).toBe("absent");
  });
  it("is asked for once at a time", async () => {
    executor.start("a", task);
    executor.start("a", task);
    expect(systemd.calls).toEqual(["run"]);
    await turn();
  });
});

describe("a dead runner without a result", () => {
  it("counts as running as long as systemd says that its unit is up, or says nothing", async () => {
    claimByDeadRunner();
    expect(executor.look("a").state).toBe("running");
    await turn();
    expect(executor.look("a").state).toBe("running");
    systemd.showAnswer = { ok: false, reason: "systemctl: Failed to connect to bus" };
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 210));
      expect(executor.look("a").state).toBe("running");
    }
    expect(logged).toEqual(["a: systemd cannot be asked (systemctl: Failed to connect to bus); it counts as running"]);
  });
  it("is lost once systemd says that the unit is gone, and the record of its stop says why", async () => {
    claimByDeadRunner();
    writeDurably(stepDir(), stoppedName("i0"), "result=oom-kill\n");
    writeDurably(stepDir(), stoppedName("i1"), "result=signal\ncode=killed\nstatus=KILL\nsystem=running\n");
    systemd.showAnswer = { ok: true, text: "LoadState=not-found\nActiveState=inactive\n" };
    expect(executor.look("a").state).toBe("running");
    await until(() => announced.includes("a"));
    expect(executor.look("a")).toMatchObject({
      state: "lost",
      reason: "the hook's runner (process 1) was killed (KILL)",
      bootId: "boot1",
    });
  });
  it("of an earlier boot is lost by power, or by a shutdown if systemd could still say so", () => {
    claimByDeadRunner();
    bootId = "boot2";
    expect(executor.look("a")).toMatchObject({ state: "lost", cut: "power", bootId: "boot1" });
    writeDurably(stepDir(), stoppedName("i1"), "result=timeout\nsystem=stopping\n");
    expect(executor.look("a")).toMatchObject({ state: "lost", cut: "shutdown" });
    expect(systemd.calls).toEqual(["run"]);
  });
  it("that recorded a result has ended, whatever systemd says", () => {
    claimByDeadRunner();
    writeDurably(stepDir(), names.result, JSON.stringify({ exitCode: 0, signal: "", requests: "", bootId: "boot1" }));
    expect(executor.look("a").state).toBe("ended");
    expect(existsSync(stepDir())).toBe(true);
  });
});
