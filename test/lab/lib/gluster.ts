import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "./lab.ts";
import { until } from "./system.ts";

// A GlusterFS pool on the hypervisors: three servers, a volume with three copies, and one with two copies and an arbiter (on the last
// of the three). Every hypervisor can mount both: `mount /mnt/rep3`, `mount /mnt/arb`.

export const BRICKS = "/bricks";
export const volumes = { rep3: "replica 3", arb: "replica 3 arbiter 1" } as const;

/** Bricks are on ports of their own: from Debian's, 49152 and up, libvirt takes those for the memory of moving guests. */
const glusterdVol = `volume management
    type mgmt/glusterd
    option working-directory /var/lib/glusterd
    option transport-type socket
    option transport.address-family inet
    option transport.socket.keepalive-time 10
    option transport.socket.keepalive-interval 2
    option transport.socket.listen-port 24007
    option ping-timeout 0
    option event-threads 1
    option base-port 50152
    option max-port 51151
end-volume
`;

/** Makes a host a server of the pool. */
export function makeServer(root: string): void {
  mkdirSync(join(root, BRICKS), { recursive: true });
  writeFileSync(join(root, "etc/glusterfs/glusterd.vol"), glusterdVol);
  const unit = "multi-user.target.wants/glusterd.service";
  symlinkSync("/lib/systemd/system/glusterd.service", join(root, "etc/systemd/system", unit));
}

/** Lets a host mount the volumes. */
export function knowVolumes(root: string, servers: readonly string[]): void {
  const [first, ...others] = servers;
  for (const volume of Object.keys(volumes)) {
    mkdirSync(join(root, "mnt", volume), { recursive: true });
    const options = `noauto,_netdev,backup-volfile-servers=${others.join(":")}`;
    appendFileSync(join(root, "etc/fstab"), `${first}:/${volume} /mnt/${volume} glusterfs ${options} 0 0\n`);
  }
}

/** Makes the pool and its volumes; returns when all bricks and the heal daemons are there. */
export async function startGluster(lab: Lab, servers: readonly string[]): Promise<void> {
  const [first = ""] = servers;
  const gluster = (...words: string[]) => lab.sh(first, `gluster --mode=script ${words.join(" ")}`);
  for (const server of servers.slice(1)) await gluster("peer probe", server);
  // Each of them has to say so: a volume is made by all.
  for (const server of servers)
    await until(`${server} is connected with its peers`, async () => {
      const { stdout } = await lab.exec(server, ["gluster", "pool", "list"]);
      return stdout.split("\n").filter((line) => /\sConnected\s*$/.test(line)).length === servers.length;
    });
  for (const [volume, layout] of Object.entries(volumes)) {
    const bricks = servers.map((server) => `${server}:${BRICKS}/${volume}`).join(" ");
    await gluster("volume create", volume, layout, bricks, "force");
    // A lab's network is silent for good when it is silent for so long, seconds; 42 is what servers in the field need.
    await gluster("volume set", volume, "network.ping-timeout 5");
    await gluster("volume start", volume);
  }
  for (const volume of Object.keys(volumes))
    await until(`${volume} is whole`, async () => {
      const { status, stdout } = await lab.exec(first, ["gluster", "volume", "heal", volume, "info"]);
      return status === 0 && stdout.split("Status: Connected").length === servers.length + 1;
    });
}
