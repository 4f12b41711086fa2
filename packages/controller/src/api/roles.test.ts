import { connect as connectTls } from "node:tls";
import { connect, openServerStream, unaryClient } from "@slipway/shared/grpc";
import { operatorWire } from "@slipway/shared/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until, World } from "../testing/world.ts";
import { minimalRole, type OperatorMethod } from "./roles.ts";

const BOUNDS = { deadlineMs: 5_000 };
const methods = Object.keys(operatorWire.OperatorService.method) as OperatorMethod[];
let world: World;

beforeAll(async () => {
  world = await World.make();
});
afterAll(async () => {
  await world.end();
});

/** How a call with this certificate ends: its status, or 0. The requests are empty, so most end in another refusal. */
async function outcome(role: "agent" | "viewer" | "operator" | "controller", method: OperatorMethod): Promise<string> {
  const tls = await world.tls(role, `${role}-1`);
  const client = connect(world.controller.listen, tls);
  try {
    if (method === "watchRun") {
      const stream = openServerStream(client, operatorWire.OperatorService.method.watchRun, {});
      return await new Promise((resolve) => {
        stream.on("data", () => {});
        stream.on("error", () => {});
        stream.on("status", (s: { code: number; details: string }) => resolve(s.details));
      });
    }
    const api = unaryClient(client, operatorWire.OperatorService);
    // All of them take an empty request; the union of their types is more than the compiler wants to unfold.
    await (api[method] as (request: object, bounds: typeof BOUNDS) => Promise<unknown>)({}, BOUNDS);
    return "";
  } catch (thrown) {
    return (thrown as Error).message;
  } finally {
    client.close();
  }
}

test("every method of the service has a role", () => {
  expect(Object.keys(minimalRole).toSorted()).toEqual(methods.toSorted());
  const looks = methods.filter((m) => /^(plan|watch|list|get|why|check)/.test(m));
  expect(methods.filter((m) => minimalRole[m] === "viewer").toSorted()).toEqual(looks.toSorted());
});

describe.each(methods)("%s", (method) => {
  test("is refused to agents", async () => {
    expect(await outcome("agent", method)).toContain(`${method}: agent-1 has the role agent, this needs`);
  });

  test("lets viewers look, not act", async () => {
    const refusal = `${method}: viewer-1 has the role viewer, this needs operator; use a certificate made with`;
    if (minimalRole[method] === "viewer") expect(await outcome("viewer", method)).not.toContain("has the role");
    else expect(await outcome("viewer", method)).toContain(refusal);
  });

  test("is open to operators", async () => {
    expect(await outcome("operator", method)).not.toContain("has the role");
  });
});

test("refused calls and actions are in the audit log, looks are not", async () => {
  await outcome("viewer", "startRun");
  await outcome("operator", "startRun");
  await outcome("operator", "listHosts");
  const entries = world.controller.store.audit.latest(1_000);
  expect(entries).toContainEqual(
    expect.objectContaining({
      who: "viewer-1",
      role: "viewer",
      method: "startRun",
      result: expect.stringContaining("needs operator"),
    }),
  );
  expect(entries).toContainEqual(
    expect.objectContaining({
      who: "operator-1",
      method: "startRun",
      result: expect.stringContaining("scope: nothing is chosen"),
    }),
  );
  expect(entries.filter((e) => e.who === "operator-1" && minimalRole[e.method as OperatorMethod] === "viewer")).toEqual(
    [],
  );
});

test("a controller's own certificate is no client certificate", async () => {
  expect(await outcome("controller", "listHosts")).not.toBe("");
});

test("without a certificate TLS lets nobody in", async () => {
  const port = Number(world.controller.listen.split(":").at(-1));
  const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  const got: Buffer[] = [];
  let closed = false;
  socket.on("data", (d) => got.push(d));
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  await until("its end", () => closed);
  expect(world.logs.lines.some((l) => /refused by TLS/.test(l.text))).toBe(true);
});
