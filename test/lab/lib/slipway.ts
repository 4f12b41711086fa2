import { mkdirSync, readFileSync } from "node:fs";
import { totalmem } from "node:os";
import type { Authority } from "../../../packages/shared/src/tls/authority.ts";
import { etcdIsHealthy, membersOf } from "./etcd.ts";
import { startGluster } from "./gluster.ts";
import { guestKernel } from "./guest-kernel.ts";
import { Lab, putFile } from "./lab.ts";
import { startHypervisors } from "./libvirt.ts";
import { checkout, currentPackages, packagesIn } from "./packages.ts";
import { SHARED } from "./storage.ts";
import { LabError, messageOf, until } from "./system.ts";

export { putFile };

// Slipway on the hosts of a lab: the controller on "ctl", an agent on each of the others.

export const CONTROLLER = "ctl";
const STATE = "/var/lib/slipway-controller";
const CONFIG = "/etc/slipway/cli.yaml";

export interface UpOptions {
  /** Default "lab". */
  readonly name?: string;
  /** A number of hosts in cluster c1, or names with labels. */
  readonly hosts: number | Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly dieWithParent?: boolean;
  /** Firmware time of a host, milliseconds. Default 1000. */
  readonly firmwareMs?: number;
  /** Disk of a host, MiB. Default 512. */
  readonly diskMiB?: number;
  /** A directory of built packages. Default: those of the sources, built where they are missing or older. */
  readonly packages?: string | undefined;
  /** The hosts are hypervisors: libvirt and QEMU, reachable from each other over TLS, and storage that they share. */
  readonly libvirt?: boolean;
  /** Of a hypervisor: memory for guests in MiB, as its agent tells it. Default 4096, or less where the machine has less. */
  readonly guestMiB?: number;
  /** An etcd cluster on the first three. */
  readonly etcd?: boolean;
  /** A GlusterFS pool of the first three, see gluster.ts. */
  readonly gluster?: boolean;
  readonly say?: (line: string) => void;
}

export const labels = { cluster: "c1", pod: "p1", zone: "z1" } as const;

/** Boots the hosts and starts Slipway on them: one controller, agents enrolled and connected. */
export async function up(options: UpOptions): Promise<Lab> {
  const { name = "lab", say = () => {}, firmwareMs = 1000, diskMiB = 512 } = options;
  const hosts: Record<string, Readonly<Record<string, string>>> = typeof options.hosts === "number"
    ? Object.fromEntries(Array.from({ length: options.hosts }, (_, i) => [`hv${i + 1}`, labels]))
    : { ...options.hosts };
  const packages = options.packages === undefined ? currentPackages(say) : packagesIn(options.packages);
  const hypervisors = Object.keys(hosts);
  const { libvirt = false, etcd = false, gluster = false } = options;
  if (etcd) membersOf("etcd", hypervisors);
  const servers = gluster ? membersOf("GlusterFS", hypervisors) : [];
  const began = performance.now();
  const lab = await Lab.boot({
    dieWithParent: options.dieWithParent ?? false,
    settings: {
      ...{
        name,
        hosts: [CONTROLLER, ...hypervisors],
        checkout,
        packages,
        binds: [],
        firmwareMs,
        diskMiB,
        ...{ features: { libvirt, etcd, gluster }, hypervisors },
        ...(libvirt ? { kernel: guestKernel(say) } : {}),
      },
    },
  });
  try {
    const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
    say(`${Object.keys(hosts).length + 1} hosts are up with the packages installed after ${seconds()} s`);
    await startController(lab);
    const equipped = [
      libvirt ? startHypervisors(lab, hypervisors, authorityOf(lab)) : undefined,
      gluster ? startGluster(lab, servers) : undefined,
      etcd ? etcdIsHealthy(lab, hypervisors) : undefined,
    ];
    if ((await Promise.all(equipped)).length > 0 && (libvirt || gluster || etcd))
      say(`the hosts are equipped after ${seconds()} s`);
    const platform = libvirt ? libvirtProperties(options.guestMiB) : [];
    await Promise.all(Object.entries(hosts).map(([host, own]) => join_(lab, host, own, platform)));
    await until("all agents are connected", () => connected(lab, Object.keys(hosts).length));
    say(`controller and ${Object.keys(hosts).length} agents are connected after ${seconds()} s`);
    return lab;
  } catch (thrown) {
    const words = [
      "journalctl",
      "-n",
      "8",
      "--no-pager",
      "-o",
      "cat",
      "-u",
      "slipway-agent",
      "-u",
      "slipway-controller",
    ];
    const said = await Promise.all(
      [CONTROLLER, ...Object.keys(hosts)].map(async (host) => `${host}: ${(await lab.exec(host, words)).stdout}`),
    ).catch(() => []);
    await lab.down();
    throw new LabError([messageOf(thrown), ...said].join("\n"));
  }
}

