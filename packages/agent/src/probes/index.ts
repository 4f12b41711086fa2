import { etcdProbe } from "./etcd/probe.ts";
import { etcdV2Probe } from "./etcd/v2.ts";
import { glusterProbe } from "./gluster/probe.ts";
import { type ProbesOptions, probeJobs } from "./jobs.ts";
import type { Probe } from "./probe.ts";

export type { ProbesOptions } from "./jobs.ts";

/** Every kind of system that this agent can read. */
export const probes: readonly Probe[] = [etcdProbe, etcdV2Probe, glusterProbe];

/** The agent's probes, as the jobs that its core asks for. */
export function createProbes(options: ProbesOptions) {
  return probeJobs(probes, options);
}
