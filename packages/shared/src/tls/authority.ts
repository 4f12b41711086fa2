// tsyringe inside @peculiar/x509 wants this first.
import "reflect-metadata";
import { createPrivateKey, KeyObject, randomBytes, webcrypto } from "node:crypto";
// Node can read certificates but not make them; @peculiar/x509 does it on Node's own webcrypto, without OpenSSL's command.
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  type PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { SlipwayError } from "../errors.ts";
import { type Identity, identityUri, type Role } from "./identity.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;
/** Clocks of hosts differ; a certificate is good from a day before it was made. */
const BACKDATE_MS = DAY_MS;

/** A certificate authority, as PEM texts. */
export interface Authority {
  readonly ca: string;
  readonly caKey: string;
}

export interface IssueOptions {
  readonly identity: Identity;
  /** DNS names for a server certificate. Default: of an agent its host's name, so that its libvirt can be a server with it; else none. */
  readonly dnsNames?: readonly string[];
  /** Days until it runs out; default 825. */
  readonly days?: number;
}

/** A new authority, good for ten years. */
export async function createAuthority(name: string): Promise<Authority> {
  const keys = await newKeys();
  const now = Date.now();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}, O=Slipway`,
    serialNumber: randomBytes(16).toString("hex"),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + 3650 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { ca: `${certificate.toString("pem")}\n`, caKey: await exportKey(keys.privateKey) };
}

/** A new key and the request to have it certified. The name in the request is for people: the issuer decides the identity. */
export async function createRequest(name: string): Promise<{ key: string; csr: string }> {
  const keys = await newKeys();
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ALGORITHM,
  });
  return { key: await exportKey(keys.privateKey), csr: `${request.toString("pem")}\n` };
}

/** Certifies the key of a request for `identity`. Errors: `bad-input` when the request is malformed or not signed by its key. */
export async function issue(authority: Authority, csr: string, options: IssueOptions): Promise<string> {
  let request: Pkcs10CertificateRequest;
  try {
    request = new Pkcs10CertificateRequest(csr);
    if (!(await request.verify())) throw new Error("its signature is wrong");
  } catch (cause) {
    throw new SlipwayError("bad-input", "certificate request: cannot be read", { cause, fix: "make a new one" });
  }
  return certify(authority, request.publicKey, options);
}

/** A key and its certificate in one go, for identities that the controller makes itself. */
export async function issueWithNewKey(
  authority: Authority,
  options: IssueOptions,
): Promise<{ key: string; certificate: string }> {
  const { key, csr } = await createRequest(options.identity.name);
  return { key, certificate: await issue(authority, csr, options) };
}

async function certify(authority: Authority, publicKey: PublicKey, options: IssueOptions): Promise<string> {
  const ca = new X509Certificate(authority.ca);
  const signingKey = await importKey(authority.caKey);
  const now = Date.now();
  const names: JsonGeneralNames = [{ type: "url", value: identityUri(options.identity) }];
  for (const value of options.dnsNames ?? ownNames(options.identity)) names.push({ type: "dns", value });
  const { role } = options.identity;
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${options.identity.name}, OU=${options.identity.role}, O=Slipway`,
    issuer: ca.subject,
    serialNumber: randomBytes(16).toString("hex"),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(Math.min(now + (options.days ?? 825) * DAY_MS, ca.notAfter.getTime())),
    signingAlgorithm: ALGORITHM,
    publicKey,
    signingKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      // libvirt wants key encipherment, which elliptic keys have no use for.
      new KeyUsagesExtension(
        KeyUsageFlags.digitalSignature | (role === "agent" ? KeyUsageFlags.keyEncipherment : 0),
        true,
      ),
      new ExtendedKeyUsageExtension([...usages[role]], true),
      new SubjectAlternativeNameExtension(names),
      await AuthorityKeyIdentifierExtension.create(ca.publicKey),
    ],
  });
  return `${certificate.toString("pem")}\n`;
}

const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
/** RFC 5280, 4.2.1.12. An agent's host is a server to other hypervisors; Slipway's clients take a controller's identity only. */
const usages: Record<Role, readonly string[]> = {
  controller: [SERVER_AUTH],
  agent: [SERVER_AUTH, CLIENT_AUTH],
  operator: [CLIENT_AUTH],
  viewer: [CLIENT_AUTH],
};

/** Names that mean a controller, or whatever host one is on, are nobody else's. */
function ownNames({ role, name }: Identity): string[] {
  const isHost = role === "agent" && /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(name) && !/^[\d.]+$/.test(name);
  return isHost && !/(?:^|\.)(?:slipway\.internal|localhost)$/i.test(name) ? [name] : [];
}

async function newKeys(): Promise<CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"])) as CryptoKeyPair;
}

async function exportKey(key: CryptoKey): Promise<string> {
  return KeyObject.from(key as webcrypto.CryptoKey).export({ type: "pkcs8", format: "pem" }) as string;
}

async function importKey(pem: string): Promise<CryptoKey> {
  const der = createPrivateKey(pem).export({ type: "pkcs8", format: "der" });
  return (await webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"])) as CryptoKey;
}

type CryptoKey = webcrypto.CryptoKey;
type CryptoKeyPair = webcrypto.CryptoKeyPair;
