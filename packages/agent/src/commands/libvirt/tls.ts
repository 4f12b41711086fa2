import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SlipwayError } from "@slipway/shared";
import { writeFileDurably } from "@slipway/shared/node";
import { identityOf } from "@slipway/shared/tls";
import type { Settings } from "../../config/settings.ts";
import { readCertificate } from "../../session/certificate.ts";

/** Where libvirt looks for its certificates (libvirt.org/kbase/tlscerts.html), below `root`. */
export const places = {
  ca: "etc/pki/CA/cacert.pem",
  serverCertificate: "etc/pki/libvirt/servercert.pem",
  serverKey: "etc/pki/libvirt/private/serverkey.pem",
  clientCertificate: "etc/pki/libvirt/clientcert.pem",
  clientKey: "etc/pki/libvirt/private/clientkey.pem",
} as const;

/** Only hosts may connect: operators and viewers have certificates of the same authority, and who speaks to libvirt is root. */
export const ALLOWED = "CN=*,OU=agent,O=Slipway";

export interface TlsPlan {
  /** Absolute path, content, mode; without those that are as they should be. */
  readonly files: readonly (readonly [path: string, content: string, mode: number])[];
  /** The daemon's configuration that gets the list of who may connect; undefined when it has it. */
  readonly config: { readonly path: string; readonly content: string } | undefined;
}

/**
 * Works out what libvirt needs to use this host's certificate, and changes nothing. `config` is the daemon's: libvirtd.conf or
 * virtproxyd.conf. Errors: `bad-input` when the certificate cannot be used, `refused` when something of somebody else's is in the
 * way; `replace` overwrites other certificates, but never a list of who may connect.
 */
export function planTls(settings: Settings, config: string, replace: boolean, root = "/"): TlsPlan {
  const { ca, certificate, key } = readCertificate(settings.tls, settings.host);
  checkUsable(settings, certificate);
  const wanted = [
    [places.ca, ca, 0o644],
    [places.serverKey, key, 0o600],
    [places.serverCertificate, certificate, 0o644],
    [places.clientKey, key, 0o600],
    [places.clientCertificate, certificate, 0o644],
  ] as const;
  const files = wanted
    .map(([path, content, mode]) => [join(root, path), content, mode] as const)
    .filter(([path, content]) => readText(path) !== content);
  if (!replace) {
    const foreign = files.map(([path]) => path).filter((path) => existsSync(path) && !isOurs(path, ca, root));
    if (foreign.length > 0)
      throw new SlipwayError("refused", `${foreign.join(", ")}: there already, and not from Slipway's authority`, {
        fix: "keep using it, with slipway.migration.uri of your own, or give --replace to overwrite it",
      });
  }
  return { files, config: planConfig(join(root, "etc/libvirt", config)) };
}

/** Writes a plan; each file is whole at any moment. */
export function writeTls({ files, config }: TlsPlan): void {
  // Who may connect is settled before there is anything to connect with.
  if (config !== undefined) {
    mkdirSync(dirname(config.path), { recursive: true });
    writeFileDurably(config.path, config.content, 0o644);
  }
  for (const [path, content, mode] of files) {
    mkdirSync(dirname(path), { recursive: true, mode: mode === 0o600 ? 0o700 : 0o755 });
    writeFileDurably(path, content, mode);
  }
}

/** Errors: `bad-input`: peers would refuse it. */
function checkUsable({ tls, host }: Settings, certificate: string): void {
  const { subjectAltName = "", keyUsage = [] } = new X509Certificate(certificate);
  const fix =
    "enrol this host anew: make a token with `slipway-controller token`, remove the old files, start the agent";
  const bad = (text: string) => new SlipwayError("bad-input", `${tls.certificate}: ${text}`, { fix });
  if (!keyUsage.includes("1.3.6.1.5.5.7.3.1")) throw bad("was made for the agent alone, by an earlier version");
  if (!subjectAltName.split(", ").includes(`DNS:${host}`))
    throw bad(`does not name ${host}, and a host name is what libvirt's peers check`);
}

/** Written by this command before, maybe with an earlier certificate of this host; a key is what its certificate is. */
function isOurs(path: string, ca: string, root: string): boolean {
  const certificates: Readonly<Record<string, string>> = {
    [join(root, places.serverKey)]: join(root, places.serverCertificate),
    [join(root, places.clientKey)]: join(root, places.clientCertificate),
  };
  const certificate = readText(certificates[path] ?? path);
  try {
    const authority = new X509Certificate(ca);
    const found = new X509Certificate(certificate);
    const role = identityOf(certificate)?.role;
    return found.raw.equals(authority.raw) || (found.verify(authority.publicKey) && role === "agent");
  } catch {
    return false;
  }
}

function planConfig(path: string): TlsPlan["config"] {
  const text = readText(path) ?? "";
  // The last setting counts, and lists may be written over several lines.
  const set = [...text.matchAll(/^[ \t]*tls_allowed_dn_list[ \t]*=[ \t]*\[([^\]]*)\]/gm)].at(-1)?.[1];
  if (set?.includes(`"${ALLOWED}"`)) return undefined;
  if (set !== undefined || /^[ \t]*tls_allowed_dn_list\b/m.test(text))
    throw new SlipwayError("refused", `${path}: tls_allowed_dn_list is set, and does not let Slipway's hosts in`, {
      fix: `add "${ALLOWED}" to it`,
    });
  if (/^[ \t]*tls_no_verify_certificate[ \t]*=[ \t]*1/m.test(text))
    throw new SlipwayError("refused", `${path}: tls_no_verify_certificate = 1 lets anybody in`, { fix: "remove it" });
  const end = text === "" || text.endsWith("\n") ? "" : "\n";
  const lines = `# Hypervisors of the Slipway pool move guests to each other; written by slipway-agent libvirt-tls.\n`;
  return { path, content: `${text}${end}${lines}tls_allowed_dn_list = [ "${ALLOWED}" ]\n` };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
