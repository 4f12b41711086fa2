import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Authority, createAuthority, issueWithNewKey } from "@slipway/shared/tls";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Settings } from "../../config/settings.ts";
import { ALLOWED, places, planTls, writeTls } from "./tls.ts";

let authority: Authority;
let root: string;
let settings: Settings;
beforeAll(async () => {
  authority = await createAuthority("test");
});
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "slipway-libvirt-tls-"));
  const path = (name: string) => join(root, name);
  const tls = { ca: path("ca.pem"), certificate: path("agent.pem"), key: path("agent.key") };
  settings = { host: "hv1", tls } as unknown as Settings;
  await enrol();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function enrol(dnsNames?: readonly string[]): Promise<void> {
  const identity = { role: "agent", name: "hv1" } as const;
  const own = await issueWithNewKey(authority, { identity, ...(dnsNames === undefined ? {} : { dnsNames }) });
  writeFileSync(settings.tls.ca, authority.ca);
  writeFileSync(settings.tls.certificate, own.certificate);
  writeFileSync(settings.tls.key, own.key);
}
function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
const read = (path: string) => readFileSync(join(root, path), "utf8");
const plan = (replace = false) => planTls(settings, "libvirtd.conf", replace, root);

describe("libvirt's certificates", () => {
  test("are this host's own, its keys root's alone, and only hosts are let in", () => {
    put("etc/libvirt/libvirtd.conf", "# a comment\n#tls_allowed_dn_list = []\nmax_clients = 5000");
    writeTls(plan());
    expect(read(places.ca)).toBe(authority.ca);
    expect(read(places.serverCertificate)).toBe(read("agent.pem"));
    expect(read(places.clientKey)).toBe(read("agent.key"));
    for (const key of [places.serverKey, places.clientKey]) expect(statSync(join(root, key)).mode & 0o777).toBe(0o600);
    expect(read("etc/libvirt/libvirtd.conf")).toMatch(
      /max_clients = 5000\n# .*\ntls_allowed_dn_list = \[ "CN=\*,OU=agent,O=Slipway" \]\n$/,
    );
  });

  test("are left alone when they are there, and follow a new certificate of this host", async () => {
    writeTls(plan());
    expect(plan()).toEqual({ files: [], config: undefined });
    await enrol();
    expect(plan().files.length).toBe(4);
    writeTls(plan());
    expect(read(places.serverKey)).toBe(read("agent.key"));
  });

  test("of somebody else are not overwritten without a word", async () => {
    const other = await createAuthority("other");
    const own = await issueWithNewKey(other, { identity: { role: "agent", name: "hv1" } });
    put(places.ca, other.ca);
    put(places.serverCertificate, own.certificate);
    put(places.serverKey, own.key);
    expect(() => plan()).toThrow(/cacert\.pem, .*serverkey\.pem, .*servercert\.pem: there already.*--replace/);
    expect(read(places.ca)).toBe(other.ca);
    writeTls(plan(true));
    expect(read(places.ca)).toBe(authority.ca);
    rmSync(join(root, places.serverCertificate));
    put(places.serverKey, "a key without a certificate");
    expect(() => plan()).toThrow(/serverkey\.pem: there already/);
  });

  test("do not open libvirt to others than those whom the operator named", () => {
    put("etc/libvirt/libvirtd.conf", `tls_allowed_dn_list = [\n  "CN=admin",\n  "${ALLOWED}"\n]\n`);
    expect(plan().config).toBeUndefined();
    for (const text of ['tls_allowed_dn_list = ["CN=admin"]\n', "tls_no_verify_certificate = 1\n"]) {
      put("etc/libvirt/libvirtd.conf", text);
      expect(() => plan(true)).toThrow(/tls_allowed_dn_list is set|lets anybody in/);
    }
  });

  test("need a certificate that names the host", async () => {
    await enrol([]);
    expect(() => plan()).toThrow(/does not name hv1.*enrol this host anew/);
  });
});
