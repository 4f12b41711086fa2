import { cephNooutService } from "./ceph-noout.ts";
import { etcdService } from "./etcd.ts";
import { fleetService } from "./fleet.ts";
import { glusterService } from "./gluster.ts";
import { glusterMountsService } from "./gluster-mounts.ts";
import { type ServicesOptions, serviceJobs } from "./jobs.ts";
import { FileMemory } from "./memory.ts";
import { pacemakerService } from "./pacemaker.ts";
import { Proc } from "./processes.ts";
import { systemdService } from "./systemd.ts";

export interface CreateServices extends Omit<ServicesOptions, "memory"> {
  /** The agent's state directory. */
  readonly stateDir: string;
}

/** Every kind of service that this agent can stop and start, as the jobs that its core asks for. */
export function createServices({ stateDir, ...options }: CreateServices) {
  const memory = new FileMemory(stateDir);
  const proc = new Proc();
  const services = [
    systemdService,
    glusterMountsService(proc, memory),
    glusterService({ proc, kill: killIfThere, now: () => performance.now() }),
    etcdService,
    fleetService(),
    pacemakerService,
    cephNooutService,
  ];
  return serviceJobs(services, { ...options, memory });
}

function killIfThere(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown;
  }
}
