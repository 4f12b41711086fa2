import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { agentWire } from "@slipway/shared/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ToController } from "../testing/fake-agent.ts";
import type { OperatorClient } from "../testing/world.ts";
import { until, World } from "../testing/world.ts";

const BOUNDS = { deadlineMs: 15_000 };
let world: World;
let alice: OperatorClient;

beforeEach(async () => {
  world = await World.make({ heartbeatMs: 300 });
  alice = await world.client("operator", "alice");
});
afterEach(async () => {
  await world.end();
});

const connected = async (host: string) =>
  (await alice.listHosts({}, BOUNDS)).hosts.find((h) => h.name === host)?.connected === true;
const logged = (text: RegExp) => world.logs.lines.find((l) => text.test(l.text));
const report = (key: { run: string; host: string; step: string; attempt: number }) => ({
  key,
  state: agentWire.StepState.ENDED,
  verdict: agentWire.Verdict.OK,
});

describe("who may speak", () => {
  test("an agent that reports for another host is cut off, logged and audited; the other one is not disturbed", async () => {
    const [a, b] = [await world.agent("hv1"), await world.agent("hv2")];
    await until("both", async () => (await connected("hv1")) && (await connected("hv2")));
    a.report(report({ run: "r1", host: "hv2", step: "Maintenance", attempt: 1 }));
    await until("the cut", () => a.status);
    expect(a.status).toEqual({
      code: 7,
      details: "it spoke for hv2 (r1/hv2/Maintenance/1) and may not",
      metadata: expect.anything(),
    });
    expect(b.status).toBeUndefined();
    expect(logged(/session refused: it spoke for hv2/)?.level).toBe("warn");
    expect((await alice.listAudit({}, BOUNDS)).entries[0]).toMatchObject({
      who: "hv1",
      role: "agent",
      method: "session",
      result: "it spoke for hv2 (r1/hv2/Maintenance/1) and may not",
    });
    expect(a.acked.size).toBe(0);
    expect(await connected("hv2")).toBe(true);
  });

  test("so is one whose heartbeat or progress names another host", async () => {
    const key = { run: "r1", host: "hv2", step: "Maintenance", attempt: 1 };
    const messages: ToController[] = [
      { message: { case: "heartbeat", value: { running: [key] } } },
      { message: { case: "progress", value: { key } } },
    ];
    for (const message of messages) {
      const a = await world.agent("hv1");
      a.send(message);
      await until("the cut", () => a.status);
      expect(a.status?.code).toBe(7);
    }
  });

  test("a Hello for another host than the certificate's is refused", async () => {
    const tls = await world.tls("agent", "hv1");
    const a = await world.agent("hv2", { tls });
    await until("the refusal", () => a.status);
    expect(a.status).toMatchObject({ code: 7, details: 'the certificate is for hv1, it cannot speak for "hv2"' });
    expect(await connected("hv2")).toBe(false);
  });

  test("operators and viewers open no sessions", async () => {
    for (const role of ["operator", "viewer"] as const) {
      const a = await world.agent("hv1", { tls: await world.tls(role, "hv1") });
      await until("the refusal", () => a.status);
      expect(a.status).toMatchObject({ code: 7, details: `hv1 has the role ${role}; only agents open sessions` });
    }
  });

  test("another protocol version is refused, naming both", async () => {
    const a = await world.agent("hv1", { protocol: 99 });
    await until("the refusal", () => a.status);
    expect(a.status).toMatchObject({ code: 9, details: expect.stringMatching(/protocol 99, this controller \d+/) });
  });

  test("a malformed key ends the session", async () => {
    const a = await world.agent("hv1");
    a.report(report({ run: "../etc", host: "hv1", step: "Maintenance", attempt: 1 }));
    await until("the refusal", () => a.status);
    expect(a.status).toMatchObject({ code: 3, details: 'the run "../etc" is no run id' });
  });
});

