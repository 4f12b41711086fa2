import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HookFile, hookSetHash, sha256 } from "@slipway/shared/node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../program.ts";
import { plainPaint } from "../render/text.ts";
import { FakeIo, FakeOperator } from "../testing/fakeOperator.ts";
import { diffHooks } from "./diff.ts";
import { readHookDir } from "./read.ts";
import { renderDiff } from "./render.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-hookdir-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
function put(name: string, content = "#!/bin/sh\n", mode = 0o755): void {
  writeFileSync(join(dir, name), content);
  chmodSync(join(dir, name), mode);
}

describe("reading a directory", () => {
  test("takes plain files and links to them, leaves hidden ones out", () => {
    put("Maintenance");
    put("lib.sh", "x=1\n", 0o644);
    put(".gitignore", "x");
    mkdirSync(join(dir, ".git"));
    symlinkSync("Maintenance", join(dir, "PreFlight"));
    const set = readHookDir(dir);
    expect(set.files.map((file) => [file.name, file.executable])).toEqual([
      ["Maintenance", true],
      ["PreFlight", true],
      ["lib.sh", false],
    ]);
    expect(set.leftOut).toEqual([".git", ".gitignore"]);
    expect(set.hash).toBe(hookSetHash(set.files));
  });

  test("refuses everything that a host would refuse, in one line", () => {
    put("Maintenance", "#!/bin/sh\r\n");
    put("PreFlight", "#!/bin/sh\n", 0o644);
    put("a b");
    mkdirSync(join(dir, "lib"));
    symlinkSync("nothing", join(dir, "dangling"));
    const lines = (() => {
      try {
        readHookDir(dir);
        return "";
      } catch (thrown) {
        return (thrown as Error).message;
      }
    })();
    for (const part of [/Maintenance its first line ends in CR LF/, /PreFlight is not executable/, /"a b" is no plain/])
      expect(lines).toMatch(part);
    expect(lines).toMatch(/lib is no plain file; move it elsewhere.*/);
    expect(lines).toMatch(/dangling does not exist/);
    expect(lines).not.toContain("\n");
    expect(() => readHookDir(join(dir, "none"))).toThrow(/none: does not exist; name a directory/);
    expect(() => readHookDir(join(dir, "Maintenance"))).toThrow(/is no directory/);
  });
});

type Host = Parameters<typeof diffHooks>[0][number];
function host(name: string, hooks: Record<string, string>, change: Partial<Host> = {}): Host {
  const list = Object.entries(hooks).map(([stage, sha]) => ({ stage, file: "", sha256: sha, problem: "" }) as never);
  const hooksHash = Object.values(hooks).join("+");
  return { name, connected: true, hooks: list, hooksHash, hooksProblem: "", hooksDir: "/h", ...change };
}
const text = (diff: ReturnType<typeof diffHooks>, against?: string) => renderDiff(diff, against, plainPaint);

describe("comparing", () => {
  test("hosts with the same hooks", () => {
    const diff = diffHooks([host("hv2", { Maintenance: "a" }), host("hv1", { Maintenance: "a" })]);
    expect(diff.same).toBe(true);
    expect(text(diff)).toEqual(["2 hosts have the same hooks: a"]);
  });

  test("names those that differ from most, per stage", () => {
    const diff = diffHooks([
      ...["hv1", "hv2", "hv10"].map((name) => host(name, { PreFlight: "p", Maintenance: "a" })),
      host("hv3", { PreFlight: "p", Maintenance: "b" }),
      host("hv4", { Maintenance: "a" }),
    ]);
    expect(diff.same).toBe(false);
    expect(text(diff).map((line) => line.trimEnd().replace(/ +/g, " "))).toEqual([
      "STAGE SHA-256 HOSTS",
      "PreFlight p as most hv1, hv2, hv3, hv10",
      "PreFlight none differs hv4",
      "Maintenance a as most hv1, hv2, hv4, hv10",
      "Maintenance b differs hv3",
      "all files p+a as most hv1, hv2, hv10",
      "all files p+b differs hv3",
      "all files a differs hv4",
    ]);
  });

  test("takes no side where as many have the one as the other", () => {
    const diff = diffHooks([host("hv1", { Maintenance: "a" }), host("hv2", { Maintenance: "b" })]);
    expect(diff.places.find(({ place }) => place === "Maintenance")?.groups.map(({ is }) => is)).toEqual([
      "even",
      "even",
    ]);
  });

  test("finds files that hooks use, and files too many to be known", () => {
    const helper = diffHooks([
      host("hv1", { Maintenance: "a" }),
      host("hv2", { Maintenance: "a" }, { hooksHash: "x" }),
    ]);
    expect(helper.places.filter(({ same }) => !same).map(({ place }) => place)).toEqual(["all files"]);
    const many = diffHooks([1, 2].map((n) => host(`hv${n}`, { Maintenance: "a" }, { hooksHash: "" })));
    expect(many.same).toBe(false);
    expect(text(many)[1]).toMatch(/all files +unknown/);
  });

  test("never calls a host the same that was not looked at", () => {
    const diff = diffHooks([
      host("hv1", { Maintenance: "a" }),
      host("hv2", { Maintenance: "a" }, { connected: false }),
      host("hv3", {}, { hooksProblem: "/h: does not exist" }),
    ]);
    expect(diff.same).toBe(false);
    expect(text(diff).slice(1)).toEqual([
      "not compared: hv2: its agent is not connected",
      "not compared: hv3: /h: does not exist",
    ]);
  });

  test("goes by a directory when one is given, even if all hosts agree on something else", () => {
    const file: HookFile = { name: "Maintenance.sh", content: Buffer.from("#!/bin/sh\n"), executable: true };
    const set = { dir: "./hooks", files: [file], hash: hookSetHash([file]), leftOut: [] };
    const good = host("hv1", { Maintenance: sha256(file.content) }, { hooksHash: set.hash });
    expect(text(diffHooks([good], set), "./hooks")).toEqual([`1 host has the hooks of ./hooks: ${set.hash}`]);
    const diff = diffHooks(
      [1, 2].map((n) => host(`hv${n}`, { Maintenance: "a" })),
      set,
    );
    expect(text(diff, "./hooks")[1]).toMatch(/Maintenance +a +differs +hv1, hv2/);
  });
});

