import type { EffectResult, GateAnswer } from "@slipway/controller";
import type { World } from "./world.ts";

export type Action = "cordon" | "uncordon" | "drain" | "restore";

/** What becomes of one call to the platform. */
export interface EffectFate {
  readonly delayMs: number;
  /** Empty: it succeeds. */
  readonly failure: string;
  /** A failing call may have had its effect all the same. */
  readonly applied: boolean;
}

/** Where instances live. Calls for one host are carried out one after another, as every platform does. */
export class SimPlatform {
  readonly #world: World;
  readonly #busyUntil = new Map<string, number>();
  /** Hosts that refuse new instances, and hosts that have been emptied. */
  readonly cordoned = new Set<string>();
  readonly drained = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  request(host: string, action: Action, done: (r: EffectResult) => void): void {
    const fate = this.#world.chance.effect(host, action);
    this.#queue(host, fate.delayMs, () => {
      if (fate.failure === "" || fate.applied) this.#apply(host, action);
      done({ ok: fate.failure === "", reason: fate.failure });
    });
  }

  /** An operator's call: `allowed` may refuse it at the last moment by throwing. */
  perform(host: string, action: Action, allowed: () => void): void {
    this.#queue(host, 0, () => {
      this.#world.asOperator(`${action} ${host}`, () => {
        allowed();
        this.#apply(host, action);
      });
    });
  }

  #queue(host: string, delayMs: number, act: () => void): void {
    const { now } = this.#world;
    const at = Math.max(now, this.#busyUntil.get(host) ?? 0) + delayMs;
    this.#busyUntil.set(host, at);
    this.#world.after(at - now, act);
  }

  #apply(host: string, action: Action): void {
    switch (action) {
      case "cordon":
        this.cordoned.add(host);
        break;
      case "uncordon":
        this.cordoned.delete(host);
        break;
      case "drain":
        this.drained.add(host);
        break;
      case "restore":
        this.drained.delete(host);
        break;
    }
  }
}

/** The gate: answers as the world says just then. */
export class SimGate {
  readonly #world: World;
  /** Host -> when the gate last truly said that it may go. */
  readonly allowedAt = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  ask(
    question: { run: string; host: string; cluster: string; out: readonly string[] },
    answer: (a: GateAnswer) => void,
  ): void {
    const { delayMs } = this.#world.chance.gateFate();
    this.#world.after(delayMs, () => {
      const given = this.#world.chance.gateAnswer(question.host);
      if (given.verdict === "ok" || given.verdict === "tight") this.allowedAt.set(question.host, this.#world.now);
      answer(given);
    });
  }
}
