import { createHash } from "node:crypto";
import { SlipwayError } from "@slipway/shared";
import type { PoolConfig } from "../domain/pool.ts";
import type { QuorumConfig } from "../domain/quorum.ts";
import type { PoolRecord, PoolStore } from "../store/pools.ts";
import { emptyPoolFile, type PoolFile, parsePool } from "./pool.ts";

/** The pool file that is in force. */
export class PoolKeeper {
  readonly #store: PoolStore;
  #record: PoolRecord | undefined;
  #file: PoolFile = emptyPoolFile;

  /** Errors: `refused` when the file in the store was applied by a version that understands more. */
  constructor(store: PoolStore) {
    this.#store = store;
    this.#record = store.latest();
    if (!this.#record) return;
    try {
      this.#file = parsePool(this.#record.file, this.#record.text);
    } catch (cause) {
      throw new SlipwayError("refused", `the pool file in the store cannot be read: ${(cause as Error).message}`, {
        cause,
        fix: "run the version of slipway-controller with which it was applied",
      });
    }
  }

  get pool(): PoolConfig {
    return this.#file.pool;
  }

  get quorum(): QuorumConfig {
    return this.#file.quorum;
  }

  get text(): string {
    return this.#record?.text ?? "";
  }

  history(limit: number): Omit<PoolRecord, "text">[] {
    return this.#store.history(limit);
  }

  /**
   * Puts a file in force; durable when it returns. The same text as before changes nothing.
   * Errors: `bad-input` for anything wrong in it, and `out-of-space`; then the one before stays in force.
   */
  apply(file: string, text: string, who: string, atMs: number): { record: PoolRecord; changed: boolean } {
    const parsed = parsePool(file, text);
    if (this.#record?.text === text) return { record: this.#record, changed: false };
    const sha256 = createHash("sha256").update(text).digest("hex");
    const record = this.#store.append({ atMs, who, file, sha256, text });
    this.#record = record;
    this.#file = parsed;
    return { record, changed: true };
  }
}
