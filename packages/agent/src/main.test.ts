import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { agentWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DirectExecutor } from "./executors/direct/direct.ts";
import { until } from "./testing/bench.ts";
import { FakeController } from "./testing/controller.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const { ENDED, ACCEPTED } = agentWire.StepState;

interface Agent {
  readonly process: ChildProcess;
  readonly exited: Promise<number | string>;
  stderr: string;
  stdout: string;
}

let dir: string;
let agents: Agent[];
let controller: FakeController;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "slipway-agent-"));
  mkdirSync(join(dir, "hooks"));
  agents = [];
  controller = await FakeController.start();
});
afterEach(async () => {
  for (const agent of agents) {
    agent.process.kill("SIGKILL");
    await agent.exited;
  }
  controller.stop();
  const steps = join(dir, "state", "steps");
  const executor = new DirectExecutor({ dir: steps, bootId: () => "", announce: () => {}, log: () => {} });
  executor.cutPower();
  rmSync(dir, { recursive: true, force: true });
});

function start(...args: string[]): Agent {
  const child = spawn(process.execPath, ["--conditions=@slipway/source", MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise<number | string>((resolve) =>
    child.on("close", (code, name) => resolve(code ?? name ?? "")),
  );
  const agent: Agent = { process: child, exited, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    agent.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    agent.stderr += chunk;
  });
  agents.push(agent);
  return agent;
}

function properties(change: Record<string, string> = {}): string {
  const token = join(dir, "token");
  if (!existsSync(join(dir, "state"))) writeFileSync(token, controller.token());
  const entries = {
    "rolling.maintenance.hooks.dir": join(dir, "hooks"),
    "slipway.controllers": controller.address,
    "slipway.enrol": controller.enrolment,
    "slipway.token.file": token,
    "slipway.host": "hv1",
    "slipway.labels": "cluster=c1",
    "slipway.state.dir": join(dir, "state"),
    "slipway.platform": "simulated",
    ...change,
  };
  const file = join(dir, "agent.properties");
  writeFileSync(
    file,
    Object.entries(entries)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  );
  return file;
}

function run(): Agent {
  return start("run", "--properties", properties());
}

function hook(stage: string, body: string): void {
  const file = join(dir, "hooks", stage);
  writeFileSync(file, `#!/bin/sh\ncd ${dir}\n${body}\n`);
  chmodSync(file, 0o755);
}

describe("slipway-agent run", () => {
  it("enrols, says Hello, runs a step, keeps beating, and stops when told", async () => {
    const agent = run();
    await until(() => controller.sessions === 1);
    hook("Maintenance", 'printf "%s|" "$@"; echo "$SLIPWAY_RUN $SLIPWAY_STAGE $SLIPWAY_LABEL_CLUSTER"; exit 4');
    await until(() => controller.requests.some(({ message }) => message.case === "heartbeat"));
    const hello = controller.requests[0]?.message;
    expect(hello?.case === "hello" && hello.value).toMatchObject({
      host: "hv1",
      executor: "direct",
      labels: { cluster: "c1" },
      hooks: { problem: "" },
    });
    controller.startStep("Maintenance", 1, ["a b", "$(id)"]);
    const report = await until(() => controller.ended("Maintenance"));
    expect(report).toMatchObject({
      verdict: agentWire.Verdict.FAILED,
      exitCode: 4,
      reason: "exit status 4",
      output: "a b|$(id)|r1 Maintenance c1\n",
      hookFile: join(dir, "hooks", "Maintenance"),
    });
    expect(controller.reports("Maintenance").map((r) => r.state)).toEqual([ACCEPTED, ENDED]);
    expect(existsSync(join(dir, "token"))).toBe(false);
    agent.process.kill("SIGTERM");
    expect(await agent.exited).toBe(0);
    expect(agent.stderr).toContain("connecting => connected");
  });

  it("is found again after its death: the hook ran once and its verdict is true", async () => {
    hook("Maintenance", "echo run >> count; while [ ! -e go ]; do sleep 0.05; done; exit 5");
    const first = run();
    await until(() => controller.sessions === 1);
    controller.startStep("Maintenance");
    await until(() => existsSync(join(dir, "count")));
    first.process.kill("SIGKILL");
    await first.exited;
    run();
    await until(() => controller.sessions === 2);
    controller.startStep("Maintenance");
    writeFileSync(join(dir, "go"), "");
    expect(await until(() => controller.ended("Maintenance"))).toMatchObject({ exitCode: 5 });
    expect(readFileSync(join(dir, "count"), "utf8")).toBe("run\n");
  });

  it("goes on while its controller is away, and tells it afterwards", async () => {
    hook("Maintenance", "sleep 0.3; exit 0");
    controller.acknowledges = false;
    run();
    await until(() => controller.sessions === 1);
    controller.startStep("Maintenance");
    await until(() => controller.reports("Maintenance").length === 1);
    controller.stop();
    controller.requests.length = 0;
    controller.acknowledges = true;
    await new Promise((resolve) => setTimeout(resolve, 500));
    await controller.listen();
    expect(await until(() => controller.ended("Maintenance"))).toMatchObject({ verdict: agentWire.Verdict.OK });
    expect(controller.reports("Maintenance").map((r) => [r.state, r.outboxId])).toEqual([
      [ACCEPTED, 1n],
      [ENDED, 2n],
    ]);
  });

  it("reboots its simulated host and proves it by the boot ids", async () => {
    const agent = run();
    await until(() => controller.sessions === 1);
    controller.startStep("reboot");
    expect(await agent.exited).toBe(75);
    run();
    const report = await until(() => controller.ended("reboot"));
    expect(report.verdict).toBe(agentWire.Verdict.OK);
    expect(report.bootIdBefore).not.toBe("");
    expect(report.bootIdAfter).not.toBe(report.bootIdBefore);
  });

  it("moves a simulated instance, whose files outlive the agent, and boots with those that start by themselves", async () => {
    const [moved, stays] = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];
    const world = join(dir, "state", "world");
    const file = (host: string, uuid: string) => join(world, host, `${uuid}.json`);
    const agent = run();
    await until(() => controller.sessions === 1);
    mkdirSync(join(world, "hv2"));
    writeFileSync(join(world, "hv2", "boot"), "b1");
    writeFileSync(file("hv1", stays), JSON.stringify({ name: "vm2", autostart: true }));
    writeFileSync(file("hv1", moved), JSON.stringify({ name: "vm1", memoryMib: 64 }));
    const told = () =>
      controller.requests.flatMap(({ message }) => (message.case === "inventory" ? [message.value] : []));
    await until(() => told().at(-1)?.instances.length === 2);
    expect(told().at(-1)).toMatchObject({ platform: "simulated", problem: "", cordonedBy: "" });
    controller.send({ case: "setCordon", value: { holder: "r1", reason: "" } });
    const key = { run: "r1", host: "hv1", step: `move:${moved}`, attempt: 1 };
    const move = { to: "hv2", uri: "simulated://hv2" };
    const instance = { verb: "move", uuid: moved, name: "vm1", generation: 1, timeoutMs: 10_000n, move };
    controller.send({ case: "start", value: { key, spec: { case: "instance", value: instance } } });
    expect(await until(() => controller.ended(key.step))).toMatchObject({
      verdict: agentWire.Verdict.OK,
      instance: { present: false, bytes: 64n * 1_048_576n },
    });
    expect([existsSync(file("hv1", moved)), existsSync(file("hv2", moved))]).toEqual([false, true]);
    controller.startStep("reboot");
    expect(await agent.exited).toBe(75);
    expect(JSON.parse(readFileSync(file("hv1", stays), "utf8"))).toMatchObject({ state: "shutoff" });
    run();
    await until(() => controller.ended("reboot"));
    await until(() => told().at(-1)?.instances[0]?.state === "running");
    expect(told().at(-1)).toMatchObject({ cordonedBy: "r1", instances: [{ uuid: stays, state: "running" }] });
  });

  it("says that libvirt cannot be read, and goes on with what needs none", async () => {
    const uri = `qemu+unix:///system?socket=${join(dir, "no-such-socket")}`;
    const file = properties({ "slipway.platform": "libvirt", "slipway.libvirt.uri": uri });
    const agent = start("run", "--properties", file);
    const told = await until(() =>
      controller.requests.flatMap(({ message }) => (message.case === "inventory" ? [message.value] : [])).at(0),
    );
    expect(told).toMatchObject({ platform: "libvirt", instances: [] });
    expect(told.problem).not.toBe("");
    controller.startStep("noop");
    expect(await until(() => controller.ended("noop"))).toMatchObject({ verdict: agentWire.Verdict.OK });
    agent.process.kill("SIGTERM");
    expect(await agent.exited).toBe(0);
  });

  it("is alone on its state directory", async () => {
    run();
    await until(() => controller.sessions === 1);
    const second = run();
    expect(await second.exited).toBe(1);
    expect(second.stderr).toMatch(/^slipway-agent: .*journal\.db: in use by another agent process; .*\n$/);
  });
});

