import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import type { Answer } from "../../packages/agent/src/probes/answer.ts";
import { createProbes } from "../../packages/agent/src/probes/index.ts";
import { createServices } from "../../packages/agent/src/services/index.ts";
import { parsePool } from "../../packages/controller/src/pool/pool.ts";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));
// The demo's file is of another kind: it makes hosts up.
const files = ["pool", "pools"].flatMap((dir) =>
  readdirSync(join(examples, dir))
    .filter((f) => f.endsWith(".yaml"))
    .map((f) => join(dir, f)),
);
const read = (file: string) => parsePool(file, readFileSync(join(examples, file), "utf8"));

/** Nobody answers: what is left is what the agent thinks of the settings. */
const outside = {
  run: () => Promise.resolve<Answer>({ stdout: "", stderr: "", timedOut: false, problem: "nobody is there" }),
  request: () => Promise.resolve<Answer>({ stdout: "", stderr: "", timedOut: false, problem: "nobody is there" }),
};
let stateDir = "";
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

/** Reasons of everything that the file has agents read, stop and start. */
async function reasons(file: string): Promise<string[]> {
  const { quorum } = read(file);
  const ended = new Map<string, () => void>();
  stateDir = mkdtempSync(join(tmpdir(), "slipway-examples-"));
  const options = { host: "top1", announce: (id: string) => ended.get(id)?.(), outside };
  const probes = createProbes(options);
  const services = createServices({ ...options, stateDir });
  const asked: { system: string; settings: Readonly<Record<string, string>> }[] = [
    ...quorum.probes,
    ...quorum.groups.flatMap((g) => g.members.flatMap((m) => m.check ?? [])),
  ];
  const found: string[] = [];
  for (const [n, { system, settings }] of asked.entries()) {
    const over = new Promise<void>((resolve) => ended.set(`p${n}`, resolve));
    probes.start(`p${n}`, { kind: "probe", system, settings, timeoutMs: 5_000, going: [] });
    await over;
    const look = probes.look(`p${n}`);
    found.push(...(look.state === "ended" ? (look.result.health?.reasons ?? ["no health"]) : [look.state]));
  }
  for (const [n, { kind, name, settings }] of quorum.services.flatMap((r) => r.services).entries()) {
    const over = new Promise<void>((resolve) => ended.set(`s${n}`, resolve));
    services.start(`s${n}`, {
      kind: "service",
      verb: "service-check",
      service: kind,
      name,
      settings,
      timeoutMs: 5_000,
    });
    await over;
    const look = services.look(`s${n}`);
    found.push(look.state === "ended" ? look.result.reason : look.state);
  }
  probes.close();
  services.close();
  return found;
}

describe.each(files)("examples/%s", (file) => {
  test("is a pool file without a mistake", () => {
    expect(() => read(file)).not.toThrow();
  });
  test("gives agents settings that they know", async () => {
    expect((await reasons(file)).filter((r) => /setting|no such probe|no service of kind/.test(r))).toEqual([]);
  });
});

test("a setting that no agent knows would be seen", async () => {
  const probes = createProbes({ host: "top1", announce: () => done?.(), outside });
  let done: (() => void) | undefined;
  const over = new Promise<void>((resolve) => {
    done = resolve;
  });
  probes.start("p", { kind: "probe", system: "gluster", settings: { volumes: "a" }, timeoutMs: 5_000, going: [] });
  await over;
  const look = probes.look("p");
  expect(look.state === "ended" && look.result.health?.reasons[0]).toMatch(/setting volumes is not known/);
});

describe("the Ocean stack's pool file", () => {
  const { pool, quorum } = read("pools/ocean.yaml");

  test("stops VMs, then clients, then servers, then what all of them need", () => {
    const [rule, ...more] = quorum.services;
    expect(more).toEqual([]);
    expect(rule?.services.map((s) => s.kind)).toEqual(["fleet", "gluster-mounts", "gluster", "etcd"]);
  });
  test("reads what a host is about to stop, from two sides", () => {
    expect(quorum.probes.map((p) => [p.system, p.views])).toEqual([
      ["etcd", 2],
      ["gluster", 2],
      ["fleet", 2],
    ]);
  });
  test("lets one of three name servers be down", () => {
    expect(quorum.groups.map((g) => [g.name, g.needed, g.members.length])).toEqual([
      ["dns", 2, 3],
      ["dhcp", 1, 2],
      ["admin", 1, 2],
    ]);
  });
  test("leaves no VM without a weight, and no rule but that of pinned ones gives a policy", () => {
    expect(pool.instances.every((r) => r.weight !== undefined)).toBe(true);
    expect(pool.instances.filter((r) => r.policy).map((r) => [r.match, r.policy])).toEqual([
      ["pcocc-vm-lnet*.service", "shutdown-restart"],
    ]);
  });
});
