import { randomBytes } from "node:crypto";
import type { Verdict } from "@slipway/shared";
import type { PingRecord } from "../store/pings.ts";
import type { Session } from "./session.ts";

/** Run ids of pings begin so; no other run's id does. */
export const PING_PREFIX = "ping-";

export interface PingAnswer {
  readonly host: string;
  readonly ok: boolean;
  /** Why there is no good answer; empty when there is. */
  readonly problem: string;
  readonly milliseconds: number;
}

interface Round {
  /** Host -> when it was asked. */
  readonly waiting: Map<string, number>;
  readonly answers: Map<string, PingAnswer>;
  readonly end: () => void;
}

export interface PingPorts {
  readonly session: (host: string) => Session | undefined;
  readonly append: (records: readonly PingRecord[]) => void;
  readonly wallMs: () => number;
  /** There is something to flush. */
  readonly work: () => void;
  readonly trouble: (text: string) => void;
}

/**
 * Asks agents to journal a step that does nothing and tell its end: proves journal, stream and acknowledgement, end to end.
 * An end is acknowledged only when it is on the disk here too; ends that come together share a transaction.
 */
export class PingDesk {
  readonly #ports: PingPorts;
  readonly #rounds = new Map<string, Round>();
  #pending: { record: PingRecord; durable: () => void }[] = [];
  #inTrouble = false;

  constructor(ports: PingPorts) {
    this.#ports = ports;
  }

  ping(hosts: readonly string[], timeoutMs: number): Promise<PingAnswer[]> {
    const ping = `${PING_PREFIX}${randomBytes(6).toString("hex")}`;
    return new Promise((resolve) => {
      const round: Round = {
        waiting: new Map(),
        answers: new Map(),
        end: () => {
          clearTimeout(timer);
          this.#rounds.delete(ping);
          for (const host of round.waiting.keys())
            round.answers.set(host, problem(host, `no answer within ${timeoutMs} ms`));
          resolve(hosts.map((host) => round.answers.get(host) ?? problem(host, "not asked")));
        },
      };
      const timer = setTimeout(round.end, timeoutMs);
      this.#rounds.set(ping, round);
      for (const host of hosts) {
        const session = this.#ports.session(host);
        if (!session) {
          round.answers.set(host, problem(host, "its agent is not connected"));
          continue;
        }
        round.waiting.set(host, performance.now());
        const key = { run: ping, host, step: "noop", attempt: 1 };
        session.send({ message: { case: "start", value: { key, spec: { case: "noop", value: {} } } } });
      }
      if (round.waiting.size === 0) round.end();
    });
  }

  /** The end of a no-op step; `durable` is called once it is on the disk. A round that is over is recorded all the same. */
  ended(ping: string, host: string, verdict: Verdict, durable: () => void): void {
    const record = { ping, host, atMs: this.#ports.wallMs(), verdict };
    this.#pending.push({
      record,
      durable: () => {
        durable();
        const round = this.#rounds.get(ping);
        const asked = round?.waiting.get(host);
        if (!round || asked === undefined) return;
        const ok = verdict === "ok";
        const milliseconds = performance.now() - asked;
        round.answers.set(host, { host, ok, problem: ok ? "" : `the step ended as ${verdict}`, milliseconds });
        round.waiting.delete(host);
        if (round.waiting.size === 0) round.end();
      },
    });
    this.#ports.work();
  }

  /** A host's session is gone: its answer cannot come in time any more. */
  disconnected(host: string): void {
    for (const round of this.#rounds.values()) {
      if (!round.waiting.delete(host)) continue;
      round.answers.set(host, problem(host, "its agent disconnected"));
      if (round.waiting.size === 0) round.end();
    }
  }

  /** False when there was no room. */
  flush(): boolean {
    if (this.#pending.length === 0) return true;
    const batch = this.#pending;
    try {
      this.#ports.append(batch.map((p) => p.record));
    } catch (thrown) {
      if (!this.#inTrouble) this.#ports.trouble(`pings cannot be recorded: ${(thrown as Error).message}`);
      this.#inTrouble = true;
      return false;
    }
    this.#inTrouble = false;
    this.#pending = [];
    for (const { durable } of batch) durable();
    return true;
  }
}

function problem(host: string, text: string): PingAnswer {
  return { host, ok: false, problem: text, milliseconds: 0 };
}
