import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// A host as a hypervisor: libvirtd with its sockets, as on Debian, reachable by the other hypervisors over TLS.

/** What guests need of the lab: kernel, initramfs and the files into which they count. The same directory in all hosts. */
export const GUESTS = "/var/lib/slipway-lab";

/** The pool of disks on the host itself. */
export const LOCAL = "/var/lib/libvirt/images";

/** Enabled as installation of the packages would have. */
const units = {
  "multi-user.target": ["libvirtd.service", "libvirt-guests.service", "remote-fs.target"],
  "sockets.target": [
    ...["libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket", "virtlogd.socket", "virtlockd.socket"],
  ],
};

/**
 * Only the certificates of hypervisors open it: those of operators and agents are of the same authority, and whoever may connect to
 * libvirt is root on the host.
 */
const libvirtdConf = `auth_unix_rw = "none"
tls_allowed_dn_list = [ "CN=*,OU=hypervisor,O=Slipway" ]
`;

/** A container has no control groups to give away, and no device nodes to make. Guests write to their serial port's file by themselves. */
const qemuConf = `security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
migrate_tls_x509_verify = 1
`;

/** Writes the settings onto a host's disk. */
export function makeHypervisor(root: string): void {
  const etc = (path: string, text: string) => writeFileSync(join(root, "etc", path), text);
  etc("libvirt/libvirtd.conf", libvirtdConf);
  etc("libvirt/qemu.conf", qemuConf);
  mkdirSync(join(root, GUESTS), { recursive: true });
  for (const [target, names] of Object.entries(units)) {
    const wants = join(root, "etc/systemd/system", `${target}.wants`);
    mkdirSync(wants, { recursive: true });
    for (const name of names) symlinkSync(`/lib/systemd/system/${name}`, join(wants, name));
  }
}
