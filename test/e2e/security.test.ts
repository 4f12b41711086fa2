import { readFileSync, writeFileSync } from "node:fs";
import { connect as tcp } from "node:net";
import { join } from "node:path";
import { connect, openStream, type TlsFiles } from "@slipway/shared/grpc";
import { createAuthority, issueWithNewKey } from "@slipway/shared/tls";
import { agentWire } from "@slipway/shared/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Pool, sleep } from "./kit.ts";

let pool: Pool;
let address: string;
beforeAll(async () => {
  pool = await Pool.start(2);
  address = /controller:\s*"?([\d.]+:\d+)/.exec(readFileSync(pool.config, "utf8"))?.[1] ?? "";
  for (const stage of ["PreFlight", "Maintenance"]) pool.hook(stage, "sleep 0.2");
});
afterAll(() => pool.stop());

/** Whatever was tried, the pool still does its job. */
async function stillWorks(): Promise<void> {
  const { status } = await pool.roll("--cluster", "c1");
  expect(status).toBe(0);
}

function agentTls(host: string): TlsFiles {
  const read = (name: string) => {
    const line = new RegExp(`^slipway\\.tls\\.${name}\\s*=\\s*(.*)$`, "m").exec(
      readFileSync(join(pool.dir, "hosts", host, "agent.properties"), "utf8"),
    );
    const fallback = { ca: "ca.pem", certificate: "agent.pem", key: "agent.key" }[name] ?? name;
    return readFileSync(line?.[1] ?? join(pool.dir, "hosts", host, "state/tls", fallback), "utf8");
  };
  return { ca: read("ca"), certificate: read("certificate"), key: read("key") };
}

/** Opens an agent session, says something, and returns how the controller ended it. */
async function session(
  tls: TlsFiles,
  messages: Parameters<ReturnType<typeof openSession>["write"]>[0][],
): Promise<string> {
  const client = connect(address, tls);
  const stream = openSession(client);
  return new Promise((resolve) => {
    const limit = setTimeout(() => done("still open"), 8000);
    const done = (how: string) => {
      clearTimeout(limit);
      stream.cancel();
      client.close();
      resolve(how);
    };
    stream.on("error", (e: Error & { details?: string }) => done(e.details ?? e.message));
    stream.on("end", () => done("ended"));
    stream.resume();
    for (const m of messages) stream.write(m);
  });
}
function openSession(client: ReturnType<typeof connect>) {
  return openStream(client, agentWire.AgentService.method.session);
}

const hello = (host: string) => ({
  message: { case: "hello" as const, value: { protocol: 1, host, bootId: "b", incarnation: "i", agentVersion: "0" } },
});

test("a viewer may look but not start", async () => {
  const viewer = join(pool.dir, "viewer/cli.yaml");
  expect((await pool.slipwayAs(viewer, "host", "list")).status).toBe(0);
  const started = await pool.slipwayAs(viewer, "start", "--cluster", "c1");
  expect(started.status).toBe(1);
  expect(started.stderr).toMatch(/viewer/);
  expect((await pool.slipway("list", "--json")).stdout).not.toMatch(/"run":\s*"r/);
  expect((await pool.slipway("audit")).stdout).toMatch(/viewer/);
});

test("an agent's certificate opens no operator call, an operator's no agent session", async () => {
  const dir = join(pool.dir, "hosts/hv1/state");
  const config = join(dir, "as-agent.yaml");
  const tls = agentTls("hv1");
  for (const [name, text] of Object.entries(tls)) writeFileSync(join(dir, `stolen-${name}.pem`), text, { mode: 0o600 });
  writeFileSync(
    config,
    JSON.stringify({
      controller: address,
      ca: "stolen-ca.pem",
      certificate: "stolen-certificate.pem",
      key: "stolen-key.pem",
    }),
  );
  const listed = await pool.slipwayAs(config, "host", "list");
  expect(listed.status).toBe(1);
  expect(listed.stderr).toMatch(/agent/);
  const { certificate, key, ca } = JSON.parse(JSON.stringify(cliTls())) as TlsFiles;
  expect(await session({ ca, certificate, key }, [hello("hv1")])).toMatch(/role|operator/);
});

function cliTls(): TlsFiles {
  const yaml = readFileSync(pool.config, "utf8");
  const read = (name: string) =>
    readFileSync(join(pool.dir, new RegExp(`^${name}:\\s*"?([^"\\n]+)"?`, "m").exec(yaml)?.[1] ?? ""), "utf8");
  return { ca: read("ca"), certificate: read("certificate"), key: read("key") };
}

test("agent hv1 can neither be hv2 nor report for it", async () => {
  expect(await session(agentTls("hv1"), [hello("hv2")])).toMatch(/hv1.*hv2|hv2.*hv1/);
  const report = {
    message: {
      case: "report" as const,
      value: { outboxId: 1n, key: { run: "r1", host: "hv2", step: "Maintenance", attempt: 1 }, state: 2, verdict: 1 },
    },
  };
  expect(await session(agentTls("hv1"), [hello("hv1"), report])).toMatch(/hv2/);
  await stillWorks();
});

test("a certificate of another authority gets nowhere", async () => {
  const other = await createAuthority("other");
  const own = agentTls("hv1");
  const forged = await issueWithNewKey(other, { identity: { role: "agent", name: "hv1" } });
  expect(await session({ ca: own.ca, ...forged }, [hello("hv1")])).not.toMatch(/^ended$/);
  await stillWorks();
});

test("garbage, half-open and oversized input disturbs nobody", async () => {
  const [host = "", port = ""] = address.split(":");
  const junk = Array.from({ length: 20 }, (_, i) => {
    const socket = tcp(Number(port), host);
    socket.on("error", () => {});
    socket.write(i % 2 ? Buffer.alloc(100_000, i) : "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    return socket;
  });
  const big = {
    message: {
      case: "progress" as const,
      value: { key: { run: "r1", host: "hv1", step: "x", attempt: 1 }, message: "x".repeat(20_000_000) },
    },
  };
  expect(await session(agentTls("hv1"), [hello("hv1"), big])).not.toBe("still open");
  const first = { message: { case: "heartbeat" as const, value: { seq: 1n } } };
  expect(await session(agentTls("hv1"), [first])).toMatch(/hello/i);
  await sleep(1500);
  await stillWorks();
  for (const socket of junk) socket.destroy();
});
