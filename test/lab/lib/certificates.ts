import "reflect-metadata";
import { createPrivateKey, KeyObject, randomBytes, webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { Authority } from "../../../packages/shared/src/tls/authority.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;

/**
 * A key and a certificate with which the libvirt of one host speaks to that of another, in both directions. As libvirt wants it
 * (https://libvirt.org/kbase/tlscerts.html): the name by which peers dial is a DNS name of it, and it may be server and client. libvirt 9.0
 * also refuses a certificate without "key encipherment", which elliptic keys have no use for. It names no Slipway identity, so that it
 * opens nothing but libvirt; and libvirt opens to nothing else, see hypervisor.ts.
 */
export async function certifyHypervisor(
  authority: Authority,
  host: string,
): Promise<{ key: string; certificate: string }> {
  const keys = (await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const der = createPrivateKey(authority.caKey).export({ type: "pkcs8", format: "der" });
  const now = Date.now();
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${host}, OU=hypervisor, O=Slipway`,
    issuer: new X509Certificate(authority.ca).subject,
    serialNumber: randomBytes(16).toString("hex"),
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + 30 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"], true),
      new SubjectAlternativeNameExtension([{ type: "dns", value: host }]),
    ],
  });
  return {
    key: KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }) as string,
    certificate: `${certificate.toString("pem")}\n`,
  };
}
