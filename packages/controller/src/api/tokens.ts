import { createHash, randomBytes } from "node:crypto";
import { durationText, NAME_PATTERN, SlipwayError } from "@slipway/shared";
import { fingerprint, formatToken } from "@slipway/shared/tls";
import type { TokenStore } from "../store/tokens.ts";

const DEFAULT_TTL_MS = 3_600_000;
const MAX_TTL_MS = 30 * 86_400_000;

export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** A host name that certificates and files may carry. Errors: `bad-input`. */
export function checkHostName(host: string): void {
  if (!NAME_PATTERN.test(host))
    throw new SlipwayError("bad-input", `host ${JSON.stringify(host.slice(0, 80))}: not a host name`, {
      fix: "use letters, digits, dots and hyphens, at most 64, beginning and ending with a letter or digit",
    });
}

/**
 * Makes a one-time enrolment token. `ttlMs` 0: one hour. `host` empty: any host that does not exist yet.
 * Errors: `bad-input`, `out-of-space`.
 */
export function createToken(
  tokens: TokenStore,
  ca: string,
  { host, ttlMs, createdBy }: { host: string; ttlMs: number; createdBy: string },
): { token: string; expiresAtMs: number } {
  if (host !== "") checkHostName(host);
  if (ttlMs < 0 || ttlMs > MAX_TTL_MS)
    throw new SlipwayError("bad-input", `ttl: ${durationText(ttlMs)} is out of range`, { fix: "at most 30 days" });
  const id = randomBytes(6).toString("hex");
  const secret = randomBytes(24).toString("hex");
  const expiresAtMs = Date.now() + (ttlMs || DEFAULT_TTL_MS);
  tokens.add({ id, secretHash: hashOf(secret), host, createdBy, expiresAtMs });
  return { token: formatToken({ id, secret, fingerprint: fingerprint(ca) }), expiresAtMs };
}
