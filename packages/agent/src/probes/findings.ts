import type { QuorumMember, QuorumSet, SystemHealth } from "@slipway/shared";
import { fail, oneLine, Unreadable } from "./answer.ts";

/** More than anybody reads; a system that is all wrong says so in its first lines. */
const MAX_REASONS = 50;

/**
 * What a parser finds, one after another. The worst counts: something unknown makes the state unknown, something missing or under
 * repair makes it degraded, and only nothing at all is healthy.
 */
export class Findings {
  readonly #unknown: string[] = [];
  readonly #degraded: string[] = [];

  degraded(reason: string): void {
    this.#degraded.push(reason);
  }

  unknown(reason: string): void {
    this.#unknown.push(reason);
  }

  /** Runs a part of which the rest does not depend; what it cannot read is unknown. */
  attempt<T>(part: () => T): T | undefined {
    try {
      return part();
    } catch (thrown) {
      this.unknown(reasonOf(thrown));
      return undefined;
    }
  }

  health(system: string, rest: Partial<Omit<SystemHealth, "system" | "state" | "reasons">> = {}): SystemHealth {
    const reasons = [...this.#unknown, ...this.#degraded].map((reason) => oneLine(reason, 500));
    const more = reasons.length - MAX_REASONS;
    return {
      system,
      identity: "",
      state: this.#unknown.length > 0 ? "unknown" : this.#degraded.length > 0 ? "degraded" : "healthy",
      reasons: more > 0 ? [...reasons.slice(0, MAX_REASONS), `and ${more} more`] : reasons,
      sets: [],
      goingVerdict: "",
      goingReasons: [],
      evidence: [],
      version: "",
      ...rest,
    };
  }
}

/** The health of a system about which nothing is known but why. */
export function unknownHealth(system: string, reason: string): SystemHealth {
  const findings = new Findings();
  findings.unknown(reason);
  return findings.health(system);
}

/** Runs a parser: whatever it throws is an unknown state. */
export function reading(system: string, parse: () => SystemHealth): SystemHealth {
  try {
    return parse();
  } catch (thrown) {
    return unknownHealth(system, reasonOf(thrown));
  }
}

export function reasonOf(thrown: unknown): string {
  if (thrown instanceof Unreadable) return thrown.message;
  return `the answer cannot be read (${thrown instanceof Error ? thrown.message : String(thrown)})`;
}

export function member(name: string, host: string, rest: Partial<QuorumMember> = {}): QuorumMember {
  return { name, host, votes: 1, state: "up", roles: [], note: "", ...rest };
}

export function quorumSet(
  name: string,
  needed: number,
  members: readonly QuorumMember[],
  rest: Partial<QuorumSet> = {},
): QuorumSet {
  return { name, needed, members, oneOf: [], repairing: "", ...rest };
}

/** The host of "HOST:PORT" or "[HOST]:PORT". */
export function hostOfAddress(address: string): string {
  const [, bracketed, plain] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):\d{1,5}$/.exec(address) ?? [];
  return bracketed ?? plain ?? fail(`${JSON.stringify(address)} is no address`);
}

/** More than half of the votes. */
export function majority(votes: number): number {
  return Math.floor(votes / 2) + 1;
}
