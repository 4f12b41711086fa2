import { spawn } from "node:child_process";
import { mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LAB_DIR } from "./protocol.ts";

// The storage that the hypervisors of a lab share: a file server of its own beside the hosts, as a NAS in the rack. It must be a network
// file system: libvirt moves a guest without its disk only when it sees that both hosts have the same one. A GlusterFS server with a single
// directory and no management is the smallest there is that needs nothing of the machine's kernel but FUSE. (The GlusterFS cluster that
// Slipway guards is another thing: gluster.ts.)
//
// It is on the hosts' network: a host that is cut off has lost its storage too.

/** Where each hypervisor mounts it. */
export const SHARED = "/var/lib/slipway-shared";
const PORT = 24100;
/** So long does the server keep the locks of a host that went silent, seconds. */
const SILENCE_S = 3;

const serverVolume = (dir: string, address: string) => `volume disk
  type storage/posix
  option directory ${dir}
end-volume
volume locks
  type features/locks
  subvolumes disk
end-volume
volume server
  type protocol/server
  option transport-type socket
  option transport.address-family inet
  option transport.socket.bind-address ${address}
  option transport.socket.listen-port ${PORT}
  option transport.tcp-user-timeout ${SILENCE_S}
  option transport.socket.keepalive-time 1
  option transport.socket.keepalive-interval 1
  option transport.socket.keepalive-count ${SILENCE_S}
  option auth.addr.locks.allow *
  subvolumes locks
end-volume
`;

const clientVolume = (address: string) => `volume shared
  type protocol/client
  option transport-type socket
  option transport.address-family inet
  option remote-host ${address}
  option remote-port ${PORT}
  option remote-subvolume locks
  option ping-timeout 10
end-volume
`;

/** Starts the server in the lab's namespaces. */
export function serveStorage(address: string): void {
  const dir = `${LAB_DIR}/storage`;
  mkdirSync(join(dir, "files"), { recursive: true });
  mkdirSync("/run/gluster", { recursive: true });
  writeFileSync(join(dir, "server.vol"), serverVolume(join(dir, "files"), address));
  const log = openSync(join(dir, "log"), "a");
  const words = ["-N", "-f", join(dir, "server.vol"), "-l", join(dir, "log"), "--volfile-id=shared"];
  spawn("glusterfsd", words, { stdio: ["ignore", log, log] }).once("error", (error) => console.log(error.message));
}

/** Has a host mount it at each boot. */
export function mountStorage(root: string, address: string): void {
  mkdirSync(join(root, SHARED), { recursive: true });
  writeFileSync(join(root, "etc/glusterfs/shared.vol"), clientVolume(address));
  const options = "defaults,_netdev,x-systemd.before=libvirtd.service";
  writeFileSync(join(root, "etc/fstab"), `/etc/glusterfs/shared.vol ${SHARED} glusterfs ${options} 0 0\n`);
}
