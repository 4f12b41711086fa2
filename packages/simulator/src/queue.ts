interface Entry {
  readonly at: number;
  readonly seq: number;
  readonly run: () => void;
}

/** Simulated time: a binary heap of what is to happen, ties in the order in which they were asked for. */
export class EventQueue {
  /** Milliseconds since the world began. */
  now = 0;
  #seq = 0;
  readonly #heap: Entry[] = [];

  after(delayMs: number, run: () => void): void {
    const heap = this.#heap;
    const entry = { at: this.now + Math.max(0, delayMs), seq: ++this.#seq, run };
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(entry, heap[parent] as Entry)) break;
      heap[i] = heap[parent] as Entry;
      i = parent;
    }
    heap[i] = entry;
  }

  /** When the next event is due; undefined when nothing ever happens again. */
  get due(): number | undefined {
    return this.#heap[0]?.at;
  }

  /** Moves time to the next event and lets it happen; false when there is none. */
  step(): boolean {
    const first = this.#heap[0];
    if (first === undefined) return false;
    const last = this.#heap.pop() as Entry;
    if (this.#heap.length > 0) this.#sink(last);
    this.now = first.at;
    first.run();
    return true;
  }

  #sink(entry: Entry): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!before(heap[child] as Entry, entry)) break;
      heap[i] = heap[child] as Entry;
      i = child;
    }
    heap[i] = entry;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.seq < b.seq);
}
