import { X509Certificate } from "node:crypto";
import { NAME_PATTERN } from "../words.ts";

/** What a certificate lets its holder do. `controller` is the server's own. */
export const roles = {
  agent: "speaks for one host",
  operator: "may read and act",
  viewer: "may read",
  controller: "is the controller",
} as const satisfies Record<string, string>;
export type Role = keyof typeof roles;

/** Who is at the other end of a connection. */
export interface Identity {
  readonly role: Role;
  readonly name: string;
}

/** The identity travels as a URI in the certificate's subject alternative names. */
export function identityUri(identity: Identity): string {
  return `slipway:${identity.role}:${identity.name}`;
}

/** Reads the identity out of a certificate; undefined when there is none, or more than one. */
export function identityOf(certificate: { raw: Buffer } | string): Identity | undefined {
  const parsed = new X509Certificate(typeof certificate === "string" ? certificate : certificate.raw);
  const uris = (parsed.subjectAltName ?? "")
    .split(", ")
    .filter((entry) => entry.startsWith("URI:slipway:"))
    .map((entry) => entry.slice("URI:slipway:".length));
  if (uris.length !== 1) return undefined;
  const [role, name, ...rest] = (uris[0] ?? "").split(":");
  if (role === undefined || name === undefined || rest.length > 0) return undefined;
  if (!Object.hasOwn(roles, role) || !NAME_PATTERN.test(name)) return undefined;
  return { role: role as Role, name };
}