describe("commands", () => {
  let fake: FakeOperator;
  beforeEach(async () => {
    fake = new FakeOperator();
    await fake.start();
  });
  afterEach(() => fake.remove());
  async function slipway(...args: string[]) {
    const io = new FakeIo({ SLIPWAY_CONFIG: fake.config });
    return { status: await run(args, io), out: io.stdout, err: io.stderr };
  }

  test("push sends the directory and fails if a host does not have it", async () => {
    put("Maintenance");
    let ok = true;
    fake.handlers.pushHooks = (request) => {
      expect(request.scope?.clusters).toEqual(["c1"]);
      expect(request.files.map((file) => [file.name, Buffer.from(file.content).toString(), file.executable])).toEqual([
        ["Maintenance", "#!/bin/sh\n", true],
      ]);
      expect(request.timeoutMs).toBe(15_000n);
      const first = { host: "hv1", ok: true, changed: true, hash: request.hash, replaced: "/old" };
      return { hosts: [first, ok ? { ...first, host: "hv2", changed: false } : { host: "hv2", problem: "busy" }] };
    };
    const good = await slipway("hooks", "push", dir, "--cluster", "c1");
    expect(good).toMatchObject({ status: 0, err: "" });
    expect(good.out).toMatch(/^1 file, hash [0-9a-f]{64}\n/);
    expect(good.out).toMatch(/hv1 +pushed +[0-9a-f]{12} +before: \/old/);
    expect(good.out).toMatch(/hv2 +unchanged/);
    ok = false;
    const bad = await slipway("hooks", "push", dir, "--cluster", "c1", "--json");
    expect(bad.status).toBe(1);
    expect(JSON.parse(bad.out)).toMatchObject({ hosts: [{ ok: true }, { host: "hv2", ok: false, problem: "busy" }] });
  });

  test("push asks nobody when the directory is wrong or no scope is given", async () => {
    fake.handlers.pushHooks = () => {
      throw new Error("must not be asked");
    };
    expect(await slipway("hooks", "push", dir, "--cluster", "c1")).toMatchObject({
      status: 2,
      err: expect.stringMatching(/there is no hook among the files/),
    });
    put("Maintenance");
    expect(await slipway("hooks", "push", dir)).toMatchObject({ status: 2, err: expect.stringMatching(/scope: none/) });
  });

  test("diff has hosts look anew, and tells by its status whether they differ", async () => {
    fake.handlers.listHosts = (request) => {
      expect(request).toMatchObject({ refresh: true, scope: { clusters: ["c1"] } });
      return { hosts: [host("hv1", { Maintenance: "a" }), host("hv2", { Maintenance: "b" })] as never };
    };
    const diff = await slipway("hooks", "diff", "--cluster", "c1", "--json");
    expect(diff.status).toBe(1);
    expect(JSON.parse(diff.out)).toMatchObject({ same: false, dir: null, hosts: ["hv1", "hv2"] });
  });
});
