import type { Authority } from "../../../packages/shared/src/tls/authority.ts";
import { certifyHypervisor } from "./certificates.ts";
import { LOCAL } from "./hypervisor.ts";
import { type Lab, putFile } from "./lab.ts";
import { SHARED } from "./storage.ts";

/**
 * Gives running hypervisors their certificates, opens libvirt's TLS port and defines the storage pools `shared` and `default`. Then
 * `virsh migrate --live --p2p GUEST qemu+tls://OTHER/system` works between them, with `--tls` also for the guest's memory.
 */
export async function startHypervisors(lab: Lab, hosts: readonly string[], authority: Authority): Promise<void> {
  await Promise.all(
    hosts.map(async (host) => {
      const { key, certificate } = await certifyHypervisor(authority, host);
      const files = {
        "CA/cacert.pem": authority.ca,
        ...{ "libvirt/servercert.pem": certificate, "libvirt/clientcert.pem": certificate },
        ...{ "libvirt/private/serverkey.pem": key, "libvirt/private/clientkey.pem": key },
        ...{ "qemu/ca-cert.pem": authority.ca, "qemu/server-cert.pem": certificate, "qemu/server-key.pem": key },
        ...{ "qemu/client-cert.pem": certificate, "qemu/client-key.pem": key },
      };
      for (const [file, text] of Object.entries(files))
        putFile(lab, host, `/etc/pki/${file}`, text, text === key ? 0o600 : 0o644);
      // The socket is handed over at the daemon's start only.
      await lab.sh(
        host,
        [
          "systemctl stop libvirtd.service 2>/dev/null",
          "systemctl enable -q --now libvirtd-tls.socket",
          "systemctl start libvirtd.service",
          `virsh -q "${definePool("shared", SHARED)}; ${definePool("default", LOCAL)}" >/dev/null`,
        ].join(" && "),
      );
    }),
  );
}

const definePool = (name: string, dir: string) =>
  `pool-define-as ${name} dir --target ${dir}; pool-build ${name}; pool-autostart ${name}; pool-start ${name}`;
