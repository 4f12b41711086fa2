import type { StepKey } from "@slipway/shared";
import type { Journal } from "./ports.ts";
import type { OutboxEntry, Outgoing, Report, StepRow } from "./types.ts";

/** Entries on their way at once; more wait for acknowledgements, so that a long outbox is never in memory as a whole. */
const WINDOW = 128;
/** An entry that is not acknowledged within this time on a live stream is sent again. */
const RESEND_MS = 10_000;

/** Sends the outbox in order, keeps a window, repeats what is not acknowledged. Entries leave the journal only by `ack`. */
export class Delivery {
  readonly #journal: Journal;
  #send: ((message: Outgoing) => void) | undefined;
  #cursor = 0;
  /** Outbox id to monotonic time of its last sending. */
  readonly #inFlight = new Map<number, number>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** The peer may be told things from now on; everything unacknowledged is due again. */
  open(send: (message: Outgoing) => void): void {
    this.#send = send;
    this.#cursor = 0;
    this.#inFlight.clear();
  }

  close(): void {
    this.#send = undefined;
    this.#inFlight.clear();
  }

  acknowledged(ids: readonly number[]): void {
    for (const id of ids) this.#inFlight.delete(id);
  }

  /** Sends what is due: new entries, and old ones without an answer. */
  flush(nowMs: number): void {
    if (this.#send === undefined) return;
    let oldest = Number.POSITIVE_INFINITY;
    for (const [id, sentMs] of this.#inFlight) if (nowMs - sentMs >= RESEND_MS) oldest = Math.min(oldest, id);
    if (oldest <= this.#cursor) {
      this.#cursor = oldest - 1;
      for (const id of this.#inFlight.keys()) if (id >= oldest) this.#inFlight.delete(id);
    }
    while (this.#inFlight.size < WINDOW) {
      const room = WINDOW - this.#inFlight.size;
      const entries = this.#journal.outbox(this.#cursor, room);
      for (const entry of entries) {
        this.#cursor = entry.id;
        this.#inFlight.set(entry.id, nowMs);
        this.#send({ type: "report", report: entryReport(entry) });
      }
      if (entries.length < room) return;
    }
  }
}

function entryReport(entry: OutboxEntry): Report {
  const { key, bootId, result } = entry.row;
  const head = { outboxId: entry.id, key, state: entry.kind, bootId };
  return entry.kind === "ended" && result !== undefined ? { ...head, result } : head;
}

/** The stored state of a step as an answer, which needs no acknowledgement. */
export function rowReport(row: StepRow): Report {
  const head = { outboxId: 0, key: row.key, state: row.state, bootId: row.bootId };
  return row.result === undefined ? head : { ...head, result: row.result };
}

/** Keys of everything that is not acknowledged, page by page. */
export function* allOutbox(journal: Journal): Iterable<StepKey> {
  for (let after = 0; ; ) {
    const page = journal.outbox(after, 128);
    for (const entry of page) {
      after = entry.id;
      yield entry.row.key;
    }
    if (page.length === 0) return;
  }
}
