import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Authority, createAuthority, issueWithNewKey } from "@slipway/shared/tls";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readCertificate } from "./certificate.ts";

let dir: string;
let authority: Authority;
beforeAll(async () => {
  authority = await createAuthority("test");
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "slipway-tls-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function put(
  change: { ca?: string; certificate?: string; key?: string; name?: string; role?: "agent" | "viewer" } = {},
) {
  const identity = { role: change.role ?? "agent", name: change.name ?? "hv1" } as const;
  const pair = await issueWithNewKey(authority, { identity, days: 10 });
  const paths = { ca: join(dir, "ca"), certificate: join(dir, "certificate"), key: join(dir, "key") };
  const files = { ca: authority.ca, ...pair, ...change };
  for (const name of ["ca", "certificate", "key"] as const) writeFileSync(paths[name], files[name]);
  return paths;
}

describe("this host's certificate", () => {
  it("is read when all is well", async () => {
    expect(readCertificate(await put(), "hv1").ca).toBe(authority.ca);
  });
  it("names the file and the reason when it is not", async () => {
    const stranger = await createAuthority("test");
    const now = Date.now();
    const day = 86_400_000;
    const refusal = async (change: Parameters<typeof put>[0], text: string, nowMs = now) => {
      const paths = await put(change);
      expect(() => readCertificate(paths, "hv1", nowMs)).toThrow(text);
    };
    await refusal({ name: "hv2" }, `${dir}/certificate: is for host hv2, but slipway.host is hv1`);
    await refusal({ role: "viewer" }, `${dir}/certificate: is for the role viewer, not agent`);
    await refusal({ ca: stranger.ca }, `${dir}/certificate: was not issued by the authority in ${dir}/ca`);
    await refusal({ key: stranger.caKey }, `${dir}/certificate: does not belong to the key ${dir}/key`);
    await refusal({ certificate: "x" }, `${dir}/certificate: is no PEM file of its kind`);
    await refusal({}, `${dir}/certificate: ran out on`, now + 11 * day);
    await refusal({}, "set this host's clock", now - 3 * day);
    const paths = await put();
    rmSync(paths.key);
    expect(() => readCertificate(paths, "hv1")).toThrow(`${dir}/key: cannot be read (ENOENT); enrol this host anew`);
  });
});
