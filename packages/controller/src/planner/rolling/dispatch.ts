import type { Step } from "./board.ts";
import { Heap } from "./heap.ts";
import type { Pool } from "./pool.ts";

const NONE: readonly number[] = [];

/**
 * The order in which the moves of one wave should start, so that links do not wait for each other: whenever a source and a
 * target are free, the source with most left sends to the target with most to come (greedy open-shop scheduling). A
 * move onto a host comes after every move away from it that came before in the log: its room may depend on it.
 */
export function dispatchOrder(pool: Pool, steps: readonly Step[], perSource: number, perTarget: number): number[] {
  const work = new Dispatch(pool, steps, perSource, perTarget);
  return work.order();
}

class Dispatch {
  readonly #pool: Pool;
  readonly #steps: readonly Step[];
  readonly #from = new Map<number, number[]>();
  readonly #to = new Map<number, number[]>();
  readonly #sending: Int32Array;
  readonly #receiving: Int32Array;
  readonly #outLeft: Float64Array;
  readonly #inLeft: Float64Array;
  /** How many moves away from its target a move still waits for, and who waits for a move. */
  readonly #waits: Int32Array;
  readonly #waiters = new Map<number, number[]>();
  readonly #order: number[] = [];
  readonly #ends: Float64Array;
  readonly #running: Heap;
  readonly #started: Uint8Array;

  constructor(pool: Pool, steps: readonly Step[], perSource: number, perTarget: number) {
    this.#pool = pool;
    this.#steps = steps;
    const n = pool.hosts.length;
    this.#sending = new Int32Array(n).fill(Math.max(1, perSource));
    this.#receiving = new Int32Array(n).fill(Math.max(1, perTarget));
    this.#outLeft = new Float64Array(n);
    this.#inLeft = new Float64Array(n);
    this.#waits = new Int32Array(steps.length);
    this.#started = new Uint8Array(steps.length);
    this.#ends = new Float64Array(steps.length);
    this.#running = new Heap((i) => this.#ends[i] as number);
    const leaving = new Map<number, number[]>();
    const last = new Map<number, number>();
    for (const [i, { unit, from, to, kind }] of steps.entries()) {
      listIn(this.#from, from).push(i);
      listIn(this.#to, to).push(i);
      const ms = pool.migrateMs[unit] as number;
      this.#outLeft[from] = (this.#outLeft[from] as number) + ms;
      this.#inLeft[to] = (this.#inLeft[to] as number) + ms;
      const away = leaving.get(to) ?? NONE;
      const own = last.get(unit);
      const before = own === undefined || away.includes(own) ? away : [...away, own];
      for (const other of before) listIn(this.#waiters, other).push(i);
      this.#waits[i] = before.length;
      // Nothing arrives on a host that is drained in this wave.
      if (kind !== "drain") listIn(leaving, from).push(i);
      last.set(unit, i);
    }
  }

  order(): number[] {
    const sources = [...this.#from.keys()].sort(
      (a, b) => (this.#outLeft[b] as number) - (this.#outLeft[a] as number) || a - b,
    );
    for (const s of sources) this.#send(s, 0);
    for (let i = this.#running.pop(); i !== undefined; i = this.#running.pop()) {
      const at = this.#ends[i] as number;
      const step = this.#steps[i] as Step;
      this.#sending[step.from] = (this.#sending[step.from] as number) + 1;
      this.#receiving[step.to] = (this.#receiving[step.to] as number) + 1;
      const unlocked: number[] = [];
      for (const waiter of this.#waiters.get(i) ?? NONE) {
        this.#waits[waiter] = (this.#waits[waiter] as number) - 1;
        if (this.#waits[waiter] === 0) unlocked.push(waiter);
      }
      this.#send(step.from, at);
      this.#receive(step.to, at);
      for (const waiter of unlocked) this.#send((this.#steps[waiter] as Step).from, at);
    }
    return this.#order;
  }

  #send(s: number, at: number): void {
    const pending = this.#from.get(s);
    while (pending && pending.length > 0 && (this.#sending[s] as number) > 0) {
      const best = this.#best(
        pending,
        (step) => this.#receiving[step.to] as number,
        (step) => this.#inLeft[step.to] as number,
      );
      if (best < 0) return;
      this.#start(best, at);
    }
  }

  #receive(t: number, at: number): void {
    const pending = this.#to.get(t);
    while (pending && pending.length > 0 && (this.#receiving[t] as number) > 0) {
      const best = this.#best(
        pending,
        (step) => this.#sending[step.from] as number,
        (step) => this.#outLeft[step.from] as number,
      );
      if (best < 0) return;
      this.#start(best, at);
    }
  }

  /** The pending move whose other end is free and has most left; drops those that have started from the list. */
  #best(pending: number[], free: (step: Step) => number, left: (step: Step) => number): number {
    let kept = 0;
    let best = -1;
    let most = -1;
    for (const i of pending) {
      if (this.#started[i] === 1) continue;
      pending[kept++] = i;
      const step = this.#steps[i] as Step;
      if (this.#waits[i] !== 0 || free(step) <= 0) continue;
      const value = left(step);
      if (value > most) {
        most = value;
        best = i;
      }
    }
    pending.length = kept;
    return best;
  }

  #start(i: number, at: number): void {
    const { unit, from, to } = this.#steps[i] as Step;
    const ms = this.#pool.migrateMs[unit] as number;
    this.#started[i] = 1;
    this.#order.push(i);
    this.#sending[from] = (this.#sending[from] as number) - 1;
    this.#receiving[to] = (this.#receiving[to] as number) - 1;
    this.#outLeft[from] = (this.#outLeft[from] as number) - ms;
    this.#inLeft[to] = (this.#inLeft[to] as number) - ms;
    this.#ends[i] = at + ms;
    this.#running.push(i);
  }
}

function listIn(lists: Map<number, number[]>, key: number): number[] {
  const found = lists.get(key);
  if (found) return found;
  const made: number[] = [];
  lists.set(key, made);
  return made;
}
