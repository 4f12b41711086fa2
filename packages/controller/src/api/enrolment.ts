import { timingSafeEqual } from "node:crypto";
import { SlipwayError } from "@slipway/shared";
import type { Handlers } from "@slipway/shared/grpc";
import { type Authority, fingerprint, issue } from "@slipway/shared/tls";
import type { agentWire } from "@slipway/shared/wire";
import type { ControllerStore } from "../store/store.ts";
import type { Auditor } from "./audit.ts";
import { checkHostName, hashOf } from "./tokens.ts";

/** Wrong attempts from one address within a minute after which it has to wait. A token cannot be guessed; noise can be kept down. */
const MAX_WRONG = 10;
const WINDOW_MS = 60_000;
const MAX_ADDRESSES = 1_000;

type Handler = Handlers<typeof agentWire.EnrolmentService>;

/** Gives a host its certificate for a token. Every attempt is audited. */
export function enrolment(
  store: ControllerStore,
  authority: Authority,
  auditor: Auditor,
  isKnown: (host: string) => boolean,
): Handler {
  const limit = new WrongAttempts();
  return {
    enrol: async (request, call) => {
      const address = call.getPeer().replace(/:\d+$/, "");
      const record = { who: request.host, role: "", method: "enrol", what: `token ${request.tokenId} from ${address}` };
      try {
        limit.check(address);
        const certificatePem = await enrol(request);
        auditor.write({ ...record, result: "ok" });
        return { certificatePem, caPem: authority.ca };
      } catch (thrown) {
        const error = SlipwayError.from(thrown);
        if (error.code === "not-allowed") limit.count(address);
        auditor.intruder({
          ...record,
          who: address,
          what: `${record.what} for ${request.host}`,
          result: error.message,
        });
        throw error;
      }
    },
  };

  async function enrol({ tokenId, tokenSecret, host, csrPem }: agentWire.EnrolRequest): Promise<string> {
    checkHostName(host);
    const token = store.tokens.get(tokenId);
    // The same words for an unknown id and a wrong secret: neither is anybody's business.
    if (!token || !timingSafeEqual(Buffer.from(hashOf(tokenSecret)), Buffer.from(token.secretHash)))
      throw refused("it is not known here", "make one with slipway-controller token");
    if (token.usedAtMs !== 0) throw refused(`it was used by ${token.usedBy}`, "a token works once; make another");
    if (token.expiresAtMs <= Date.now())
      throw refused(`it ran out at ${new Date(token.expiresAtMs).toISOString()}`, "make another");
    if (token.host !== "" && token.host !== host) throw refused(`it is for ${token.host}, not ${host}`, "make another");
    if (token.host === "" && (isKnown(host) || store.tokens.enrolled(host)))
      throw refused(
        `there is a host ${host} already`,
        `if it shall get a new certificate, make a token for it: slipway-controller token --host ${host}`,
      );
    // Signed first, so that a bad request does not cost the token; handed out only once the token is used up, durably.
    const certificate = await issue(authority, csrPem, { identity: { role: "agent", name: host } });
    if (!store.tokens.use(tokenId, host, Date.now()))
      throw refused("it was used a moment ago", "a token works once; make another");
    store.membership.issued(fingerprint(certificate), host, Date.now());
    return certificate;
  }
}

function refused(text: string, fix: string): SlipwayError {
  return new SlipwayError("not-allowed", `token: ${text}`, { fix });
}

class WrongAttempts {
  readonly #seen = new Map<string, { count: number; since: number }>();

  check(address: string): void {
    const entry = this.#seen.get(address);
    if (!entry) return;
    if (performance.now() - entry.since > WINDOW_MS) this.#seen.delete(address);
    else if (entry.count >= MAX_WRONG)
      throw new SlipwayError("refused", "token: too many wrong attempts from this address", { fix: "wait a minute" });
  }

  count(address: string): void {
    if (this.#seen.size >= MAX_ADDRESSES) this.#seen.clear();
    const entry = this.#seen.get(address) ?? { count: 0, since: performance.now() };
    entry.count++;
    this.#seen.set(address, entry);
  }
}
