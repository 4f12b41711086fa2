import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { init } from "./commands/init.ts";
import { main } from "./main.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
let base: string;
const running = new Set<ChildProcess>();
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "slipway-main-"));
});
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(base, { recursive: true, force: true });
});

function start(...args: string[]) {
  const child = spawn(process.execPath, ["--conditions=@slipway/source", "--no-warnings", MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "", SLIPWAY_LOG: "info" },
  });
  running.add(child);
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].on("data", (bytes) => {
      text[name] += bytes;
      child.emit("said");
    });
  const end = new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on("close", (status) => {
      running.delete(child);
      resolve({ status, ...text });
    });
  });
  const said = (what: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => text.stderr.includes(what) && resolve();
      child.on("said", look);
      child.on("close", () => reject(new Error(`ended without ${what}: ${text.stderr}`)));
      look();
    });
  return { child, end, said };
}

/** The program in this process: what it says on stderr, and its exit status. */
async function inProcess(...args: string[]): Promise<{ status: unknown; stderr: string }> {
  let stderr = "";
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  const before = process.exitCode;
  try {
    await main(["node", "slipway-controller", ...args]);
    return { status: process.exitCode, stderr };
  } finally {
    process.exitCode = before;
    write.mockRestore();
  }
}

// Processes start slowly on a busy machine.
const SLOW = 90_000;

test(
  "runs until SIGTERM; a second one on the directory, or a killed one before it, are told apart",
  async () => {
    const dir = join(base, "controller");
    await init({ dir, listen: "127.0.0.1:0", enrolListen: "127.0.0.1:0" });
    const killed = start("run", "--dir", dir);
    await killed.said('"ready"');
    expect(await inProcess("run", "--dir", dir)).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^slipway-controller: [^\n]*another slipway-controller runs[^\n]*\n$/),
    });
    killed.child.kill("SIGKILL");
    await killed.end;
    const next = start("run", "--dir", dir);
    await next.said('"ready"');
    next.child.kill("SIGTERM");
    expect((await next.end).status).toBe(0);
  },
  SLOW,
);

test.each([
  [["frobnicate"], "unknown command 'frobnicate'; see slipway-controller --help"],
  [["init"], "required option '--dir <dir>' not specified"],
  [["init", "--dir", "x", "--listen", "here"], '--listen: "here" is no host:port'],
  [["run", "--dir", "/nonexistent", "--colour"], "unknown option '--colour'"],
  [["run", "--dir", "/nonexistent"], "make one with slipway-controller init --dir /nonexistent"],
])("wrong use is one line and status 2: %j", async (args, text) => {
  const { status, stderr } = await inProcess(...args);
  expect(status).toBe(2);
  expect(stderr).toMatch(/^slipway-controller: [^\n]*\n$/);
  expect(stderr).toContain(text);
});
