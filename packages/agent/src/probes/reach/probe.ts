// The plain questions that a member of a group is asked: does it listen, does it resolve, does it answer.
import { Resolver } from "node:dns/promises";
import { connect } from "node:net";
import { fail } from "../answer.ts";
import { Findings } from "../findings.ts";
import type { Probe } from "../probe.ts";

const LIMIT_MS = 4_000;

/** Settings: `address` (host:port). Degraded when nobody listens there. */
export const tcpProbe: Probe = {
  system: "tcp",
  async ask({ settings }) {
    const address = settings.text("address");
    settings.end();
    const [, host = "", port = ""] =
      /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(address) ?? fail(`setting address is ${address}; give HOST:PORT`);
    if (Number(port) < 1 || Number(port) > 65_535) fail(`setting address is ${address}; give a port from 1 to 65535`);
    const problem = await new Promise<string>((resolve) => {
      const socket = connect({ host, port: Number(port) });
      const end = (text: string) => {
        clearTimeout(timer);
        socket.destroy();
        resolve(text);
      };
      const timer = setTimeout(() => end("no answer in time"), LIMIT_MS);
      socket.once("connect", () => end(""));
      socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    });
    const findings = new Findings();
    if (problem !== "") findings.degraded(`${address}: ${problem}`);
    return findings.health("tcp");
  },
};

/** Settings: `server` (address, or address:port), `name`, `type` (A, AAAA, SOA, NS, MX, TXT, PTR, SRV; default A). Degraded when it has no answer. */
export const dnsProbe: Probe = {
  system: "dns",
  async ask({ settings }) {
    const server = settings.text("server");
    const name = settings.text("name");
    const type = settings.choice("type", ["A", "AAAA", "SOA", "NS", "MX", "TXT", "PTR", "SRV"], "A");
    settings.end();
    const resolver = new Resolver({ timeout: LIMIT_MS / 2, tries: 2 });
    try {
      resolver.setServers([server]);
    } catch {
      fail(`setting server is ${server}; give the address of a name server`);
    }
    const findings = new Findings();
    try {
      const found = await resolver.resolve(name, type);
      if (Array.isArray(found) && found.length === 0) findings.degraded(`${server} knows no ${type} of ${name}`);
    } catch (thrown) {
      findings.degraded(
        `${server} does not resolve ${name} (${(thrown as NodeJS.ErrnoException).code ?? String(thrown)})`,
      );
    } finally {
      resolver.cancel();
    }
    return findings.health("dns");
  },
};

/** Settings: `url`, `status` (expected; default 200), `ca` (path). Degraded when another answer comes, or none. */
export const httpProbe: Probe = {
  system: "http",
  async ask(context) {
    const { settings } = context;
    const url = settings.url("url", "");
    const status = settings.count("status", 200);
    const ca = settings.path("ca");
    settings.end();
    const answer = await context.request(
      { method: "GET", url, ...(ca === undefined ? {} : { tls: { ca } }) },
      { timeoutMs: LIMIT_MS },
    );
    const findings = new Findings();
    const got = answer.timedOut ? "no answer in time" : answer.problem || `HTTP ${answer.exitCode}, not ${status}`;
    if (answer.exitCode !== status || answer.problem !== "") findings.degraded(`${url}: ${got}`);
    return findings.health("http");
  },
};
