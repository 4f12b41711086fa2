import { randomBytes } from "node:crypto";
import type { SystemHealth } from "@slipway/shared";
import type { Session } from "./session.ts";

/** Run ids of probes begin so; no other run's id does. */
export const PROBE_PREFIX = "probe-";

/** What a host is asked to read. */
export interface ProbeRequest {
  readonly host: string;
  readonly system: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Hosts about which systems are asked that answer such questions themselves. */
  readonly going: readonly string[];
}

/** Beyond the probe's own bound: for the way there and back, and for the queue in front of the system, in milliseconds. */
const GRACE_MS = 5_000;

interface Waiting {
  readonly host: string;
  readonly answer: (health: SystemHealth) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Has agents read systems. Whatever goes wrong on the way is an answer of its own: unknown, with the reason. Equal questions that are
 * under way are asked once.
 */
export class ProbeDesk {
  readonly #session: (host: string) => Session | undefined;
  readonly #waiting = new Map<string, Waiting>();
  readonly #underWay = new Map<string, Promise<SystemHealth>>();

  constructor(session: (host: string) => Session | undefined) {
    this.#session = session;
  }

  /** Never rejects. */
  read(request: ProbeRequest): Promise<SystemHealth> {
    const same = JSON.stringify(request);
    const known = this.#underWay.get(same);
    if (known) return known;
    const answer = this.#ask(request).finally(() => this.#underWay.delete(same));
    this.#underWay.set(same, answer);
    return answer;
  }

  #ask({ host, system, settings, timeoutMs, going }: ProbeRequest): Promise<SystemHealth> {
    const session = this.#session(host);
    if (!session) return Promise.resolve(unknownHealth(system, `the agent of ${host} is not connected`));
    const run = `${PROBE_PREFIX}${randomBytes(6).toString("hex")}`;
    return new Promise((resolve) => {
      const limit = timeoutMs + GRACE_MS;
      const end = (health: SystemHealth) => {
        clearTimeout(timer);
        this.#waiting.delete(run);
        resolve(health);
      };
      const timer = setTimeout(() => end(unknownHealth(system, `no answer from ${host} within ${limit} ms`)), limit);
      this.#waiting.set(run, { host, answer: end, timer });
      const key = { run, host, step: `probe:${system}`, attempt: 1 };
      const value = { system, settings: { ...settings }, timeoutMs: BigInt(timeoutMs), going: [...going] };
      session.send({ message: { case: "start", value: { key, spec: { case: "probe", value } } } });
    });
  }

  /** The end of a probe's step; one that nobody waits for any more is dropped. */
  ended(run: string, host: string, system: string, health: SystemHealth | undefined, reason: string): void {
    const waiting = this.#waiting.get(run);
    if (waiting?.host !== host) return;
    waiting.answer(health ?? unknownHealth(system, reason || `${host} did not tell what it read`));
  }

  /** A host's session is gone: its answer cannot come in time any more. */
  disconnected(host: string): void {
    for (const waiting of [...this.#waiting.values()])
      if (waiting.host === host) waiting.answer(unknownHealth("", `the agent of ${host} disconnected`));
  }

  /** Settles everything that is under way; for the end of the controller. */
  stop(): void {
    for (const waiting of [...this.#waiting.values()]) waiting.answer(unknownHealth("", "the controller stops"));
  }
}

export function unknownHealth(system: string, reason: string): SystemHealth {
  return {
    system,
    identity: "",
    state: "unknown",
    reasons: [reason],
    sets: [],
    goingVerdict: "",
    goingReasons: [],
    evidence: [],
    version: "",
  };
}
