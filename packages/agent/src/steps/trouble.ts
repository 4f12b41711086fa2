import { SlipwayError } from "@slipway/shared";
import type { Log } from "./ports.ts";

/** Whether anything can be made durable. A failing disk is said once when it begins to fail, and once when it is over. */
export class Trouble {
  readonly #log: Log;
  #text = "";

  constructor(log: Log) {
    this.#log = log;
  }

  /** Why the journal or the state directory cannot be written; empty when it can. */
  get text(): string {
    return this.#text;
  }

  /** Runs the action; returns why it failed. */
  guard(action: () => void): string | undefined {
    try {
      action();
      return undefined;
    } catch (thrown) {
      const text = SlipwayError.from(thrown).message;
      if (this.#text !== text) this.#log("error", `state: cannot be kept (${text})`);
      this.#text = text;
      return text;
    }
  }

  /** Something was made durable. */
  over(): void {
    if (this.#text !== "") this.#log("info", `state: can be kept again (was: ${this.#text})`);
    this.#text = "";
  }
}
