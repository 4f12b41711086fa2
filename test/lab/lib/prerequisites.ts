import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Features } from "./protocol.ts";
import { LabError } from "./system.ts";

/** Commands that a lab needs, and the Debian package that brings each. */
const commands: Readonly<Record<string, string>> = {
  "systemd-nspawn": "systemd-container",
  "dbus-daemon": "dbus",
  ip: "iproute2",
  nsenter: "util-linux",
  unshare: "util-linux",
  setpriv: "util-linux",
  mount: "mount",
  dpkg: "dpkg",
};

/** The same for a lab with features. */
const featureCommands: Readonly<Record<keyof Features, Readonly<Record<string, string>>>> = {
  libvirt: {
    libvirtd: "libvirt-daemon-system",
    virsh: "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    busybox: "busybox-static",
    cpio: "cpio",
    // The shared storage, see storage.ts.
    "mount.glusterfs": "glusterfs-client",
  },
  etcd: { etcd: "etcd-server", etcdctl: "etcd-client" },
  gluster: { glusterd: "glusterfs-server", "mount.glusterfs": "glusterfs-client" },
};

function found(command: string): boolean {
  return (process.env["PATH"] ?? "")
    .split(":")
    .concat("/usr/sbin", "/sbin")
    .some((dir) => {
      try {
        accessSync(join(dir, command), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function missingPackages(features: Features): string[] {
  const wanted = { ...commands };
  for (const [feature, more] of Object.entries(featureCommands))
    if (features[feature as keyof Features]) Object.assign(wanted, more);
  const missing = Object.entries(wanted)
    .filter(([command]) => !found(command))
    .map(([, name]) => name);
  // A host boots the machine's own systemd, which a container image may lack.
  if (!existsSync("/usr/lib/systemd/systemd")) missing.push("systemd");
  return [...new Set(missing)];
}

/** Why no lab can run on this machine, in one line; undefined when one can. */
export function obstacle(features: Features = {}): string | undefined {
  if (process.platform !== "linux") return `a lab needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "a lab needs root: it boots hosts, mounts file systems and makes a bridge";
  if (statSync("/usr").dev !== statSync("/").dev)
    return "/usr is a file system of its own here; a lab's hosts are an overlay of / and would have none";
  if (features.libvirt && process.arch !== "x64")
    return `the guests of a lab are x86 machines with a kernel of Debian's amd64; this machine is ${process.arch}`;
  const missing = missingPackages(features);
  if (missing.length > 0)
    return `missing Debian packages: ${missing.join(" ")} (npm run lab -- up --install brings them)`;
  if ((features.libvirt || features.gluster) && !existsSync("/dev/fuse"))
    return "there is no /dev/fuse: GlusterFS and the storage that hypervisors share are FUSE file systems";
  return refusedByKernel();
}

/** Tries what a lab does first, in namespaces that vanish at once. */
function refusedByKernel(): string | undefined {
  const script = [
    'mount -t tmpfs tmpfs /run || { echo "no tmpfs can be mounted"; exit 1; }',
    "mkdir -p /run/up /run/work /run/root",
    'mount -t overlay -o lowerdir=/,upperdir=/run/up,workdir=/run/work overlay /run/root || { echo "no overlay can be mounted on /"; exit 1; }',
    'ip link add lab0 type bridge || { echo "no bridge can be made"; exit 1; }',
    'ip link add veth0 type veth peer name veth1 || { echo "no veth can be made"; exit 1; }',
  ].join("\n");
  const tried = spawnSync("unshare", ["-mnpif", "--mount-proc", "--kill-child", "sh", "-c", script], {
    encoding: "utf8",
    timeout: 20_000,
  });
  if (tried.status === 0) return undefined;
  const said =
    tried.stdout.trim() || tried.error?.message || tried.stderr.trim().split("\n").pop() || "no reason given";
  return `the kernel or the container refuses a lab: ${said}`;
}

/** Installs what is missing with apt-get; only when told to. */
export function installPackages(say: (line: string) => void, features: Features = {}): void {
  const missing = missingPackages(features);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) throw new LabError("installing packages needs root");
  const words = ["install", "-y", "-qq", "--no-install-recommends", ...missing];
  say(`installing ${missing.join(" ")} ...`);
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const options = { env: environment, timeout: 300_000, maxBuffer: 16 * 1024 * 1024 };
  const allow = denyStarts();
  try {
    if (spawnSync("apt-get", words, options).status === 0) return;
    spawnSync("apt-get", ["update", "-qq"], options);
    const second = spawnSync("apt-get", words, { ...options, encoding: "utf8" });
    if (second.status !== 0)
      throw new LabError(`apt-get ${words.join(" ")}: ${(second.stderr ?? "").trim().split("\n").pop() ?? "failed"}`);
  } finally {
    allow();
  }
}

/** Keeps daemons of new packages from starting on this machine: they are for the hosts. Undone by what it returns. */
function denyStarts(): () => void {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return () => {};
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  return () => rmSync(policy);
}
