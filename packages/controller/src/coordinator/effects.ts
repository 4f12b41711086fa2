import type { Effect, EffectRef } from "../domain/fleet.ts";
import type { GateLock } from "./gate-lock.ts";
import type { AgentLink, Clock, Gate, GateAnswer, GateQuestion } from "./ports.ts";

/** Base of the pace at which unanswered requests are repeated, in milliseconds. */
const REPEAT_MS = 2_000;

interface Outcomes {
  gateAnswered(ref: EffectRef, answer: GateAnswer): void;
  /** It said yes, and another host has gone out since it was asked. */
  gateOutdated(ref: EffectRef): void;
}

/**
 * Carries effects out. The engine names what is due again and again; the desk sees to it that a request which is under way is
 * not made twice, and that one which has gone unanswered is made again.
 */
export class EffectDesk {
  readonly #ports: { agents: AgentLink; gate: Gate; clock: Clock };
  readonly #outcomes: Outcomes;
  readonly #lock: GateLock;
  /** Effect -> engine time before which it is not repeated; Infinity while it is under way. */
  readonly #notBefore = new Map<string, { host: string; at: number }>();

  constructor(ports: { agents: AgentLink; gate: Gate; clock: Clock }, lock: GateLock, outcomes: Outcomes) {
    this.#ports = ports;
    this.#lock = lock;
    this.#outcomes = outcomes;
  }

  /** A new session: whatever was sent to this host may be lost. */
  forgetHost(host: string): void {
    for (const [key, entry] of this.#notBefore)
      if (entry.host === host && entry.at !== Number.POSITIVE_INFINITY) this.#notBefore.delete(key);
  }

  /** What gates go by has changed: an answer of before is none, and need not be waited for. */
  forgetGates(): void {
    for (const [key, entry] of this.#notBefore)
      if (key.startsWith("ask-gate ") && entry.at !== Number.POSITIVE_INFINITY) this.#notBefore.delete(key);
  }

  /** Is there a request that might have to be repeated by now? */
  due(now: number): boolean {
    for (const entry of this.#notBefore.values()) if (entry.at <= now) return true;
    return false;
  }

  /** Drops what came due and was not asked for again: it is settled. */
  sweep(): void {
    const now = this.#ports.clock.engineMs();
    for (const [key, entry] of this.#notBefore) if (entry.at <= now) this.#notBefore.delete(key);
  }

  perform(effect: Effect): void {
    const { ref } = effect;
    const key = `${effect.do} ${ref.run}/${ref.host}/${ref.step}/${ref.attempt}`;
    const now = this.#ports.clock.engineMs();
    if ((this.#notBefore.get(key)?.at ?? 0) > now) return;
    const again = (ms: number) => this.#notBefore.set(key, { host: ref.host, at: this.#ports.clock.engineMs() + ms });
    switch (effect.do) {
      case "start-step":
        again(REPEAT_MS);
        this.#ports.agents.send(ref.host, { kind: "start", ref, task: effect.task });
        return;
      case "query-step":
        // The first acceptance has just come; the question is only for verdicts that got lost.
        if (this.#notBefore.has(key)) this.#ports.agents.send(ref.host, { kind: "query", ref });
        again(effect.everyMs);
        return;
      case "cancel-step":
        again(REPEAT_MS);
        this.#ports.agents.send(ref.host, { kind: "cancel", ref, reason: effect.reason });
        return;
      case "ask-gate": {
        if (!this.#lock.enter(ref, effect.cluster)) return;
        this.#notBefore.set(key, { host: ref.host, at: Number.POSITIVE_INFINITY });
        const { cordons } = this.#lock;
        this.#ports.gate.ask(questionOf(effect), (answer) => {
          const isOutdated = isYes(answer) && cordons !== this.#lock.cordons;
          again(isOutdated ? 0 : effect.everyMs);
          this.#lock.answered(ref);
          if (isOutdated) this.#outcomes.gateOutdated(ref);
          else this.#outcomes.gateAnswered(ref, answer);
        });
        return;
      }
    }
  }

  /** Forgets what belongs to a run that is over. */
  forgetRun(run: string): void {
    for (const key of this.#notBefore.keys()) if (key.includes(` ${run}/`)) this.#notBefore.delete(key);
  }
}

export function isYes({ verdict }: GateAnswer): boolean {
  return verdict === "ok" || verdict === "tight";
}

function questionOf({ ref, cluster, out }: Extract<Effect, { do: "ask-gate" }>): GateQuestion {
  const about = ref.step === "recheck" || ref.step === "heal" ? ref.step : "gate";
  return { run: ref.run, host: ref.host, cluster, out, about };
}
