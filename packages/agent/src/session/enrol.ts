import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "@slipway/shared";
import { connect, unaryClient } from "@slipway/shared/grpc";
import { writeFileDurably } from "@slipway/shared/node";
import { createRequest, fetchAuthority, parseToken } from "@slipway/shared/tls";
import { agentWire } from "@slipway/shared/wire";
import type { Settings } from "../config/settings.ts";
import type { Log } from "../steps/ports.ts";
import { backoffMs } from "./backoff.ts";

const DEADLINE_MS = 10_000;

/**
 * Gets this host its certificate with the one-time token, if it has none yet. An unreachable controller is waited for;
 * `waiting` hears of each attempt that reached nobody.
 * Errors: `bad-input` when token or settings are missing or malformed, `not-allowed` when the token is refused.
 */
export async function enrolIfNeeded(
  settings: Settings,
  log: Log,
  waiting: (reason: string) => void = () => {},
): Promise<void> {
  const { tls, enrol, tokenFile, host } = settings;
  if (existsSync(tls.certificate)) {
    // Left over when the last start was cut off right after the certificate was stored.
    if (tokenFile !== "") rmSync(tokenFile, { force: true });
    return;
  }
  if (enrol === "" || tokenFile === "")
    throw new SlipwayError("bad-input", `${tls.certificate}: there is no certificate yet`, {
      fix: "set slipway.enrol and slipway.token.file; make a token with `slipway-controller token`",
    });
  const token = parseToken(readToken(tokenFile));
  let last = "";
  for (let attempt = 0; ; attempt++) {
    try {
      const ca = await fetchAuthority(enrol, token.fingerprint, DEADLINE_MS);
      const { key, csr } = await createRequest(host);
      for (const path of Object.values(tls)) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      // The token works once: what the certificate needs is stored before it is used, the certificate itself last.
      writeFileDurably(tls.ca, ca, 0o644);
      writeFileDurably(tls.key, key, 0o600);
      const client = connect(enrol, { ca });
      try {
        const answer = await unaryClient(client, agentWire.EnrolmentService).enrol(
          { tokenId: token.id, tokenSecret: token.secret, host, csrPem: csr },
          { deadlineMs: DEADLINE_MS },
        );
        writeFileDurably(tls.certificate, answer.certificatePem, 0o644);
      } finally {
        client.close();
      }
      rmSync(tokenFile, { force: true });
      log("info", `enrolment: host ${host} has its certificate (${tls.certificate})`);
      return;
    } catch (thrown) {
      const error = SlipwayError.from(thrown);
      if (error.code !== "unreachable" && error.code !== "timed-out") throw error;
      if (error.message !== last) log("warn", `enrolment: waiting (${error.message})`);
      last = error.message;
      waiting(error.message);
      await sleep(backoffMs(attempt, Math.random()));
    }
  }
}

function readToken(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new SlipwayError("bad-input", `${file}: the token cannot be read (${code})`, {
      cause,
      fix: "make one with `slipway-controller token` and put it there",
    });
  }
}
