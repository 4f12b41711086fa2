import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { SlipwayError } from "@slipway/shared";
import type { TlsFiles } from "@slipway/shared/grpc";
import { identityOf } from "@slipway/shared/tls";

const FIX = "enrol this host anew: make a token with `slipway-controller token`, remove the old files, start the agent";

export interface TlsPaths {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * Reads this host's certificate and checks everything that the controller will check. A controller can only hang up on a
 * wrong certificate, and gRPC then tells nothing but "unavailable"; here it is known which of the files is wrong and why.
 * Errors: `bad-input`.
 */
export function readCertificate(paths: TlsPaths, host: string, nowMs: number = Date.now()): TlsFiles {
  const files = { ca: read(paths.ca), certificate: read(paths.certificate), key: read(paths.key) };
  const ca = parse(paths.ca, () => new X509Certificate(files.ca));
  const certificate = parse(paths.certificate, () => new X509Certificate(files.certificate));
  const key = parse(paths.key, () => createPrivateKey(files.key));
  const bad = (text: string, fix = FIX) => new SlipwayError("bad-input", `${paths.certificate}: ${text}`, { fix });

  if (!certificate.checkPrivateKey(key)) throw bad(`does not belong to the key ${paths.key}`);
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey))
    throw bad(`was not issued by the authority in ${paths.ca}`);
  for (const [name, one] of [
    [paths.ca, ca],
    [paths.certificate, certificate],
  ] as const) {
    const until = Date.parse(one.validTo);
    const from = Date.parse(one.validFrom);
    if (nowMs > until) throw new SlipwayError("bad-input", `${name}: ran out on ${one.validTo}`, { fix: FIX });
    if (nowMs < from)
      throw new SlipwayError("bad-input", `${name}: is good from ${one.validFrom} on`, {
        fix: "set this host's clock",
      });
  }
  const identity = identityOf(files.certificate);
  if (identity === undefined) throw bad("carries no Slipway identity");
  if (identity.role !== "agent") throw bad(`is for the role ${identity.role}, not agent`);
  if (identity.name !== host)
    throw bad(
      `is for host ${identity.name}, but slipway.host is ${host}`,
      `set slipway.host=${identity.name}, or ${FIX}`,
    );
  return files;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new SlipwayError("bad-input", `${path}: cannot be read (${code})`, { cause, fix: FIX });
  }
}

function parse<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new SlipwayError("bad-input", `${path}: is no PEM file of its kind`, { cause, fix: FIX });
  }
}
