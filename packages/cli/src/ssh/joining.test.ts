import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chooseDebs, compareVersions, type Deb, parseDebName } from "./debs.ts";
import { type JoinFacts, type JoinWishes, planJoin } from "./joining.ts";
import { mergeProperties, readProperties } from "./properties.ts";

const deb = (file: string) => parseDebName(file) as Deb;
const wishes: JoinWishes = {
  agent: deb("slipway-agent_0.2.0_amd64.deb"),
  runtime: deb("slipway-runtime_24.21.0_amd64.deb"),
  rejoin: false,
};
const certificate = { host: "hv7", ofThisController: true, isExpired: false };
const bare: JoinFacts = {
  host: "hv7",
  agentVersion: "",
  runtimeVersion: "",
  isActive: false,
  isEnabled: false,
  isConfigured: false,
  certificate: undefined,
  known: undefined,
};
const joined: JoinFacts = {
  host: "hv7",
  agentVersion: "0.2.0",
  runtimeVersion: "24.21.0",
  isActive: true,
  isEnabled: true,
  isConfigured: true,
  certificate,
  known: { connected: true },
};
const plan = (facts: JoinFacts, more: Partial<JoinWishes> = {}) =>
  planJoin(facts, { ...wishes, ...more }).map((step) =>
    step.do === "install"
      ? `install ${step.debs.map(({ name }) => name).join("+")}`
      : step.do === "enrol" && step.anew
        ? "enrol anew"
        : step.do,
  );

describe("what is to be done", () => {
  test("everything on a bare machine, nothing on a host", () => {
    expect(plan(bare)).toEqual(["install slipway-runtime+slipway-agent", "configure", "enrol", "start", "wait"]);
    expect(plan(joined)).toEqual([]);
  });

  test("an attempt that was cut off anywhere goes on where it was", () => {
    const installed = { ...bare, agentVersion: "0.2.0", runtimeVersion: "24.21.0" };
    expect(plan({ ...bare, runtimeVersion: "24.21.0" })).toEqual([
      "install slipway-agent",
      "configure",
      "enrol",
      "start",
      "wait",
    ]);
    expect(plan(installed)).toEqual(["configure", "enrol", "start", "wait"]);
    expect(plan({ ...installed, isConfigured: true })).toEqual(["enrol", "start", "wait"]);
    // It got its certificate and died before it ever connected: whether that still counts nobody can tell.
    expect(plan({ ...joined, known: undefined })).toEqual(["enrol anew", "start", "wait"]);
    expect(plan({ ...joined, known: { connected: false } })).toEqual(["wait"]);
  });

  test("only what differs", () => {
    expect(plan({ ...joined, agentVersion: "0.1.9" })).toEqual(["install slipway-agent", "configure", "start", "wait"]);
    expect(plan({ ...joined, agentVersion: "0.3.0" })).toEqual([]);
    expect(plan({ ...joined, isConfigured: false })).toEqual(["configure", "start", "wait"]);
    expect(plan({ ...joined, isActive: false, known: { connected: false } })).toEqual(["start", "wait"]);
    expect(plan({ ...joined, isEnabled: false })).toEqual(["start", "wait"]);
    const expired = { ...joined, certificate: { ...certificate, isExpired: true }, known: { connected: false } };
    expect(plan(expired)).toEqual(["enrol anew", "start", "wait"]);
  });

  test("a machine that is somebody else's is not taken over unasked", () => {
    const foreign = { ...joined, certificate: { ...certificate, ofThisController: false }, known: undefined };
    expect(() => plan(foreign)).toThrow(/a certificate of another controller; give --rejoin/);
    expect(plan(foreign, { rejoin: true })).toEqual(["enrol anew", "start", "wait"]);
    const renamed = { ...joined, host: "hv8", known: undefined };
    expect(() => plan(renamed)).toThrow(/hv8: the machine is host hv7; leave --name out/);
    expect(plan(renamed, { rejoin: true })).toEqual(["enrol anew", "start", "wait"]);
  });

  test("a name that another machine uses right now is not given away", () => {
    expect(() => plan({ ...bare, known: { connected: true } })).toThrow(/connected already, from another machine/);
    expect(plan({ ...bare, known: { connected: false } })).toContain("enrol");
  });

  test("a package without its runtime is not begun with", () => {
    const { runtime: _, ...without } = wishes;
    expect(() => planJoin(bare, without)).toThrow(/needs slipway-runtime/);
    expect(planJoin({ ...bare, runtimeVersion: "24" }, without)[0]).toMatchObject({ do: "install" });
    expect(planJoin(joined, without)).toEqual([]);
  });
});

