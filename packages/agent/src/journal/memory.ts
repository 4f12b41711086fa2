import { keyText, type StepKey } from "@slipway/shared";
import type { CordonMark, Journal } from "../steps/ports.ts";
import type { OutboxEntry, StepResult, StepRow } from "../steps/types.ts";

/** A change about to become durable; for simulations that fail or crash there. */
export type JournalWrite = "accept" | "end" | "cancel" | "reboot" | "cordon" | "generation" | "ack" | "prune";

/**
 * The journal without a disk, for simulations and tests. The object itself plays the disk: it outlives the agents that use
 * it. `beforeCommit` may throw, as a full disk would; nothing is changed then.
 */
export class MemoryJournal implements Journal {
  #rows = new Map<string, StepRow>();
  readonly #rebootsAsked = new Map<string, number>();
  readonly #generations = new Map<string, number>();
  #cordon: CordonMark | undefined;
  #outbox = new Map<number, { key: string; kind: OutboxEntry["kind"] }>();
  #lastId = 0;
  #undo: (() => void)[] | undefined;
  #writes: JournalWrite[] = [];
  readonly #beforeCommit: (writes: readonly JournalWrite[]) => void;

  constructor(beforeCommit: (writes: readonly JournalWrite[]) => void = () => {}) {
    this.#beforeCommit = beforeCommit;
  }

  accept(row: StepRow) {
    return this.#transaction(() => {
      const id = keyText(row.key);
      const stored = this.#rows.get(id);
      if (stored !== undefined) return { row: stored, isNew: false };
      this.#put(id, row);
      this.#announce(id, row.state);
      this.#writes.push("accept");
      if (row.state === "ended") this.#writes.push("end");
      return { row, isNew: true };
    });
  }

  end(key: StepKey, result: StepResult): void {
    this.#transaction(() => {
      const id = keyText(key);
      const row = this.#rows.get(id);
      if (row?.state !== "accepted") return;
      this.#put(id, { ...row, state: "ended", result });
      this.#announce(id, "ended");
      this.#writes.push("end");
    });
  }

  requestCancel(key: StepKey, reason: string): void {
    this.#transaction(() => {
      const id = keyText(key);
      const row = this.#rows.get(id);
      if (row?.state !== "accepted" || row.cancelReason !== undefined) return;
      this.#put(id, { ...row, cancelReason: reason });
      this.#writes.push("cancel");
    });
  }

  countReboot(key: StepKey): number {
    return this.#transaction(() => {
      const id = keyText(key);
      if (this.#rows.get(id)?.state !== "accepted") return 0;
      const before = this.#rebootsAsked.get(id) ?? 0;
      this.#rebootsAsked.set(id, before + 1);
      this.#undo?.push(() => this.#rebootsAsked.set(id, before));
      this.#writes.push("reboot");
      return before + 1;
    });
  }

  get(key: StepKey): StepRow | undefined {
    return this.#rows.get(keyText(key));
  }

  open(): readonly StepRow[] {
    return [...this.#rows.values()].filter((row) => row.state === "accepted");
  }

  outbox(afterId: number, limit: number): readonly OutboxEntry[] {
    const entries: OutboxEntry[] = [];
    for (const [id, { key, kind }] of this.#outbox) {
      const row = this.#rows.get(key);
      if (id > afterId && row !== undefined) entries.push({ id, kind, row });
    }
    return entries.sort((a, b) => a.id - b.id).slice(0, limit);
  }

  ack(ids: readonly number[]): readonly StepKey[] {
    return this.#transaction(() => {
      const done: StepKey[] = [];
      for (const id of ids) {
        const entry = this.#outbox.get(id);
        if (entry === undefined) continue;
        this.#outbox.delete(id);
        this.#undo?.push(() => this.#outbox.set(id, entry));
        this.#writes.push("ack");
        const row = this.#rows.get(entry.key);
        if (entry.kind === "ended" && row !== undefined) done.push(row.key);
      }
      return done;
    });
  }

  cordon(): CordonMark | undefined {
    return this.#cordon;
  }

  setCordon(mark: CordonMark | undefined): void {
    this.#transaction(() => {
      const before = this.#cordon;
      this.#cordon = mark;
      this.#undo?.push(() => {
        this.#cordon = before;
      });
      this.#writes.push("cordon");
    });
  }

  generation(uuid: string): number {
    return this.#generations.get(uuid) ?? 0;
  }

  raiseGeneration(uuid: string, generation: number): void {
    this.#transaction(() => {
      const before = this.#generations.get(uuid);
      if (generation <= (before ?? 0)) return;
      this.#generations.set(uuid, generation);
      this.#undo?.push(() =>
        before === undefined ? this.#generations.delete(uuid) : this.#generations.set(uuid, before),
      );
      this.#writes.push("generation");
    });
  }

  batch<T>(change: () => T): T {
    if (this.#undo !== undefined) throw new Error("journal: transactions do not nest");
    return this.#transaction(change);
  }

  prune(keep: number): number {
    return this.#transaction(() => {
      const pending = new Set([...this.#outbox.values()].map((entry) => entry.key));
      const droppable = [...this.#rows].filter(([id, row]) => row.state === "ended" && !pending.has(id));
      const dropped = droppable.slice(0, Math.max(0, droppable.length - keep));
      if (dropped.length > 0) this.#writes.push("prune");
      for (const [id, row] of dropped) {
        this.#rows.delete(id);
        this.#undo?.push(() => this.#rows.set(id, row));
      }
      return dropped.length;
    });
  }

  #put(id: string, row: StepRow): void {
    const before = this.#rows.get(id);
    this.#rows.set(id, row);
    this.#undo?.push(() => (before === undefined ? this.#rows.delete(id) : this.#rows.set(id, before)));
  }

  #announce(key: string, kind: OutboxEntry["kind"]): void {
    const id = ++this.#lastId;
    this.#outbox.set(id, { key, kind });
    this.#undo?.push(() => this.#outbox.delete(id));
  }

  #transaction<T>(change: () => T): T {
    if (this.#undo !== undefined) return change();
    this.#undo = [];
    this.#writes = [];
    try {
      const value = change();
      if (this.#writes.length > 0) this.#beforeCommit(this.#writes);
      return value;
    } catch (thrown) {
      for (const undo of this.#undo.reverse()) undo();
      throw thrown;
    } finally {
      this.#undo = undefined;
    }
  }
}
