import { Client, credentials } from "@grpc/grpc-js";
import { channelOptions, unaryClient } from "@slipway/shared/grpc";
import { createRequest, fetchAuthority, identityOf, parseToken } from "@slipway/shared/tls";
import { agentWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeToken } from "../commands/token.ts";
import { until, World } from "../testing/world.ts";
import { createToken } from "./tokens.ts";

const BOUNDS = { deadlineMs: 5_000 };
let world: World;

beforeEach(async () => {
  world = await World.make();
});
afterEach(async () => {
  await world.end();
});

async function enrol(token: string, host: string, csrPem?: string) {
  const { id, secret } = parseToken(token);
  const client = new Client(world.controller.enrolListen, credentials.createSsl(Buffer.from(world.file("ca.pem"))), {
    ...channelOptions(),
    "grpc.ssl_target_name_override": "controller.slipway.internal",
  });
  try {
    const { csr, key } = await createRequest(host);
    const request = { tokenId: id, tokenSecret: secret, host, csrPem: csrPem ?? csr };
    return { key, ...(await unaryClient(client, agentWire.EnrolmentService).enrol(request, BOUNDS)) };
  } finally {
    client.close();
  }
}

const token = (host = "", ttl = "1h") => makeToken({ dir: world.dir, host, ttl }).token;

test("a host with nothing but a token finds the right authority and gets its certificate", async () => {
  const text = token();
  expect(await fetchAuthority(world.controller.enrolListen, parseToken(text).fingerprint)).toContain(
    "BEGIN CERTIFICATE",
  );
  const { certificatePem, caPem, key } = await enrol(text, "hv1");
  expect(identityOf(certificatePem)).toEqual({ role: "agent", name: "hv1" });
  const agent = await world.agent("hv1", { tls: { ca: caPem, certificate: certificatePem, key } });
  await until("its connection", () => world.controller.registry.host("hv1")?.connected);
  expect(agent.status).toBeUndefined();
  expect(world.controller.store.audit.latest(5)).toContainEqual(
    expect.objectContaining({ who: "hv1", method: "enrol", result: "ok" }),
  );
});

test("a token works once", async () => {
  const text = token();
  await enrol(text, "hv1");
  await expect(enrol(text, "hv2")).rejects.toThrow("token: it was used by hv1; a token works once; make another");
  const both = token();
  const results = await Promise.allSettled([enrol(both, "hv3"), enrol(both, "hv4")]);
  expect(results.map((r) => r.status).toSorted()).toEqual(["fulfilled", "rejected"]);
});

test("a token runs out", async () => {
  const { token: text } = createToken(world.controller.store.tokens, world.file("ca.pem"), {
    host: "",
    ttlMs: 1,
    createdBy: "alice",
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  await expect(enrol(text, "hv1")).rejects.toThrow(/token: it ran out at .*; make another/);
});

test("a token for one host is for no other", async () => {
  const text = token("hv1");
  await expect(enrol(text, "hv2")).rejects.toThrow("token: it is for hv1, not hv2; make another");
  expect(identityOf((await enrol(text, "hv1")).certificatePem)?.name).toBe("hv1");
});

test("a name that is taken needs a token that says so", async () => {
  await enrol(token(), "hv1");
  await expect(enrol(token(), "hv1")).rejects.toThrow(/there is a host hv1 already; if it shall get a new certificate/);
  expect((await enrol(token("hv1"), "hv1")).certificatePem).toContain("BEGIN CERTIFICATE");
});

test("unknown tokens, bad names and bad requests are refused, and a bad request does not cost the token", async () => {
  const text = token();
  const forged = text.replace(/\.[0-9a-f]{48}\./, `.${"0".repeat(48)}.`);
  await expect(enrol(forged, "hv1")).rejects.toMatchObject({ code: "not-allowed" });
  await expect(enrol(text, "../hv1", "x")).rejects.toMatchObject({ code: "bad-input" });
  await expect(enrol(text, "hv1", "no request")).rejects.toThrow("certificate request: cannot be read; make a new one");
  await enrol(text, "hv1");
});

test("an address with many wrong attempts has to wait", async () => {
  const text = token();
  const forged = text.replace(/\.[0-9a-f]{48}\./, `.${"0".repeat(48)}.`);
  for (let i = 0; i < 10; i++) await expect(enrol(forged, "hv1")).rejects.toThrow("it is not known here");
  await expect(enrol(text, "hv1")).rejects.toThrow("too many wrong attempts from this address; wait a minute");
});
