import type { SystemHealth } from "@slipway/shared";
import { z } from "zod";
import { type Answer, fail, whole } from "../answer.ts";
import { tlsOf } from "../etcd/probe.ts";
import { Findings, hostOfAddress, majority, member, quorumSet, reading } from "../findings.ts";
import { count, readJson } from "../json.ts";
import type { Probe } from "../probe.ts";

const UNHEALTHY = 429;
const autopilot = z.object({
  Healthy: z.boolean(),
  FailureTolerance: count,
  Servers: z
    .array(
      z.object({
        ID: z.string().min(1),
        Name: z.string().min(1),
        Address: z.string().min(1),
        SerfStatus: z.enum(["none", "alive", "leaving", "left", "failed"]),
        Version: z.string(),
        Leader: z.boolean(),
        Healthy: z.boolean(),
        Voter: z.boolean(),
      }),
    )
    .min(1),
});

/** GET /v1/operator/autopilot/health: 429 is its way to say "not healthy", with the same body. */
export function parseConsul(answer: Answer): SystemHealth {
  return reading("consul", () => {
    const what = "consul autopilot health";
    const found = readJson(whole(answer, what, [200, UNHEALTHY]), what, autopilot);
    if (found.Healthy !== (answer.exitCode === 200)) fail(`${what}: HTTP status and answer differ`);
    const findings = new Findings();
    const names = found.Servers.map((s) => s.Name);
    if (new Set(names).size !== names.length) fail(`${what}: a server twice`);
    const leaders = found.Servers.filter((s) => s.Leader).length;
    if (leaders !== 1) findings.degraded(`consul has ${leaders} leaders`);
    const members = found.Servers.map((server) => {
      const isUp = server.Healthy && server.SerfStatus === "alive";
      if (!isUp) findings.degraded(`consul server ${server.Name} is not healthy (${server.SerfStatus})`);
      const address = hostOfAddress(server.Address);
      return member(server.Name, address, {
        votes: server.Voter ? 1 : 0,
        state: isUp ? "up" : "down",
        roles: [...(server.Leader ? ["leader"] : []), ...(server.Voter ? [] : ["non-voter"])],
      });
    });
    if (!found.Healthy && members.every((m) => m.state === "up"))
      findings.degraded("consul says that it is not healthy");
    const voters = found.Servers.filter((s) => s.Voter);
    const healthy = voters.filter((s) => s.Healthy).length;
    if (found.Healthy && found.FailureTolerance > Math.max(0, healthy - majority(voters.length)))
      fail(`${what}: FailureTolerance is ${found.FailureTolerance} with ${healthy} of ${voters.length} voters healthy`);
    const version = found.Servers[0]?.Version ?? "";
    return findings.health("consul", { version, sets: [quorumSet("servers", majority(voters.length), members)] });
  });
}

/** Consul. Settings: `endpoint` (default http://127.0.0.1:8500), `token-file` (operator:read), `ca`, `cert`, `key`. */
export const consulProbe: Probe = {
  system: "consul",
  async ask(context) {
    const { settings } = context;
    const url = `${settings.url("endpoint", "http://127.0.0.1:8500")}/v1/operator/autopilot/health`;
    const file = settings.path("token-file");
    const tls = tlsOf(settings);
    settings.end();
    const secret = file === undefined ? {} : { secret: { header: "X-Consul-Token", file } };
    return parseConsul(await context.request({ method: "GET", url, tls, ...secret }));
  },
};
