import { Server } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SlipwayError } from "../errors.ts";
import { type Authority, createAuthority, identityOf, issueWithNewKey } from "../tls/index.ts";
import { operatorWire } from "../wire.ts";
import { type Handlers, implementation, serviceDefinition, toStatus, unaryClient } from "./adapter.ts";
import { connect, serverCredentials, type TlsFiles } from "./channel.ts";

const service = operatorWire.OperatorService;
let server: Server;
let address: string;
let operator: TlsFiles;
let stranger: TlsFiles;
let authority: Authority;

beforeAll(async () => {
  authority = await createAuthority("test");
  const own = await issueWithNewKey(authority, {
    identity: { role: "controller", name: "controller" },
    dnsNames: ["controller.slipway.internal"],
  });
  const alice = await issueWithNewKey(authority, { identity: { role: "operator", name: "alice" } });
  operator = { ca: authority.ca, ...alice };
  const other = await createAuthority("other");
  stranger = { ca: authority.ca, ...(await issueWithNewKey(other, { identity: { role: "operator", name: "eve" } })) };
  server = new Server();
  const handlers = {
    getRun: (request, call) => {
      const who = identityOf(call.getAuthContext()?.sslPeerCertificate as { raw: Buffer });
      if (request.run === "slow") return new Promise(() => {});
      if (request.run === "bug") throw new TypeError("x is undefined");
      if (request.run !== "r1")
        throw new SlipwayError("not-found", `run "${request.run}": there is none of that name`, {
          fix: "did you mean r1?",
        });
      return { run: { run: "r1", startedBy: who?.name ?? "" } };
    },
  } as Partial<Handlers<typeof service>>;
  const all = Object.fromEntries(service.methods.map((m) => [m.localName, () => ({})]));
  server.addService(
    serviceDefinition(service),
    implementation(service, { ...all, ...handlers } as Handlers<typeof service>),
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", serverCredentials({ ca: authority.ca, ...own }, true), (e, p) =>
      e ? reject(e) : resolve(p),
    ),
  );
  address = `127.0.0.1:${port}`;
});
afterAll(() => server.forceShutdown());

describe("a unary call", () => {
  test("knows who calls, and brings answers and refusals through", async () => {
    const channel = connect(address, operator);
    const client = unaryClient(channel, service);
    try {
      const { run } = await client.getRun({ run: "r1" }, { deadlineMs: 5000 });
      expect(run?.startedBy).toBe("alice");
      await expect(client.getRun({ run: "r2" }, { deadlineMs: 5000 })).rejects.toMatchObject({
        code: "not-found",
        message: 'run "r2": there is none of that name; did you mean r1?',
        exitStatus: 2,
      });
      await expect(client.getRun({ run: "bug" }, { deadlineMs: 5000 })).rejects.toMatchObject({ code: "internal" });
      await expect(client.getRun({ run: "slow" }, { deadlineMs: 100 })).rejects.toMatchObject({ code: "timed-out" });
    } finally {
      channel.close();
    }
  });

  test("is not made to a host that passes itself off as the controller", async () => {
    const names = { identity: { role: "agent", name: "hv1" }, dnsNames: ["controller.slipway.internal"] } as const;
    const thief = new Server();
    const own = await issueWithNewKey(authority, names);
    const port = await new Promise<number>((resolve, reject) =>
      thief.bindAsync("127.0.0.1:0", serverCredentials({ ca: authority.ca, ...own }, true), (e, p) =>
        e ? reject(e) : resolve(p),
      ),
    );
    for (const tls of [operator, { ca: authority.ca }]) {
      const channel = connect(`127.0.0.1:${port}`, tls);
      try {
        const call = unaryClient(channel, service).getRun({ run: "r1" }, { deadlineMs: 2000 });
        await expect(call).rejects.toThrow(/certificate is that of agent, not of a controller/);
      } finally {
        channel.close();
      }
    }
    thief.forceShutdown();
  });

  test("of somebody whom another authority vouches for is refused", async () => {
    const channel = connect(address, stranger);
    try {
      await expect(unaryClient(channel, service).getRun({ run: "r1" }, { deadlineMs: 2000 })).rejects.toMatchObject({
        code: "unreachable",
      });
    } finally {
      channel.close();
    }
  });
});

test("an unexpected error shows no stack to the caller", () => {
  const { details } = toStatus(new TypeError("x is undefined"));
  expect(details).toBe("x is undefined");
});
