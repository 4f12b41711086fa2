import type { GateAnswer, GateQuestion } from "@slipway/controller";
import type { World } from "./world.ts";

/** The gate: answers as the world says just then. */
export class SimGate {
  readonly #world: World;
  /** Host -> when the gate last truly said that it may go. */
  readonly allowedAt = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  ask(question: GateQuestion, answer: (a: GateAnswer) => void): void {
    const { delayMs } = this.#world.chance.gateFate();
    this.#world.after(delayMs, () => {
      const given = this.#world.chance.gateAnswer(question.host, question.about);
      const isYes = given.verdict === "ok" || given.verdict === "tight";
      if (isYes && question.about === "gate") this.allowedAt.set(question.host, this.#world.now);
      answer(given);
    });
  }
}
