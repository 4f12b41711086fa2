import { existsSync, mkdirSync } from "node:fs";
import { makeMember, membersOf } from "./etcd.ts";
import { BRICKS, knowVolumes, makeServer } from "./gluster.ts";
import { buildGuest } from "./guest-kernel.ts";
import { Host } from "./host.ts";
import { GUESTS, makeHypervisor } from "./hypervisor.ts";
import { buildImage } from "./image.ts";
import { LAB_DIR, type LabSettings, type Reply, type Request } from "./protocol.ts";
import { mountStorage, serveStorage } from "./storage.ts";
import { LabError, messageOf, run, until } from "./system.ts";

// Runs inside the lab's own namespaces (see keeper.ts), where nothing that it makes is seen by or outlives the machine: processes, mounts,
// bridge, links. It is the hosts' power supply and their cable.

const BRIDGE = "lab0";
/** The lab's own side of it. */
const OWN = "10.77.0.1";
/** No other network is in the lab's namespace, so that every lab can have the same one. */
const address = (n: number) => `10.77.0.${10 + n}`;

const say = (line: string) => console.log(`${new Date().toISOString()} ${line}`);

function build(settings: LabSettings): Map<string, Host> {
  process.umask(0o022);
  run("mount", ["-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"]);
  mkdirSync(`${LAB_DIR}/image`, { recursive: true });
  run("mount", ["-t", "tmpfs", "-o", "mode=0755", "tmpfs", `${LAB_DIR}/image`]);
  const names = settings.hosts.map((host, i) => `${address(i)} ${host}\n`).join("");
  const { name, checkout, packages, binds, firmwareMs, diskMiB } = settings;
  const began = performance.now();
  const image = buildImage({ dir: `${LAB_DIR}/image`, checkout, packages, names });
  say(`image: ${Math.round(performance.now() - began)} ms`);
  run("ip", ["link", "set", "lo", "up"]);
  run("ip", ["link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"]);
  run("ip", ["addr", "add", `${OWN}/24`, "dev", BRIDGE]);
  run("ip", ["link", "set", BRIDGE, "up"]);
  if (settings.features?.libvirt) {
    mkdirSync(`${LAB_DIR}/guests/counters`, { recursive: true });
    buildGuest(settings.kernel ?? "", `${LAB_DIR}/guests`);
    serveStorage(OWN);
  }
  return new Map(
    settings.hosts.map((host, i) => {
      const dir = `${LAB_DIR}/hosts/${host}`;
      const equipment = equip(settings, host, dir);
      const made = new Host({
        ...{ lab: name, name: host, address: `${address(i)}/24`, bridge: BRIDGE, dir },
        ...{ lower: image.lower, firmwareMs, diskMiB, binds, say, writable: equipment.writable },
      });
      equipment.install(made);
      return [host, made];
    }),
  );
}

/** What a host has beyond a bare Debian: what of the machine it sees, and what is written onto its disk before it first boots. */
function equip(settings: LabSettings, host: string, dir: string) {
  const { libvirt = false, etcd = false, gluster = false } = settings.features ?? {};
  const hypervisors = settings.hypervisors ?? [];
  if (!hypervisors.includes(host) || !(libvirt || etcd || gluster)) return { writable: [], install: () => {} };
  const members = etcd ? membersOf("etcd", hypervisors) : [];
  const servers = gluster ? membersOf("GlusterFS", hypervisors) : [];
  const writable = ["/dev/fuse"];
  if (libvirt) writable.push(`${LAB_DIR}/guests:${GUESTS}`);
  if (libvirt && existsSync("/dev/net/tun")) writable.push("/dev/net/tun");
  // Of the host's own disk, but not of the overlay on it: bricks want extended attributes that an overlay keeps for itself.
  if (servers.includes(host)) writable.push(`${dir}/bricks:${BRICKS}`);
  const install = ({ root }: Host) => {
    if (libvirt) {
      makeHypervisor(root);
      mountStorage(root, OWN);
    }
    if (members.includes(host)) makeMember(root, host, members);
    if (servers.includes(host)) {
      mkdirSync(`${dir}/bricks`);
      makeServer(root);
    }
    if (gluster) knowVolumes(root, servers);
  };
  return { writable, install };
}

function pick(hosts: Map<string, Host>, name: string | undefined): Host {
  const host = hosts.get(name ?? "");
  if (host === undefined) throw new LabError(`no host ${name}; there are ${[...hosts.keys()].join(", ")}`);
  return host;
}

async function handle(hosts: Map<string, Host>, request: Request): Promise<void> {
  if (request.command === "status") return;
  const host = pick(hosts, request.host);
  if (request.command === "boot") {
    host.boot();
    await until(`${host.name} is up`, () => host.status().state === "up", 90_000);
  } else if (request.command === "reboot") await host.reboot();
  else if (request.command === "powercut") host.powercut(request.stayDown ?? false);
  else if (request.command === "isolate") host.isolate(true);
  else if (request.command === "heal") host.isolate(false);
  else throw new LabError(`${request.command}: no such command`);
}

const settings = JSON.parse(process.argv[2] ?? "{}") as LabSettings;
const send = (message: object) => process.send?.(message);
try {
  const hosts = build(settings);
  for (const host of hosts.values()) host.boot();
  process.on("message", (request: Request) => {
    void handle(hosts, request).then(
      () => send({ id: request.id, hosts: [...hosts.values()].map((host) => host.status()) } satisfies Reply),
      (thrown: unknown) => send({ id: request.id, error: messageOf(thrown) } satisfies Reply),
    );
  });
  await until("all hosts are up", () => [...hosts.values()].every((host) => host.status().state === "up"), 120_000);
  say("all hosts are up");
  send({ booted: true });
} catch (thrown) {
  send({ failed: messageOf(thrown) });
}
// The keeper is gone: so is the lab.
process.on("disconnect", () => process.exit(1));
