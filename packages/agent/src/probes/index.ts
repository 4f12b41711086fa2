import { cephProbe } from "./ceph/probe.ts";
import { commandProbe } from "./command/probe.ts";
import { trustedScript } from "./command/script.ts";
import { consulProbe } from "./consul/probe.ts";
import { corosyncProbe } from "./corosync/probe.ts";
import { drbdProbe } from "./drbd/probe.ts";
import { etcdProbe } from "./etcd/probe.ts";
import { etcdV2Probe } from "./etcd/v2.ts";
import { fleetProbe } from "./fleet/probe.ts";
import { galeraProbe } from "./galera/probe.ts";
import { glusterProbe } from "./gluster/probe.ts";
import { type ProbesOptions, probeJobs } from "./jobs.ts";
import { linstorProbe } from "./linstor/probe.ts";
import { pacemakerProbe } from "./pacemaker/probe.ts";
import type { Probe } from "./probe.ts";
import { rabbitProbe } from "./rabbitmq/probe.ts";
import { dnsProbe, httpProbe, tcpProbe } from "./reach/probe.ts";
import { systemdProbe } from "./systemd/probe.ts";
import { vaultProbe } from "./vault/probe.ts";

export type { ProbesOptions } from "./jobs.ts";

/** Every kind of system that an agent reads by itself; the site's own probes come with the directory that they are in. */
export const probes: readonly Probe[] = [
  etcdProbe,
  etcdV2Probe,
  glusterProbe,
  cephProbe,
  corosyncProbe,
  pacemakerProbe,
  galeraProbe,
  rabbitProbe,
  consulProbe,
  vaultProbe,
  drbdProbe,
  linstorProbe,
  fleetProbe,
  systemdProbe,
  tcpProbe,
  dnsProbe,
  httpProbe,
];

export interface CreateProbes extends ProbesOptions {
  /** Where the site has probes of its own. */
  readonly probesDir: string;
}

/** The agent's probes, as the jobs that its core asks for. */
export function createProbes({ probesDir, ...options }: CreateProbes) {
  return probeJobs([...probes, commandProbe((name) => trustedScript(name, probesDir))], options);
}
