import type { SystemHealth } from "@slipway/shared";
import { z } from "zod";
import { type Answer, fail, whole } from "../answer.ts";
import { tlsOf } from "../etcd/probe.ts";
import { Findings, majority, member, quorumSet, reading } from "../findings.ts";
import { count, readJson } from "../json.ts";
import type { Probe } from "../probe.ts";

const nodeList = z
  .array(z.object({ name: z.string().min(1), type: z.string(), connection_status: z.string().min(1) }))
  .min(1);
const resourceView = z.array(
  z.object({
    name: z.string().min(1),
    node_name: z.string().min(1),
    flags: z.array(z.string()).default([]),
    state: z.object({ in_use: z.boolean().optional() }).default({}),
    volumes: z.array(z.object({ volume_number: count, state: z.object({ disk_state: z.string().min(1) }) })).min(1),
  }),
);

/** What LINSTOR's controller knows of all nodes: a set for each volume, of the nodes that hold its data. */
export function parseLinstor(nodes: Answer, resources: Answer): SystemHealth {
  return reading("linstor", () => {
    const findings = new Findings();
    const hosts = readJson(whole(nodes, "linstor nodes", [200]), "linstor nodes", nodeList);
    const status = new Map(hosts.map((node) => [node.name, node.connection_status]));
    if (status.size !== hosts.length) fail("linstor nodes: a node twice");
    for (const [name, connection] of status)
      if (connection !== "ONLINE") findings.degraded(`linstor node ${name} is ${connection}`);
    const view = readJson(whole(resources, "linstor resources", [200]), "linstor resources", resourceView);
    const volumes = new Map<string, ReturnType<typeof member>[]>();
    const numbers = new Map(view.map((r) => [r.name, volumeNumbers(r.volumes)]));
    for (const { name, volumes: own } of view)
      if (volumeNumbers(own) !== numbers.get(name)) fail(`linstor: the nodes of ${name} have different volumes`);
    for (const { name, node_name: node, flags, state, volumes: own } of view) {
      const connection = status.get(node) ?? fail(`linstor: resource ${name} is on ${node}, which is no node`);
      // Clients and tie-breakers hold no data.
      const isDiskless = flags.some((flag) => /DISKLESS|TIE_BREAKER/.test(flag));
      for (const {
        volume_number: volume,
        state: { disk_state: found },
      } of own) {
        if (isDiskless) {
          if (!/^(?:Diskless|TieBreaker)$/.test(found))
            findings.degraded(`linstor ${name} volume ${volume} on ${node} is ${found}`);
          continue;
        }
        const isUp = found === "UpToDate" && connection === "ONLINE";
        if (!isUp) findings.degraded(`linstor ${name} volume ${volume} on ${node} is ${found}`);
        const key = `${name} volume ${volume}`;
        const roles = state.in_use === true ? ["primary"] : [];
        const members = volumes.get(key) ?? [];
        if (members.some((m) => m.name === node)) fail(`linstor: ${key} is twice on ${node}`);
        volumes.set(key, [...members, member(node, node, { state: isUp ? "up" : "down", roles, note: found })]);
      }
    }
    const sets = [...volumes].map(([key, members]) =>
      quorumSet(key, members.length > 2 ? majority(members.length) : 1, members),
    );
    return findings.health("linstor", { sets });
  });
}

function volumeNumbers(volumes: readonly { readonly volume_number: number }[]): string {
  return volumes
    .map((v) => v.volume_number)
    .toSorted()
    .join();
}

/** LINSTOR's REST API. Settings: `endpoint` of the controller (default http://127.0.0.1:3370), `ca`, `cert`, `key`. */
export const linstorProbe: Probe = {
  system: "linstor",
  async ask(context) {
    const { settings } = context;
    const endpoint = settings.url("endpoint", "http://127.0.0.1:3370");
    const tls = tlsOf(settings);
    settings.end();
    const nodes = await context.request({ method: "GET", url: `${endpoint}/v1/nodes`, tls });
    const resources = await context.request({ method: "GET", url: `${endpoint}/v1/view/resources`, tls });
    return parseLinstor(nodes, resources);
  },
};
