import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { ProbeSpec } from "../steps/types.ts";
import type { Answer } from "./answer.ts";
import { EvidenceLog } from "./evidence.ts";
import { sendRequest } from "./http.ts";
import { createProbes, probes } from "./index.ts";
import { probeJobs } from "./jobs.ts";

const spec: ProbeSpec = { kind: "probe", system: "pacemaker", settings: {}, timeoutMs: 10_000, going: [] };
let waiting: { readonly argv: string; readonly timeoutMs: number; readonly answer: (stdout: string) => void }[];
const outside = {
  run: (argv: readonly string[], { timeoutMs }: { timeoutMs: number }) =>
    new Promise<Answer>((resolve) =>
      waiting.push({
        argv: argv.join(" "),
        timeoutMs,
        answer: (stdout) => resolve({ stdout, stderr: "", exitCode: 0, timedOut: false, problem: "" }),
      }),
    ),
  request: () => Promise.reject(new Error("asks nobody")),
};
const make = () => createProbes({ host: "h1", announce: () => {}, probesDir: "/nowhere/probes.d", outside });
let jobs: ReturnType<typeof make>;
beforeEach(() => {
  vi.useFakeTimers();
  waiting = [];
  jobs = make();
});
afterEach(() => {
  jobs.close();
  vi.useRealTimers();
});
const turn = () => vi.advanceTimersByTimeAsync(1);
function result(id: string) {
  const look = jobs.look(id);
  return look.state === "ended" ? look.result : undefined;
}

it("keeps what was asked and what came back", async () => {
  jobs.start("a", spec);
  await turn();
  expect(waiting.map((w) => w.argv)).toEqual(["crm_mon -1 --output-as=xml"]);
  expect(waiting[0]?.timeoutMs).toBeLessThan(10_000);
  waiting[0]?.answer("no XML at all");
  await turn();
  expect(result("a")).toMatchObject({
    verdict: "ok",
    health: {
      system: "pacemaker",
      state: "unknown",
      evidence: [{ asked: "crm_mon -1 --output-as=xml", exitCode: 0, answer: "no XML at all" }],
    },
  });
  expect(result("a")?.reason).not.toBe("");
});

it("asks one system once at a time, and another one beside it", async () => {
  jobs.start("a", spec);
  jobs.start("b", spec);
  jobs.start("c", { ...spec, system: "corosync" });
  await turn();
  expect(waiting.map((w) => w.argv.split(" ")[0])).toEqual(["crm_mon", "corosync-quorumtool"]);
  waiting[0]?.answer("");
  await turn();
  expect(waiting.map((w) => w.argv.split(" ")[0])).toEqual(["crm_mon", "corosync-quorumtool", "crm_mon"]);
});

it("does not ask any more once it was cancelled in the queue", async () => {
  jobs.start("a", spec);
  jobs.start("b", spec);
  jobs.cancel("b", "ann asked");
  await turn();
  waiting[0]?.answer("");
  await turn();
  expect(result("b")).toMatchObject({ verdict: "cancelled", reason: "ann asked" });
  expect(waiting).toHaveLength(1);
});

it("tells of a system that it does not know, and of a probe that breaks", async () => {
  jobs.start("a", { ...spec, system: "zookeeper" });
  await turn();
  expect(result("a")?.health).toMatchObject({
    state: "unknown",
    reasons: [expect.stringMatching(/^no such probe; this agent has etcd/)],
  });
  const broken = { system: "x", ask: () => Promise.reject(new TypeError("y is not a function")) };
  jobs = probeJobs([broken], { host: "h1", announce: () => {}, outside });
  jobs.start("b", { ...spec, system: "x" });
  await turn();
  expect(result("b")?.health?.reasons).toEqual(["the answer cannot be read (y is not a function)"]);
});

it("looks for the site's own probes where it was told to", async () => {
  jobs.start("a", { ...spec, system: "command", settings: { name: "own" } });
  await turn();
  expect(result("a")?.health?.reasons).toEqual(["/nowhere/probes.d: does not exist on this host"]);
});

it("answers unknown after a restart of the agent, and asks nothing", async () => {
  jobs.resume("a", spec);
  await turn();
  expect(result("a")).toMatchObject({ verdict: "interrupted", health: { state: "unknown" } });
  expect(waiting).toEqual([]);
});

it("has each system once", () => {
  expect(new Set(probes.map((p) => p.system)).size).toBe(probes.length);
});

it("sends a token out of its file, and never shows it", async () => {
  vi.useRealTimers();
  const dir = mkdtempSync(join(tmpdir(), "slipway-token-"));
  const server = createServer((request, response) => response.end(String(request.headers["x-consul-token"])));
  try {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const file = join(dir, "token");
    writeFileSync(file, "s3cret\n");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const request = { method: "GET", url, secret: { header: "X-Consul-Token", file } } as const;
    const answer = await sendRequest(request, { timeoutMs: 3_000 });
    expect(answer.stdout).toBe("s3cret");
    const log = new EvidenceLog();
    log.request(request, { ...answer, stdout: "{}" });
    expect(JSON.stringify(log.entries)).not.toMatch(/s3cret/);
    const missing = await sendRequest(
      { ...request, secret: { header: "X", file: join(dir, "none") } },
      { timeoutMs: 3_000 },
    );
    expect(missing.problem).toMatch(/none cannot be read \(ENOENT\)/);
  } finally {
    server.close();
    rmSync(dir, { recursive: true });
  }
});

it("shortens long answers, and keeps their ends and no secret of RabbitMQ's", () => {
  const log = new EvidenceLog();
  const answer = (stdout: string): Answer => ({ stdout, stderr: "", exitCode: 0, timedOut: false, problem: "" });
  log.command(["x"], answer(`head${"-".repeat(100_000)}tail`));
  log.command(["y"], answer(" * Erlang cookie hash: abc==\nrest"));
  expect(log.entries[0]?.answer.length).toBeLessThan(5_000);
  expect(log.entries[0]?.answer).toMatch(/^head[\s\S]*left out[\s\S]*tail$/);
  expect(log.entries[1]?.answer).toBe("rest");
  for (let i = 0; i < 500; i++) log.command(["z"], answer("z".repeat(1_000)));
  expect(log.entries.length).toBeLessThanOrEqual(100);
  expect(JSON.stringify(log.entries).length).toBeLessThan(100_000);
});