describe("slipway-agent refuses in one line", () => {
  async function refusal(agent: Agent): Promise<[number | string, string]> {
    return [await agent.exited, agent.stderr];
  }

  it("an unknown option, a missing file, a wrong key", async () => {
    expect(await refusal(start("run", "--propertes", "x"))).toEqual([
      2,
      "slipway-agent: unknown option '--propertes' (Did you mean --properties?); see slipway-agent --help\n",
    ]);
    expect(await refusal(start("run", "--properties", join(dir, "no")))).toEqual([
      2,
      `slipway-agent: ${join(dir, "no")}: cannot be read (ENOENT); give the file with --properties\n`,
    ]);
    const file = properties({ "slipway.labls": "a=b" });
    expect(await refusal(start("run", "--properties", file))).toEqual([
      2,
      `slipway-agent: ${file}:9: unknown key slipway.labls; did you mean slipway.labels?\n`,
    ]);
  });

  it("a certificate that the controller would refuse", async () => {
    const { key, certificate } = await controller.issueFor("hv2");
    const tls = join(dir, "state", "tls");
    mkdirSync(tls, { recursive: true });
    writeFileSync(join(tls, "ca.pem"), controller.ca);
    writeFileSync(join(tls, "agent.pem"), certificate);
    writeFileSync(join(tls, "agent.key"), key);
    const [status, text] = await refusal(run());
    expect(status).toBe(2);
    expect(text).toContain("is for host hv2, but slipway.host is hv1; set slipway.host=hv2, or enrol this host anew");
  });

  it("a token that does not work any more", async () => {
    const file = properties();
    const token = readFileSync(join(dir, "token"), "utf8");
    const first = start("run", "--properties", file);
    await until(() => controller.sessions === 1);
    first.process.kill("SIGKILL");
    await first.exited;
    rmSync(join(dir, "state"), { recursive: true });
    writeFileSync(join(dir, "token"), token);
    const [status, text] = await refusal(start("run", "--properties", file));
    expect(status).toBe(1);
    expect(text).toContain("slipway-agent: token: used already; make a new one\n");
  });
});

