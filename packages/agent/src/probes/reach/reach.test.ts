import { createSocket } from "node:dgram";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sendRequest } from "../http.ts";
import type { Probe } from "../probe.ts";
import { SettingsReader } from "../settings.ts";
import { dnsProbe, httpProbe, tcpProbe } from "./probe.ts";

const look = (probe: Probe, settings: Record<string, string>) =>
  probe.ask({
    settings: new SettingsReader(settings, "h1"),
    going: [],
    host: "h1",
    run: () => Promise.reject(new Error("runs nothing")),
    request: (request) => sendRequest(request, { timeoutMs: 3_000 }),
    pause: () => Promise.resolve(false),
  });

let server: Server;
let port: number;
beforeAll(async () => {
  server = createServer((request, response) => {
    response.statusCode = request.url === "/sick" ? 503 : request.url === "/moved" ? 302 : 200;
    response.setHeader("location", "/");
    response.end("ok");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => server.close());

describe("a member that is reached", () => {
  it("listens", async () => {
    expect((await look(tcpProbe, { address: `127.0.0.1:${port}` })).state).toBe("healthy");
    expect(await look(tcpProbe, { address: "127.0.0.1:1" })).toMatchObject({
      state: "degraded",
      reasons: ["127.0.0.1:1: ECONNREFUSED"],
    });
  });
  it("answers over HTTP with the status that it shall have, and nobody is followed elsewhere", async () => {
    const url = `http://127.0.0.1:${port}`;
    expect((await look(httpProbe, { url })).state).toBe("healthy");
    expect((await look(httpProbe, { url: `${url}/sick` })).reasons).toEqual([`${url}/sick: HTTP 503, not 200`]);
    expect((await look(httpProbe, { url: `${url}/moved` })).reasons).toEqual([`${url}/moved: HTTP 302, not 200`]);
    expect((await look(httpProbe, { url: `${url}/sick`, status: "503" })).state).toBe("healthy");
  });
  it("resolves a name", async () => {
    // A name server of one answer: the question, and an address.
    const dns = createSocket("udp4", (question, from) => {
      const end = question.indexOf(0, 12) + 5;
      const knows = question.subarray(12, end).includes("known");
      const header = Buffer.from([
        question[0] ?? 0,
        question[1] ?? 0,
        0x81,
        knows ? 0x80 : 0x83,
        0,
        1,
        0,
        knows ? 1 : 0,
        0,
        0,
        0,
        0,
      ]);
      const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 1]);
      dns.send(
        Buffer.concat([header, question.subarray(12, end), knows ? answer : Buffer.alloc(0)]),
        from.port,
        from.address,
      );
    });
    await new Promise<void>((resolve) => dns.bind(0, "127.0.0.1", resolve));
    const at = `127.0.0.1:${dns.address().port}`;
    try {
      expect((await look(dnsProbe, { server: at, name: "known.example" })).state).toBe("healthy");
      expect(await look(dnsProbe, { server: at, name: "gone.example" })).toMatchObject({
        state: "degraded",
        reasons: [`${at} does not resolve gone.example (ENOTFOUND)`],
      });
    } finally {
      dns.close();
    }
  });
  it.each([
    [tcpProbe, { address: "nowhere" }, /give HOST:PORT/],
    [tcpProbe, { address: "h:99999" }, /a port from 1 to 65535/],
    [dnsProbe, { server: "x y", name: "a" }, /give the address of a name server/],
    [httpProbe, { url: "file:///etc/passwd" }, /give http/],
    [httpProbe, {}, /give http/],
  ])("is refused settings that make no sense: %o %j", async (probe, settings, reason) => {
    await expect(look(probe, settings as Record<string, string>)).rejects.toThrow(reason);
  });
});
