import type { EffectRef } from "../domain/fleet.ts";
import { hostOf, type Run, recordOf } from "../domain/run.ts";
import { GATE_FRESH_MS } from "../engine/fresh.ts";

/**
 * The ways out of all runs and clusters, one after another: until what a question has led to is durable, a cordon or nothing, nothing
 * is asked for another run or another cluster. Otherwise two hosts of different clusters could each be let go with a member of the same
 * group. Within one cluster each question of a run counts the hosts of the other ones.
 */
export class GateLock {
  /** Run and cluster. */
  #holder: string | undefined;
  /** Questions of the holder; true once answered. */
  readonly #asked = new Map<string, { readonly ref: EffectRef; answered: boolean }>();
  #refused = false;
  /** How many hosts have been taken out so far: a yes does not count those that went meanwhile, by an operator's override. */
  cordons = 0;

  /** May this question, about a host of this cluster, be asked now? Rechecks and heals are about hosts that count as out already. */
  enter(ref: EffectRef, cluster: string): boolean {
    if (ref.step !== "gate") return true;
    const asker = `${ref.run}/${cluster}`;
    if (this.#holder !== undefined && this.#holder !== asker) {
      this.#refused = true;
      return false;
    }
    this.#holder = asker;
    this.#asked.set(keyOf(ref), { ref, answered: false });
    return true;
  }

  answered(ref: EffectRef): void {
    const question = this.#asked.get(keyOf(ref));
    if (question) question.answered = true;
  }

  /** Called when everything is durable; true when it is free again and somebody was turned away. */
  release(run: (id: string) => Run | undefined, now: number): boolean {
    if (this.#holder === undefined) return false;
    for (const [key, { ref, answered }] of this.#asked) {
      const asker = run(ref.run);
      if (asker === undefined || isOver(asker, ref, answered, now)) this.#asked.delete(key);
    }
    if (this.#asked.size > 0) return false;
    this.#holder = undefined;
    const wasRefused = this.#refused;
    this.#refused = false;
    return wasRefused;
  }
}

/** A no is over at once; a yes when its host has been cordoned, or it has grown too old to be acted on. */
function isOver(run: Run, ref: EffectRef, answered: boolean, now: number): boolean {
  const record = recordOf(run, ref);
  if (run.state === "ended" || record === undefined || record.abandoned) return true;
  if (record.result === undefined) return answered;
  const last = hostOf(run, ref.host)?.steps.at(-1);
  return last !== record || now - (record.endedT ?? 0) > GATE_FRESH_MS;
}

function keyOf({ run, host, attempt }: EffectRef): string {
  return `${run}/${host}/${attempt}`;
}
