import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { identityOf, parseToken } from "@slipway/shared/tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../config.ts";
import { startController } from "../controller.ts";
import { collectLog } from "../testing/world.ts";
import { init } from "./init.ts";
import { makeOperator } from "./operator.ts";
import { makeToken, parseTtl } from "./token.ts";

let base: string;
let dir: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "slipway-commands-"));
  dir = join(base, "controller");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const { log } = collectLog();
const mode = (path: string) => statSync(path).mode & 0o777;
const read = (name: string) => readFileSync(join(dir, name), "utf8");

describe("init", () => {
  test("makes everything with closed modes, and keeps it when repeated", async () => {
    expect(await init({ dir, listen: "127.0.0.1:0", enrolListen: "127.0.0.1:0" })).toHaveLength(5);
    expect([mode(dir), mode(join(dir, "ca.key")), mode(join(dir, "server.key"))]).toEqual([0o700, 0o600, 0o600]);
    const before = ["ca.pem", "ca.key", "server.pem", "server.key", "controller.yaml"].map(read);
    expect(await init({ dir })).toEqual([]);
    expect(["ca.pem", "ca.key", "server.pem", "server.key", "controller.yaml"].map(read)).toEqual(before);
  });

  test("the server's certificate brings its authority along and is for the names in use", async () => {
    await init({ dir });
    const [leaf, ca] = read("server.pem").match(/-----BEGIN[\s\S]*?END CERTIFICATE-----/g) ?? [];
    expect(ca).toBe(read("ca.pem").trim());
    expect(identityOf(leaf ?? "")).toEqual({ role: "controller", name: "controller" });
    for (const name of ["controller.slipway.internal", "localhost", hostname()])
      expect(new X509Certificate(leaf ?? "").checkHost(name)).toBe(name);
  });

  test("a lost server key is made anew, a lost authority key is not", async () => {
    await init({ dir });
    rmSync(join(dir, "server.key"));
    expect(await init({ dir })).toEqual([join(dir, "server.key"), join(dir, "server.pem")]);
    rmSync(join(dir, "ca.key"));
    await expect(init({ dir })).rejects.toThrow(/ca.key is missing, but .*ca.pem is there; put the key back/);
  });

  test("says so when the directory has other addresses already", async () => {
    await init({ dir, listen: "127.0.0.1:7443" });
    await expect(init({ dir, listen: "127.0.0.1:9999" })).rejects.toThrow(/names other addresses; it was left alone/);
  });
});

describe("operator", () => {
  test("makes a certificate of the role and a cli.yaml with relative paths", async () => {
    await init({ dir, listen: "127.0.0.1:7443" });
    const out = join(base, "vera");
    expect(await makeOperator({ dir, name: "vera", role: "viewer", out })).toBe(join(out, "cli.yaml"));
    expect(parse(readFileSync(join(out, "cli.yaml"), "utf8"))).toEqual({
      controller: "127.0.0.1:7443",
      ca: "ca.pem",
      certificate: "vera.pem",
      key: "vera.key",
    });
    expect(mode(join(out, "vera.key"))).toBe(0o600);
    expect(identityOf(readFileSync(join(out, "vera.pem"), "utf8"))).toEqual({ role: "viewer", name: "vera" });
  });

  test("refuses names and roles that no certificate can carry", async () => {
    await init({ dir });
    const out = join(base, "out");
    await expect(makeOperator({ dir, name: "a/b", role: "viewer", out })).rejects.toThrow(/name "a\/b": not a name/);
    await expect(makeOperator({ dir, name: "bob", role: "agent", out })).rejects.toThrow(
      '--role: "agent" is not known; choose operator or viewer',
    );
  });
});

describe("token", () => {
  test("works beside a running controller", async () => {
    await init({ dir, listen: "127.0.0.1:0", enrolListen: "127.0.0.1:0" });
    const controller = await startController({ dir, log });
    try {
      const { token } = makeToken({ dir, host: "hv1", ttl: "2d" });
      expect(controller.store.tokens.get(parseToken(token).id)).toMatchObject({ host: "hv1", usedAtMs: 0 });
    } finally {
      await controller.stop();
    }
    expect(() => makeToken({ dir, host: "../x", ttl: "1h" })).toThrow(/host "..\/x": not a host name/);
  });

  test("durations", () => {
    expect(["90s", "30m", "1h", "2d"].map(parseTtl)).toEqual([90_000, 1_800_000, 3_600_000, 172_800_000]);
    for (const bad of ["", "1", "h", "-1h", "1.5h", "0h", "1w"])
      expect(() => parseTtl(bad)).toThrow("write for example 30m, 1h or 2d");
  });
});

describe("run", () => {
  test("refuses a directory that was not made, one in use, and a port in use, with the way out", async () => {
    await expect(startController({ dir, log })).rejects.toThrow(
      /is missing; make one with slipway-controller init --dir/,
    );
    await init({ dir, listen: "127.0.0.1:0", enrolListen: "127.0.0.1:0" });
    const controller = await startController({ dir, log });
    try {
      await expect(startController({ dir, log })).rejects.toThrow(/another slipway-controller runs on this directory/);
    } finally {
      await controller.stop();
    }
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    try {
      await expect(startController({ dir, log, listen: `127.0.0.1:${port}` })).rejects.toThrow(
        `127.0.0.1:${port}: another process listens there; stop it, or give another --listen`,
      );
      await expect(startController({ dir, log, enrolListen: `127.0.0.1:${port}` })).rejects.toThrow(
        "or give another --enrol-listen",
      );
    } finally {
      taken.close();
    }
    // Neither refusal has left the directory locked.
    await (await startController({ dir, log })).stop();
  });
});

describe("controller.yaml", () => {
  test("what is left out has its default", () => {
    expect(parseConfig("c.yaml", "")).toMatchObject({ listen: "0.0.0.0:7443", heartbeatMs: 1_000 });
    expect(parseConfig("c.yaml", "listen: '[::1]:1'\nheartbeatMs: 500\n")).toMatchObject({
      listen: "[::1]:1",
      enrolListen: "0.0.0.0:7444",
      heartbeatMs: 500,
    });
  });

  test.each([
    ["listen: here\n", 'c.yaml:1: listen: "here" is no host:port; write for example 0.0.0.0:7443 or [::]:7443'],
    ["listen: a:1\nheartbeetMs: 5\n", 'c.yaml:2: key "heartbeetMs" is unknown; did you mean "heartbeatMs"?'],
    ["heartbeatMs: 5\n", "c.yaml:1: heartbeatMs 5 is out of range; give whole milliseconds, from 100 to 600000"],
    ["\nheartbeatMs: soon\n", 'c.yaml:2: heartbeatMs "soon" is out of range; give whole milliseconds'],
    ["- a\n", "c.yaml:1: no list of keys and values; write keys such as listen: 0.0.0.0:7443"],
    ["a: [\n", "c.yaml:2: not valid YAML"],
  ])("%j is refused with its place", (text, message) => {
    expect(() => parseConfig("c.yaml", text)).toThrow(message);
  });
});
