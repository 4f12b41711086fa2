import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UUID_PATTERN } from "@slipway/shared";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Child } from "./child.ts";
import { numberedHosts, parseLabels, parsePool } from "./pool.ts";
import { PoolDir } from "./pooldir.ts";
import { commandOf, endLeftovers, readPid } from "./processes.ts";
import { lastLine } from "./run.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-dev-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe("pool file", () => {
  const labels = parseLabels(undefined);
  const empty = { instances: [], machine: {} };
  test("labels are laid over the defaults, hooksDir is relative to the file", () => {
    const pool = parsePool(
      "/p/pool.yaml",
      "hosts:\n  - name: a\n    labels: {cluster: c2, rack: 7}\n    hooksDir: h\n  - name: b\n",
      labels,
    );
    expect(pool).toEqual([
      { name: "a", labels: { cluster: "c2", pod: "p1", zone: "z1", rack: "7" }, hooksDir: "/p/h", ...empty },
      { name: "b", labels, hooksDir: undefined, ...empty },
    ]);
  });
  test("hosts may have instances and a machine of their own", () => {
    const text =
      "hosts:\n  - name: a\n    machine: { memoryMib: 4096 }\n    instances: [vm1, { name: vm2, memoryMib: 2048 }]\n";
    expect(parsePool("pool.yaml", text, labels)).toMatchObject([
      { machine: { memoryMib: 4096 }, instances: [{ name: "vm1" }, { name: "vm2", memoryMib: 2048 }] },
    ]);
    expect(numberedHosts("2", labels, undefined, 2).map((h) => h.instances.map((i) => i.name))).toEqual([
      ["vm1", "vm2"],
      ["vm3", "vm4"],
    ]);
  });
  test.each([
    ["", /pool\.yaml:1: is no map/],
    ["host: []\n", /:1: key "host" is unknown/],
    ["hosts: []\n", /:1: hosts is no list of hosts/],
    ["hosts:\n  - name: a\n  - name: a\n", /:3: host a is there twice/],
    ["hosts:\n  - name: ../a\n", /:2: host name "\.\.\/a" cannot be used/],
    ["hosts:\n  - name: a\n    lables: {}\n", /:3: key "lables" is unknown; did you mean "labels"\?/],
    ["hosts:\n  - name: a\n    labels: {x: 'a,b'}\n", /:3: label "x: a,b" cannot be used/],
    ["hosts: [\n", /not valid YAML/],
    ["hosts:\n  - name: a\n    instances:\n      - memoryMib: 1\n", /:4: an instance has no name/],
    ["hosts:\n  - name: a\n    instances: [x]\n  - name: b\n    instances: [x]\n", /:5: instance x is there twice/],
  ])("%j is refused with its line", (text, expected) => {
    expect(() => parsePool("pool.yaml", text, labels)).toThrow(expected);
  });
  test.each(["cluster", "=x", "a=b,c", "a=b c"])("--labels %j is refused", (text) => {
    expect(() => parseLabels(text)).toThrow(/is no label/);
  });
});

/** A program that writes its arguments to its log and lives until it is ended. */
const node = (script: string) => ({ file: process.execPath, words: ["-e", script] });
const spec = (script: string) => ({
  name: "hv1",
  program: node(script),
  args: ["--", `${dir}/x`],
  logFile: join(dir, "agent.log"),
  pidFile: join(dir, "agent.pid"),
  env: process.env,
});

test("a process that ends is started again with a new pid; a reboot is called one; stop ends it for good", async () => {
  const said: string[] = [];
  const flag = join(dir, "second");
  const script = `const fs=require("fs"); if (fs.existsSync(${JSON.stringify(flag)})) { console.log("again"); setInterval(()=>{},1e6); } else { fs.writeFileSync(${JSON.stringify(flag)}, ""); process.exit(75); }`;
  const child = new Child(spec(script), (line) => said.push(line));
  child.start();
  const first = readPid(join(dir, "agent.pid"));
  try {
    await vi.waitFor(() => expect(readFileSync(join(dir, "agent.log"), "utf8")).toContain("again"), 10_000);
    expect(said).toEqual(["hv1: rebooting"]);
    const second = readPid(join(dir, "agent.pid"));
    expect(second).toBeDefined();
    expect(second).not.toBe(first);
    await child.stop(5000);
    expect(commandOf(second ?? 0)).toBeUndefined();
    expect(existsSync(join(dir, "agent.pid"))).toBe(false);
  } finally {
    await child.stop(0);
  }
});