describe("slipway-agent hooks", () => {
  it("lists the stages and fails when one would be refused", async () => {
    hook("PreFlight", "exit 0");
    const file = properties();
    const good = start("hooks", "--properties", file);
    expect(await good.exited).toBe(0);
    expect(good.stdout).toMatch(/^PreFlight {8}ok {4}\/.*\/PreFlight {2}sha256 [0-9a-f]{64}\nPreMaintenance {3}none\n/);
    writeFileSync(join(dir, "hooks", "Maintenance"), "");
    const bad = start("hooks", "--properties", file);
    expect(await bad.exited).toBe(1);
    expect(bad.stdout).toMatch(/Maintenance {6}bad {3}.*\/Maintenance: is empty; write the hook/);
  });
});

describe("slipway-agent doctor", () => {
  it("says what is wrong, and fails if anything is", async () => {
    const doctor = start("doctor", "--properties", properties({ "rolling.maintenance.hooks.dir": join(dir, "no") }));
    expect(await doctor.exited).toBe(1);
    expect(doctor.stdout).toMatch(/^bad {3}hooks .*\/no: does not exist; create it/m);
    expect(doctor.stderr).toBe("");
  });
});

it("slipway-agent knows its version and its help", async () => {
  const version = start("--version");
  expect([await version.exited, version.stdout]).toEqual([0, "0.1.0\n"]);
  const help = start("--help");
  expect(await help.exited).toBe(0);
  expect(help.stdout).toContain("Usage: slipway-agent");
});
