import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { SlipwayError } from "@slipway/shared";
import { createToken } from "../api/tokens.ts";
import { filesOf, readConfig } from "../config.ts";
import { openStore } from "../store/store.ts";

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "90s", "30m", "1h", "2d" in milliseconds. Errors: `bad-input`. */
export function parseTtl(text: string): number {
  const match = /^([1-9]\d{0,5})([smhd])$/.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  if (!match?.[1] || unit === undefined)
    throw new SlipwayError("bad-input", `--ttl: ${JSON.stringify(text)} is no duration`, {
      fix: "write for example 30m, 1h or 2d",
    });
  return Number(match[1]) * unit;
}

/** Makes an enrolment token; a controller may be running on the directory. */
export function makeToken(options: { dir: string; host: string; ttl: string }): { token: string; expiresAtMs: number } {
  const ttlMs = parseTtl(options.ttl);
  readConfig(options.dir);
  const files = filesOf(options.dir);
  const store = openStore(files.store);
  try {
    const createdBy = `${userInfo().username} on the controller's machine`;
    return createToken(store.tokens, readFileSync(files.ca, "utf8"), { host: options.host, ttlMs, createdBy });
  } finally {
    store.close();
  }
}