describe("coming and going", () => {
  test("a newer session replaces the older one, and the host stays connected", async () => {
    const a = await world.agent("hv1");
    await until("the first", () => connected("hv1"));
    const since = (await alice.getHost({ host: "hv1" }, BOUNDS)).host?.sinceMs;
    const b = await world.agent("hv1");
    await until("the replacement", () => a.status);
    expect(a.status).toMatchObject({ code: 10, details: "replaced by a newer session of another process" });
    expect(b.status).toBeUndefined();
    expect((await alice.getHost({ host: "hv1" }, BOUNDS)).host).toMatchObject({ connected: true, sinceMs: since });
  });

  test("a silent agent is disconnected, one that closes its stream at once", async () => {
    const silent = await world.agent("hv1", { heartbeatMs: 0 });
    await world.agent("hv2", { heartbeatMs: 50 });
    await until("both", async () => (await connected("hv1")) && (await connected("hv2")));
    await until("the end of the silent one", () => silent.status);
    expect(silent.status).toMatchObject({ code: 14, details: expect.stringMatching(/^no heartbeat for \d+ ms$/) });
    expect(await connected("hv2")).toBe(true);
    const leaving = await world.agent("hv3");
    await until("its connection", () => connected("hv3"));
    leaving.close();
    await until("its end", async () => !(await connected("hv3")));
    expect(logged(/agent disconnected: it(s stream ended| closed its stream) .*hv3/)).toBeDefined();
  });

  test("after a restart every host is known, and disconnected since then", async () => {
    await world.agent("hv1", { labels: { cluster: "c7", rack: "r2" } });
    await until("the host", () => connected("hv1"));
    await world.controller.stop();
    const restart = Date.now();
    await world.start();
    alice = await world.client("operator", "alice");
    const { host } = await alice.getHost({ host: "hv1" }, BOUNDS);
    expect(host).toMatchObject({ connected: false, labels: { cluster: "c7", rack: "r2" }, bootId: "boot-1" });
    expect(Number(host?.sinceMs)).toBeGreaterThanOrEqual(restart);
    expect(world.controller.registry.host("hv1")?.lastSeen).toMatch(/^last seen \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });
});

describe("reports", () => {
  test("of a step that nobody asked for is acknowledged and dropped, with a warning", async () => {
    const a = await world.agent("hv1");
    const id = a.report(report({ run: "r1", host: "hv1", step: "Maintenance", attempt: 1 }));
    await until("the acknowledgement", () => a.acked.has(id));
    expect(logged(/never asked for/)?.level).toBe("warn");
  });

  test("with a verdict or a state of a later version is refused, logged, and not acknowledged", async () => {
    const a = await world.agent("hv1");
    const key = { run: "r1", host: "hv1", step: "Maintenance", attempt: 1 };
    // A number that only a later version of the wire could name.
    const later = 99 as never;
    const ids = [
      a.report({ key, state: agentWire.StepState.ENDED, verdict: later }),
      a.report({ key, state: agentWire.StepState.ENDED }),
      a.report({ key, state: later }),
    ];
    const last = a.report(report({ ...key, attempt: 2 }));
    await until("the last one's acknowledgement", () => a.acked.has(last));
    for (const id of ids) expect(a.acked.has(id)).toBe(false);
    expect(a.status).toBeUndefined();
    expect(logged(/the verdict 99 is not known/)?.level).toBe("error");
  });
});

describe("what does not belong on the port", () => {
  const port = () => Number(world.controller.listen.split(":").at(-1));
  const over = (socket: ReturnType<typeof connectTcp>) =>
    new Promise<void>((resolve) => {
      socket.on("close", () => resolve());
      socket.on("error", () => {});
      socket.resume();
    });

  test("plain junk, TLS without a certificate, junk inside TLS, an unknown authority: nothing else is disturbed", async () => {
    const a = await world.agent("hv1");
    await until("the host", () => connected("hv1"));
    const plain = connectTcp(port(), "127.0.0.1", () => plain.write("GET / HTTP/1.0\r\n\r\n".repeat(100)));
    await over(plain);
    expect(logged(/refused by TLS/)?.level).toBe("warn");
    const bare = connectTls({ port: port(), host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    await over(bare);
    const { key, certificate } = await world.tls("operator", "alice");
    const junk = connectTls(
      { port: port(), host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"], key, cert: certificate },
      () => junk.write(Buffer.alloc(1_000_000, 0xa5)),
    );
    await over(junk);
    const other = await World.make();
    try {
      const stranger = await world.agent("hv9", { tls: await other.tls("agent", "hv9") });
      const unknown = await other.tls("operator", "mallory");
      const mixed = await world.agent("hv8", { tls: { ...unknown, ca: world.file("ca.pem") } });
      await until("the strangers' end", () => stranger.status && mixed.status);
      expect([stranger.status?.code, mixed.status?.code]).toEqual([14, 14]);
    } finally {
      await other.end();
    }
    expect(a.status).toBeUndefined();
    expect(await connected("hv1")).toBe(true);
    expect((await alice.pingHosts({}, BOUNDS)).hosts).toMatchObject([{ host: "hv1", ok: true }]);
  });

  test("a message of 20 MB ends its own stream only", async () => {
    const [a, b] = [await world.agent("hv1"), await world.agent("hv2")];
    await until("both", async () => (await connected("hv1")) && (await connected("hv2")));
    const key = { run: "r1", host: "hv1", step: "Maintenance", attempt: 1 };
    a.report({ ...report(key), output: "x".repeat(20_000_000) });
    await until("its end", () => a.status);
    expect(a.status?.code).toBe(8);
    await until("its disconnection", async () => !(await connected("hv1")));
    expect(b.status).toBeUndefined();
    expect((await alice.pingHosts({ scope: { hosts: ["hv2"] } }, BOUNDS)).hosts).toMatchObject([{ ok: true }]);
  });
});

describe("pings", () => {
  test("are durable on both sides when they are answered; a host that is away says why", async () => {
    const a = await world.agent("hv1");
    const gone = await world.agent("hv2");
    await until("both", async () => (await connected("hv1")) && (await connected("hv2")));
    gone.close();
    await until("its end", async () => !(await connected("hv2")));
    await world.agent("hv3", { answer: () => undefined });
    await until("the third", () => connected("hv3"));
    const { hosts } = await alice.pingHosts({ timeoutMs: 300n }, BOUNDS);
    expect(hosts).toMatchObject([
      { host: "hv1", ok: true, problem: "" },
      { host: "hv2", ok: false, problem: "its agent is not connected" },
      { host: "hv3", ok: false, problem: "no answer within 300 ms" },
    ]);
    const [key] = a.started;
    expect(key).toMatch(/^ping-[0-9a-f]+\/hv1\/noop\/1$/);
    expect(world.controller.store.pings.count(key?.split("/")[0] ?? "")).toBe(1);
    await until("both acknowledgements", () => a.acked.size === 2);
  });
});
