import type { SystemHealth } from "@slipway/shared";
import { z } from "zod";
import { type Answer, fail, whole } from "../answer.ts";
import { tlsOf } from "../etcd/probe.ts";
import { Findings, hostOfAddress, majority, member, quorumSet, reading } from "../findings.ts";
import { count, readJson } from "../json.ts";
import type { Probe } from "../probe.ts";

const state = z.object({
  healthy: z.boolean(),
  failure_tolerance: count,
  leader: z.string().min(1),
  servers: z.record(
    z.string(),
    z.object({
      id: z.string().min(1),
      name: z.string().min(1),
      address: z.string().min(1),
      node_status: z.enum(["alive", "failed", "left", "unknown"]),
      healthy: z.boolean(),
      status: z.enum(["leader", "voter", "non-voter", "staging"]),
      version: z.string().default(""),
    }),
  ),
});
const sealStatus = z.object({ initialized: z.boolean(), sealed: z.boolean(), cluster_id: z.string().default("") });

/** The state of Vault's autopilot, and whether the server here is sealed: autopilot does not know that. */
export function parseVault(raft: Answer, health: Answer): SystemHealth {
  return reading("vault", () => {
    const what = "vault autopilot state";
    // The HTTP API wraps what the page about it shows.
    const { data: found } = readJson(whole(raft, what, [200]), what, z.object({ data: state }));
    const local = readJson(whole(health, "vault health", [200, 429, 472, 473, 501, 503]), "vault health", sealStatus);
    const findings = new Findings();
    if (!local.initialized) findings.degraded("vault: this server is not initialised");
    else if (local.sealed) findings.degraded("vault: this server is sealed; unseal it");
    const servers = Object.entries(found.servers);
    if (servers.length === 0) fail(`${what}: no server`);
    for (const [id, server] of servers) if (server.id !== id) fail(`${what}: server ${id} calls itself ${server.id}`);
    const leaders = servers.filter(([, s]) => s.status === "leader");
    if (leaders.length !== 1 || leaders[0]?.[0] !== found.leader) fail(`${what}: it is not clear who leads`);
    const isVoter = (status: string) => status === "leader" || status === "voter";
    const members = servers.map(([, server]) => {
      const isUp = server.healthy && server.node_status === "alive";
      if (!isUp) findings.degraded(`vault server ${server.name} is not healthy (${server.node_status})`);
      const votes = isVoter(server.status) ? 1 : 0;
      const address = hostOfAddress(server.address);
      return member(server.name, address, {
        votes,
        state: isUp ? "up" : "down",
        roles: server.status === "voter" ? [] : [server.status],
      });
    });
    if (!found.healthy && members.every((m) => m.state === "up"))
      findings.degraded("vault says that it is not healthy");
    const voters = members.filter((m) => m.votes > 0);
    const needed = majority(voters.length);
    const spare = voters.filter((m) => m.state === "up").length - needed;
    if (found.failure_tolerance > Math.max(0, spare))
      fail(`${what}: failure_tolerance is ${found.failure_tolerance}, its servers say ${spare}`);
    const version = leaders[0]?.[1].version ?? "";
    return findings.health("vault", {
      identity: local.cluster_id,
      version,
      sets: [quorumSet("servers", needed, members)],
    });
  });
}

/**
 * Vault (1.11 and later) and OpenBao with integrated storage. Settings: `endpoint` (default https://127.0.0.1:8200), `token-file` (may read
 * sys/storage/raft/autopilot/state), `ca`, `cert`, `key`.
 */
export const vaultProbe: Probe = {
  system: "vault",
  async ask(context) {
    const { settings } = context;
    const endpoint = settings.url("endpoint", "https://127.0.0.1:8200");
    const file = settings.path("token-file");
    const tls = tlsOf(settings);
    settings.end();
    const secret = file === undefined ? {} : { secret: { header: "X-Vault-Token", file } };
    const raft = await context.request({
      method: "GET",
      url: `${endpoint}/v1/sys/storage/raft/autopilot/state`,
      tls,
      ...secret,
    });
    const health = await context.request({ method: "GET", url: `${endpoint}/v1/sys/health`, tls });
    return parseVault(raft, health);
  },
};
