import { X509Certificate } from "node:crypto";
import { createServer } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { type Authority, createAuthority, createRequest, issue, issueWithNewKey } from "./authority.ts";
import { fetchAuthority, fingerprint, formatToken, parseToken } from "./enrolment.ts";
import { identityOf, type Role } from "./identity.ts";

let authority: Authority;
beforeAll(async () => {
  authority = await createAuthority("test");
});

describe("certificates", () => {
  test("carry role and name, decided by the issuer and not by the request", async () => {
    const { csr } = await createRequest("admin");
    const certificate = await issue(authority, csr, { identity: { role: "agent", name: "hv1" } });
    expect(identityOf(certificate)).toEqual({ role: "agent", name: "hv1" });
    const parsed = new X509Certificate(certificate);
    expect(parsed.verify(new X509Certificate(authority.ca).publicKey)).toBe(true);
    expect(parsed.ca).toBe(false);
    expect(parsed.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  });

  test("let an agent's host be a server under its own name, and nobody else's", async () => {
    const namesOf = async (role: Role, name: string) => {
      const { certificate } = await issueWithNewKey(authority, { identity: { role, name } });
      const { subjectAltName = "", keyUsage } = new X509Certificate(certificate);
      expect(identityOf(certificate)).toEqual({ role, name });
      return { dns: subjectAltName.split(", ").filter((one) => one.startsWith("DNS:")), usages: keyUsage?.length };
    };
    expect(await namesOf("agent", "hv1.pool.example")).toEqual({ dns: ["DNS:hv1.pool.example"], usages: 2 });
    for (const name of ["controller.slipway.internal", "Controller.Slipway.Internal", "localhost", "10.0.0.1", "h_v"])
      expect(await namesOf("agent", name)).toEqual({ dns: [], usages: 2 });
    expect(await namesOf("operator", "hv1")).toEqual({ dns: [], usages: 1 });
  });

  test("of nobody are nobody", () => {
    expect(identityOf(authority.ca)).toBeUndefined();
  });

  test("are not made for a request that its key has not signed", async () => {
    const { csr } = await createRequest("hv1");
    const der = Buffer.from(csr.replace(/-----[^-]+-----|\s/g, ""), "base64");
    const last = der.length - 1;
    der[last] = (der[last] ?? 0) ^ 1;
    const broken = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    await expect(issue(authority, broken, { identity: { role: "agent", name: "hv1" } })).rejects.toThrow(
      /certificate request/,
    );
    await expect(issue(authority, "garbage", { identity: { role: "agent", name: "hv1" } })).rejects.toThrow(
      /certificate request/,
    );
  });
});

describe("enrolment tokens", () => {
  test("are read as written, and nothing else is", () => {
    const token = { id: "0123456789ab", secret: "5".repeat(48), fingerprint: "f".repeat(64) };
    expect(parseToken(`  ${formatToken(token)}\n`)).toEqual(token);
    for (const wrong of ["", "slw1", formatToken(token).slice(0, -1), `${formatToken(token)}0`])
      expect(() => parseToken(wrong)).toThrow(/no enrolment token/);
  });

  test("recognise their authority behind an address, and refuse another", async () => {
    const { key, certificate } = await issueWithNewKey(authority, {
      identity: { role: "controller", name: "controller" },
      dnsNames: ["controller.slipway.internal"],
    });
    const server = createServer({ key, cert: certificate + authority.ca, ALPNProtocols: ["h2"] });
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const at = `127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
    try {
      expect(new X509Certificate(await fetchAuthority(at, fingerprint(authority.ca))).raw).toEqual(
        new X509Certificate(authority.ca).raw,
      );
      await expect(fetchAuthority(at, "0".repeat(64))).rejects.toThrow(/its authority is not the token's/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    await expect(fetchAuthority(at, "0".repeat(64))).rejects.toThrow(/ECONNREFUSED/);
  });
});
