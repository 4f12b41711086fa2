import type { QuorumMember, SystemHealth } from "@slipway/shared";
import { z } from "zod";
import { type Answer, fail, whole } from "../answer.ts";
import { Findings, majority, member, quorumSet, reading } from "../findings.ts";
import { count, readJson } from "../json.ts";
import type { Probe } from "../probe.ts";

const disk = z.enum([
  "Diskless",
  "Attaching",
  "Detaching",
  "Failed",
  "Negotiating",
  "Inconsistent",
  "Outdated",
  "DUnknown",
  "Consistent",
  "UpToDate",
]);
const role = z.enum(["Primary", "Secondary", "Unknown"]);
const peerDevice = z.object({
  volume: count,
  "replication-state": z.string().min(1),
  "peer-disk-state": disk,
  "peer-client": z.boolean(),
  "out-of-sync": count,
});
const resources = z.array(
  z.object({
    name: z.string().min(1),
    role,
    suspended: z.boolean(),
    devices: z.array(z.object({ volume: count, "disk-state": disk, client: z.boolean(), quorum: z.boolean() })).min(1),
    connections: z.array(
      z.object({
        name: z.string().min(1),
        "connection-state": z.string().min(1),
        "peer-role": role,
        peer_devices: z.array(peerDevice),
      }),
    ),
  }),
);
type Resource = z.output<typeof resources>[number];

/**
 * drbdsetup status --json of DRBD 9, as one of its nodes sees it: a set for each volume, of the nodes that hold its data. Of three and
 * more a majority has to stay, of two one.
 */
export function parseDrbd(answer: Answer, host: string): SystemHealth {
  return reading("drbd", () => {
    const found = readJson(whole(answer, "drbdsetup status"), "drbdsetup status", resources);
    const findings = new Findings();
    if (found.length === 0) findings.unknown("drbd has no resource on this host");
    if (new Set(found.map((r) => r.name)).size !== found.length) fail("drbdsetup status: a resource twice");
    const sets = found.flatMap((resource) => {
      if (resource.suspended) findings.degraded(`drbd ${resource.name}: its I/O is suspended`);
      return resource.devices.map(({ volume }) => volumeSet(resource, volume, host, findings));
    });
    return findings.health("drbd", { sets });
  });
}

function volumeSet(resource: Resource, volume: number, host: string, findings: Findings) {
  const where = `drbd ${resource.name} volume ${volume}`;
  const own = resource.devices.find((d) => d.volume === volume) ?? fail(`${where}: it vanished`);
  if (!own.quorum) findings.degraded(`${where}: no quorum here`);
  const members: QuorumMember[] = [];
  const repairs: string[] = [];
  const roles = (name: z.output<typeof role>) => (name === "Primary" ? ["primary"] : []);
  // One that is meant to have no disk holds no data that could be lost.
  if (!own.client) {
    const isUp = own["disk-state"] === "UpToDate";
    if (!isUp) findings.degraded(`${where}: the disk here is ${own["disk-state"]}`);
    members.push(
      member(host, host, { state: isUp ? "up" : "down", roles: roles(resource.role), note: own["disk-state"] }),
    );
  }
  for (const connection of resource.connections) {
    const { name, "connection-state": link } = connection;
    const device =
      connection.peer_devices.find((d) => d.volume === volume) ?? fail(`${where}: nothing is said of ${name}`);
    if (device["peer-client"] && link === "Connected") continue;
    const state = device["peer-disk-state"];
    const isUp = link === "Connected" && state === "UpToDate";
    const note = link === "Connected" ? state : link;
    if (!isUp) findings.degraded(`${where}: ${name} is ${note}`);
    const replication = device["replication-state"];
    const pending = device["out-of-sync"];
    if (link === "Connected" && (replication !== "Established" || pending > 0)) {
      const repair = `${name}: ${replication}, ${pending} KiB out of sync`;
      findings.degraded(`${where}: ${repair}`);
      repairs.push(repair);
    }
    members.push(member(name, name, { state: isUp ? "up" : "down", roles: roles(connection["peer-role"]), note }));
  }
  members.sort((a, b) => (a.name < b.name ? -1 : 1));
  const needed = members.length > 2 ? majority(members.length) : 1;
  return quorumSet(`${resource.name} volume ${volume}`, needed, members, { repairing: repairs.join("; ") });
}

/** DRBD 9. Setting: `node`, this host's name there (default: the host's). */
export const drbdProbe: Probe = {
  system: "drbd",
  async ask(context) {
    const node = context.settings.text("node", context.host);
    context.settings.end();
    return parseDrbd(await context.run(["drbdsetup", "status", "--json"]), node);
  },
};