describe("choosing packages", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "slipway-debs-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const put = (...names: string[]) =>
    names.map((name) => {
      writeFileSync(join(dir, name), "");
      return join(dir, name);
    });

  test("takes the newest of the host's architecture", () => {
    put(
      "slipway-agent_0.9.0_amd64.deb",
      "slipway-agent_0.10.0_amd64.deb",
      "slipway-agent_0.11.0_arm64.deb",
      "slipway-agent_0.10.0~rc1_amd64.deb",
    );
    put("slipway-runtime_24.21.0+sqlite13.2.0+1_amd64.deb", "slipway-cli_9_amd64.deb", "notes.txt");
    const { agent, runtime } = chooseDebs("amd64", [], ["/nowhere", dir]);
    expect([agent.version, runtime?.version]).toEqual(["0.10.0", "24.21.0+sqlite13.2.0+1"]);
    expect(chooseDebs("arm64", [], [dir])).toMatchObject({ agent: { version: "0.11.0" } });
    expect(() => chooseDebs("riscv64", [], [dir])).toThrow(/no slipway-agent package for riscv64 in .*; make it with/);
  });

  test("takes what is named, and its runtime from beside it", () => {
    const [old = ""] = put(
      "slipway-agent_0.9.0_amd64.deb",
      "slipway-agent_0.10.0_amd64.deb",
      "slipway-runtime_24_amd64.deb",
    );
    expect(chooseDebs("amd64", [old], [])).toMatchObject({ agent: { version: "0.9.0" }, runtime: { version: "24" } });
    expect(() => chooseDebs("arm64", [old], [])).toThrow(/is for amd64, the host is arm64/);
    expect(() => chooseDebs("amd64", [join(dir, "none.deb")], [])).toThrow(/does not exist/);
    expect(() => chooseDebs("amd64", put("agent.deb"), [])).toThrow(/is not named like a package of the agent/);
  });

  test.each([
    ["1.0", "1.0", 0],
    ["1.9", "1.10", -1],
    ["1.0~rc1", "1.0", -1],
    ["1.0~~", "1.0~", -1],
    ["1.0", "1.0+1", -1],
    ["1.0a", "1.0+", -1],
    ["24.21.0+sqlite13.2.0+2", "24.21.0+sqlite13.2.0+10", -1],
  ])("%s against %s", (a, b, expected) => {
    expect(compareVersions(a, b)).toBe(expected);
    expect(compareVersions(b, a)).toBe(expected === 0 ? 0 : -expected);
  });
});

describe("agent.properties", () => {
  const text =
    "# head\n#slipway.controllers=\n\n# more\nrolling.maintenance.hooks.dir = /etc/hooks\nslipway.labels: a=1,\\\n   b=2\nother=x\n";

  test("is read as Java reads it", () => {
    expect([...readProperties(text)]).toEqual([
      ["rolling.maintenance.hooks.dir", "/etc/hooks"],
      ["slipway.labels", "a=1,b=2"],
      ["other", "x"],
    ]);
  });

  test("keeps everything but what is set", () => {
    const merged = mergeProperties(text, {
      "slipway.controllers": "c:7443",
      "slipway.labels": "a=2",
      "slipway.host": "hv7",
    });
    expect(merged).toBe(
      "# head\n#slipway.controllers=\nslipway.controllers=c:7443\n\n# more\nrolling.maintenance.hooks.dir = /etc/hooks\nslipway.labels=a=2\nother=x\nslipway.host=hv7\n",
    );
    expect(mergeProperties(merged, { "slipway.host": "hv7", "slipway.labels": "a=2" })).toBe(merged);
  });

  test("changes the setting that counts when there are two, and begins an empty file", () => {
    expect(mergeProperties("k=1\nk=2\n", { k: "3" })).toBe("k=1\nk=3\n");
    expect(mergeProperties("k=3\nk=2\n", { k: "2" })).toBe("k=3\nk=2\n");
    expect(mergeProperties("", { k: "a\\b" })).toBe("k=a\\\\b\n");
    expect(readProperties(mergeProperties("x=1", { k: "a\\b" })).get("k")).toBe("a\\b");
  });
});
