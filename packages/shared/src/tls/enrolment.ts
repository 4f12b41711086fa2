import { createHash, X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { SlipwayError } from "../errors.ts";

/** A one-time enrolment token. The fingerprint lets a host that knows no authority yet recognise the right one. */
export interface Token {
  readonly id: string;
  readonly secret: string;
  readonly fingerprint: string;
}

const PREFIX = "slw1";

/** `slw1.<id>.<secret>.<SHA-256 of the authority's certificate>`, all but the prefix in hex. */
export function formatToken(token: Token): string {
  return [PREFIX, token.id, token.secret, token.fingerprint].join(".");
}

export function parseToken(text: string): Token {
  const match = /^slw1\.([0-9a-f]{12})\.([0-9a-f]{48})\.([0-9a-f]{64})$/.exec(text.trim());
  if (!match?.[1] || !match[2] || !match[3])
    throw new SlipwayError("bad-input", "token: this is no enrolment token", {
      fix: "it looks like slw1.<12 hex>.<48 hex>.<64 hex>; make one with `slipway-controller token`",
    });
  return { id: match[1], secret: match[2], fingerprint: match[3] };
}

/** Lower-case hex SHA-256 of a certificate's DER form. */
export function fingerprint(certificatePem: string): string {
  return createHash("sha256").update(new X509Certificate(certificatePem).raw).digest("hex");
}

/**
 * Gets the authority's certificate from the enrolment port and checks it against the token's fingerprint, so that
 * nothing but the token has to be carried to a new host (the way kubeadm's discovery works).
 * Errors: `unreachable`, `timed-out`, `not-allowed` when the port shows another authority.
 */
export function fetchAuthority(address: string, expected: string, timeoutMs = 10_000): Promise<string> {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(at + 1));
  return new Promise((resolve, reject) => {
    // The chain is not verified here on purpose: the fingerprint is what proves it, and nothing is sent before that.
    const socket = connect({
      host,
      port,
      servername: "controller.slipway.internal",
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
    });
    socket.setTimeout(timeoutMs, () => {
      socket.destroy();
      reject(
        new SlipwayError("timed-out", `enrolment at ${address}: no answer in ${timeoutMs} ms`, {
          fix: "check the address",
        }),
      );
    });
    socket.on("error", (cause) => {
      reject(
        new SlipwayError("unreachable", `enrolment at ${address}: ${cause.message}`, {
          cause,
          fix: "check the address and that the controller runs",
        }),
      );
    });
    socket.on("secureConnect", () => {
      let certificate = socket.getPeerCertificate(true);
      const seen = new Set<string>();
      while (certificate?.raw && !seen.has(certificate.fingerprint256)) {
        seen.add(certificate.fingerprint256);
        if (createHash("sha256").update(certificate.raw).digest("hex") === expected) {
          socket.destroy();
          resolve(new X509Certificate(certificate.raw).toString());
          return;
        }
        certificate = certificate.issuerCertificate;
      }
      socket.destroy();
      reject(
        new SlipwayError("not-allowed", `enrolment at ${address}: its authority is not the token's`, {
          fix: "check the address, or make a new token on this controller",
        }),
      );
    });
  });
}
