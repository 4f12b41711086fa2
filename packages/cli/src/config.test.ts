import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthority, issueWithNewKey } from "@slipway/shared/tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { configCandidates, loadConfig, parseConfig } from "./config.ts";

const dir = mkdtempSync(join(tmpdir(), "slipway-config-"));
beforeAll(async () => {
  const authority = await createAuthority("test");
  const pair = await issueWithNewKey(authority, { identity: { role: "viewer", name: "v" } });
  const old = await issueWithNewKey(authority, { identity: { role: "viewer", name: "v" }, days: -1 });
  writeFileSync(join(dir, "ca.pem"), authority.ca);
  writeFileSync(join(dir, "c.pem"), pair.certificate);
  writeFileSync(join(dir, "old.pem"), old.certificate);
  writeFileSync(join(dir, "k.pem"), pair.key);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const file = join(dir, "cli.yaml");
const good = "ca: ca.pem\ncertificate: c.pem\nkey: k.pem\n";

test("one controller or a list; paths relative to the file", () => {
  expect(parseConfig(file, `controller: h:1\n${good}`).controllers).toEqual(["h:1"]);
  const many = parseConfig(file, `controller: [h:1, "[::1]:2"]\n${good}`);
  expect(many.controllers).toEqual(["h:1", "[::1]:2"]);
  expect(many.tls.key).toContain("PRIVATE KEY");
});

test.each([
  ["", /cli\.yaml:1: is empty/],
  ["- a\n", /cli\.yaml:1: is no list of keys and values/],
  [`controller: h:1\ncertifcate: x\n`, /:2: key "certifcate" is unknown; did you mean "certificate"\?/],
  [`controller: h:1\nca: ca.pem\nkey: k.pem\n`, /key "certificate" is missing/],
  [`${good}\ncontroller: h\n`, /:5: controller "h" is no host:port/],
  [`${good}controller: h:99999\n`, /:4: controller "h:99999"/],
  [`${good}controller: 7443\n`, /:4: controller has no text value/],
  [`${good}controller: []\n`, /:4: controller is empty/],
  [`controller: h:1\nca: nix.pem\ncertificate: c.pem\nkey: k.pem`, /:2: ca .*nix\.pem does not exist/],
  [`controller: h:1\nca: ca.pem\ncertificate: k.pem\nkey: k.pem`, /:3: certificate .*k\.pem holds no PEM certificate/],
  [`controller: h:1\nca: ca.pem\ncertificate: c.pem\nkey: c.pem`, /:4: key .*c\.pem holds no PEM private key/],
  [`controller: h:1\nca: ca.pem\ncertificate: old.pem\nkey: k.pem`, /:3: certificate .*old\.pem ran out on/],
  [`controller: h:1\nca: "x\n`, /cli\.yaml:\d: not valid YAML/],
])("%j is refused with its line", (text, expected) => {
  let message = "";
  try {
    parseConfig(file, text);
  } catch (thrown) {
    message = (thrown as Error).message;
  }
  expect(message).toMatch(expected);
  expect(message).not.toContain("\n");
});

test("--config beats SLIPWAY_CONFIG beats the user's file", () => {
  expect(configCandidates("/x", { SLIPWAY_CONFIG: "/y" }).files).toEqual(["/x"]);
  expect(configCandidates(undefined, { SLIPWAY_CONFIG: "/y" }).files).toEqual(["/y"]);
  expect(configCandidates(undefined, { HOME: "/h" }).files).toEqual([
    "/h/.config/slipway/cli.yaml",
    "/etc/slipway/cli.yaml",
  ]);
  expect(() => loadConfig("/nonexistent/a.yaml", {})).toThrow(/^--config: \/nonexistent\/a.yaml does not exist; /);
  expect(() => loadConfig(undefined, { HOME: "/nonexistent" })).toThrow(/neither .* nor .* exists; point --config/);
});