test("one that ignores TERM is killed after the grace", async () => {
  const child = new Child(spec(`process.on("SIGTERM",()=>{}); console.log("up"); setInterval(()=>{},1e6)`), () => {});
  child.start();
  await vi.waitFor(() => expect(readFileSync(join(dir, "agent.log"), "utf8")).toContain("up"), 10_000);
  const pid = readPid(join(dir, "agent.pid")) ?? 0;
  await child.stop(200);
  expect(commandOf(pid)).toBeUndefined();
});

test("leftovers are ended only when their command line is of this pool", async () => {
  const other = spawn(process.execPath, ["-e", "setInterval(()=>{},1e6)"], { stdio: "ignore" });
  const mine = spawn(process.execPath, ["-e", "setInterval(()=>{},1e6)", "--", `${dir}/controller`], {
    stdio: "ignore",
  });
  try {
    const pids = [other.pid ?? 0, mine.pid ?? 0];
    await vi.waitFor(() => expect(commandOf(pids[1] ?? 0)).toContain(dir), 10_000);
    expect(await endLeftovers(pids, `${dir}/`)).toBe(1);
    expect(commandOf(pids[0] ?? 0)).toBeDefined();
    expect(commandOf(pids[1] ?? 0)).toBeUndefined();
  } finally {
    other.kill("SIGKILL");
    mine.kill("SIGKILL");
  }
});

test("a second dev on the same directory is refused; a stale lock is not", async () => {
  const pool = new PoolDir(dir);
  writeFileSync(pool.lock, "999999999\n");
  pool.acquire();
  expect(readPid(pool.lock)).toBe(process.pid);
  pool.release();
  expect(existsSync(pool.lock)).toBe(false);
  const running = spawn(process.execPath, ["-e", "setInterval(()=>{},1e6)", "--", "dev"], { stdio: "ignore" });
  try {
    writeFileSync(pool.lock, `${running.pid}\n`);
    await vi.waitFor(() => expect(commandOf(running.pid ?? 0)).toContain("dev"), 10_000);
    expect(() => pool.acquire()).toThrow(`process ${running.pid} already runs the pool in ${dir}; stop it with`);
  } finally {
    running.kill("SIGKILL");
  }
});

test("ports are kept from one life to the next", async () => {
  const pool = new PoolDir(dir);
  const first = await pool.choosePorts();
  expect(first.operator).not.toBe(first.enrol);
  expect(await pool.choosePorts()).toEqual(first);
  writeFileSync(pool.ports, "{");
  expect((await pool.choosePorts()).operator).toBeGreaterThan(0);
});

test("agent.properties names everything the agent needs", () => {
  const pool = new PoolDir(dir);
  const file = pool.prepareHost(
    { name: "hv1", labels: { cluster: "c1", zone: "z1" }, hooksDir: undefined, instances: [], machine: {} },
    { operator: 1, enrol: 2 },
    "simulated",
  );
  const text = readFileSync(file, "utf8");
  expect(text).toContain(`rolling.maintenance.hooks.dir=${dir}/hosts/hv1/hooks\n`);
  expect(text).toContain("slipway.controllers=127.0.0.1:1\nslipway.enrol=127.0.0.1:2\n");
  expect(text).toContain("slipway.labels=cluster=c1,zone=z1\n");
  expect(pool.isEnrolled("hv1")).toBe(false);
});

test("the last line of a log is found in a large file", () => {
  const file = join(dir, "log");
  writeFileSync(file, `${"x\n".repeat(10_000)}the end\x1b\n`);
  expect(lastLine(file)).toBe("the end");
  expect(lastLine(join(dir, "none"))).toBe("");
});

test("the world of the simulated platform is seeded once, and then left to its hosts", () => {
  const pool = new PoolDir(dir);
  const host = {
    name: "hv1",
    labels: {},
    hooksDir: undefined,
    machine: { cpus: 2 },
    instances: [{ name: "vm1", vcpus: 2 }],
  };
  pool.seedWorld([host]);
  expect(JSON.parse(readFileSync(join(pool.world, "hv1", "host.json"), "utf8"))).toEqual({ cpus: 2 });
  const [file = ""] = readdirSync(join(pool.world, "hv1")).filter((f) => f !== "host.json");
  expect(file).toMatch(new RegExp(`${UUID_PATTERN.source.slice(0, -1)}\\.json$`));
  expect(JSON.parse(readFileSync(join(pool.world, "hv1", file), "utf8"))).toEqual({ name: "vm1", vcpus: 2 });
  rmSync(join(pool.world, "hv1", file));
  pool.seedWorld([host]);
  expect(existsSync(join(pool.world, "hv1", file))).toBe(false);
});
