import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "./lab.ts";
import { LabError, run, until } from "./system.ts";

/** Members of the cluster, and servers of the GlusterFS pool: the first hypervisors. */
export const MEMBERS = 3;

/** The members among the hypervisors of a lab. */
export function membersOf(feature: string, hypervisors: readonly string[]): readonly string[] {
  if (hypervisors.length < MEMBERS)
    throw new LabError(`${feature} needs at least ${MEMBERS} hosts, there are ${hypervisors.length}`);
  return hypervisors.slice(0, MEMBERS);
}

/** A host does not wait for its cluster: it is up as well when the other members are down. */
const dropIn = "[Unit]\nAfter=multi-user.target\n";

/** Makes a host a member: Debian's etcd.service, which also answers the version 2 API, on ports 2379 and 2380, with its data on the host's disk. */
export function makeMember(root: string, host: string, members: readonly string[]): void {
  const settings = {
    ETCD_NAME: host,
    ETCD_DATA_DIR: "/var/lib/etcd/default",
    ETCD_LISTEN_PEER_URLS: "http://0.0.0.0:2380",
    ETCD_LISTEN_CLIENT_URLS: "http://0.0.0.0:2379",
    ETCD_INITIAL_ADVERTISE_PEER_URLS: `http://${host}:2380`,
    ETCD_ADVERTISE_CLIENT_URLS: `http://${host}:2379`,
    ETCD_INITIAL_CLUSTER: members.map((member) => `${member}=http://${member}:2380`).join(","),
    ETCD_INITIAL_CLUSTER_STATE: "new",
    ETCD_ENABLE_V2: "true",
    // The members share few processors with everything else in the lab.
    ETCD_HEARTBEAT_INTERVAL: "250",
    ETCD_ELECTION_TIMEOUT: "2500",
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key}="${value}"\n`);
  writeFileSync(join(root, "etc/default/etcd"), lines.join(""));
  const units = join(root, "etc/systemd/system");
  mkdirSync(join(units, "etcd.service.d"), { recursive: true });
  writeFileSync(join(units, "etcd.service.d/lab.conf"), dropIn);
  symlinkSync("/lib/systemd/system/etcd.service", join(units, "multi-user.target.wants/etcd.service"));
  run("chown", ["etcd:etcd", join(root, "var/lib/etcd")]);
}

/** Waits until all members of the cluster say that they are healthy. */
export async function etcdIsHealthy(lab: Lab, hypervisors: readonly string[]): Promise<void> {
  const members = membersOf("etcd", hypervisors);
  const endpoints = members.map((member) => `http://${member}:2379`).join(",");
  const words = ["env", "ETCDCTL_API=3", "etcdctl", "--endpoints", endpoints, "endpoint", "health"];
  await until("etcd is healthy", async () => (await lab.exec(members[0] ?? "", words)).status === 0, 60_000, 250);
}