async function startController(lab: Lab): Promise<void> {
  await lab.sh(
    CONTROLLER,
    [
      `slipway-controller init --dir ${STATE} >/dev/null`,
      "systemctl start slipway-controller",
      `slipway-controller operator lab --dir ${STATE} --out /etc/slipway --address ${CONTROLLER}:7443 >/dev/null`,
    ].join(" && "),
  );
}

/** Slipway's own, as the controller made it. */
function authorityOf(lab: Lab): Authority {
  const read = (file: string) => readFileSync(lab.path(CONTROLLER, `${STATE}/${file}`), "utf8");
  return { ca: read("ca.pem"), caKey: read("ca.key") };
}

/** As an administrator joins a host: properties, token, start. */
async function join_(lab: Lab, host: string, own: Readonly<Record<string, string>>, platform: readonly string[]) {
  const said = await lab.sh(CONTROLLER, `slipway-controller token --dir ${STATE} --host ${host}`);
  const token = said.trim().split("\n").pop() ?? "";
  const properties = [
    "rolling.maintenance.hooks.dir=/etc/slipway/hooks.d",
    `slipway.controllers=${CONTROLLER}:7443`,
    `slipway.enrol=${CONTROLLER}:7444`,
    "slipway.token.file=/etc/slipway/token",
    `slipway.host=${host}`,
    `slipway.labels=${Object.entries(own)
      .map(([key, value]) => `${key}=${value}`)
      .join(",")}`,
    ...platform,
  ];
  putFile(lab, host, "/etc/slipway/token", `${token}\n`, 0o600);
  putFile(lab, host, "/etc/slipway/agent.properties", `${properties.join("\n")}\n`, 0o644);
  mkdirSync(lab.path(host, "/etc/slipway/hooks.d"), { recursive: true });
  await lab.sh(host, "systemctl start slipway-agent");
}

/**
 * Each host sees the whole memory of the machine beneath; what the others of its lab take is kept back, so that the hosts are of a size
 * that guests of a lab can fill.
 */
function libvirtProperties(guestMiB = 4096): string[] {
  const total = Math.floor(totalmem() / 2 ** 20);
  return [
    "slipway.platform=libvirt",
    `slipway.platform.reserved.memory=${Math.max(0, total - guestMiB)}`,
    // It is mounted from a file that each host has for itself, which does not tell that it is the same everywhere.
    `slipway.shared.paths=lab=${SHARED}`,
  ];
}

/** The operator's command on the controller's host. */
export const slipwayWords = (args: readonly string[]) => ["slipway", "--config", CONFIG, ...args];

async function connected(lab: Lab, count: number): Promise<boolean> {
  const { status, stdout } = await lab.exec(CONTROLLER, slipwayWords(["--json", "host", "list"]));
  if (status !== 0) return false;
  const { hosts } = JSON.parse(stdout) as { hosts: { connected: boolean }[] };
  return hosts.filter((host) => host.connected).length === count;
}
