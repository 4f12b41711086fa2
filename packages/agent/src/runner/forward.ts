import { write } from "node:fs";

/** Bytes waiting for the journal above which the hook's streams are not read for a while ... */
const HIGH_WATER = 1024 * 1024;
/** ... but no longer than the journal takes nothing at all for this time: a hook must not hang on a hanging journal. */
const STALL_MS = 1_000;

/** Longest part of a line that is held back until the line is whole. */
const MAX_LINE_BYTES = 32 * 1024;
const NEWLINE = 0x0a;

/** Something that can be made to wait; both streams of a hook. */
export interface Pausable {
  pause(): unknown;
  resume(): unknown;
}

/**
 * Copies a hook's output to a file descriptor that somebody else reads, in whole lines and in bounded memory. A reader that is slow
 * slows the hook down, as with any service; one that hangs loses output, and a line says how much.
 */
export class Forward {
  readonly #fd: number;
  readonly #sources: readonly Pausable[];
  /** Begun lines, by source: two streams in one must not meet in the middle of a line. */
  readonly #begun: Buffer[] = [];
  #queue: Buffer[] = [];
  #queued = 0;
  #dropped = 0;
  #isWriting = false;
  #isBroken = false;
  #stall: NodeJS.Timeout | undefined;

  constructor(fd: number, sources: readonly Pausable[]) {
    this.#fd = fd;
    this.#sources = sources;
  }

  /** Takes what arrived from the source of that number. */
  add(chunk: Buffer, source: number): void {
    const begun = this.#begun[source] ?? Buffer.alloc(0);
    const at = chunk.lastIndexOf(NEWLINE) + 1;
    const isLong = begun.length + chunk.length > MAX_LINE_BYTES && at === 0;
    const whole = isLong ? chunk.length : at;
    if (whole > 0)
      this.#put(begun.length > 0 ? Buffer.concat([begun, chunk.subarray(0, whole)]) : chunk.subarray(0, whole));
    const rest = chunk.subarray(whole);
    this.#begun[source] = whole > 0 ? Buffer.from(rest) : Buffer.concat([begun, rest]);
  }

  #put(chunk: Buffer): void {
    if (this.#isBroken) return;
    if (this.#dropped > 0 && this.#queued > 0) {
      this.#dropped += chunk.length;
      return;
    }
    this.#queue.push(chunk);
    this.#queued += chunk.length;
    if (this.#queued > HIGH_WATER && this.#stall === undefined) {
      for (const source of this.#sources) source.pause();
      this.#stall = setTimeout(() => this.#giveUp(), STALL_MS);
    }
    this.#pump();
  }

  /** The sources are made to wait. */
  get isHolding(): boolean {
    return this.#stall !== undefined;
  }

  /** True once everything is written, false when the reader does not take it in time. */
  async drained(deadlineMs: number): Promise<boolean> {
    for (const begun of this.#begun.splice(0)) if (begun !== undefined && begun.length > 0) this.#put(begun);
    const until = performance.now() + deadlineMs;
    while ((this.#isWriting || this.#queued > 0) && !this.#isBroken) {
      if (performance.now() >= until) return false;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return true;
  }

  #pump(): void {
    const chunk = this.#queue[0];
    if (this.#isWriting || chunk === undefined) return;
    this.#isWriting = true;
    // In the thread pool: a reader that hangs must not stop the clock that ends the hook.
    write(this.#fd, chunk, (error, written) => {
      this.#isWriting = false;
      if (error !== null && error.code !== "EAGAIN") {
        this.#isBroken = true;
        this.#queue = [];
        this.#queued = 0;
        this.#release();
        return;
      }
      if (error !== null) {
        setTimeout(() => this.#pump(), 20);
        return;
      }
      if (written === chunk.length) this.#queue.shift();
      else this.#queue[0] = chunk.subarray(written);
      this.#queued -= written;
      if (this.#queued <= HIGH_WATER / 2) this.#release();
      else if (this.#stall !== undefined) this.#stall.refresh();
      if (this.#queued === 0 && this.#dropped > 0) {
        const note = Buffer.from(`\n[... ${this.#dropped} bytes could not be given to the host's journal ...]\n`);
        this.#dropped = 0;
        this.#queue.push(note);
        this.#queued = note.length;
      }
      this.#pump();
    });
  }

  #giveUp(): void {
    // The chunk in hand is the write's own; what waits behind it goes.
    const rest = this.#queue.splice(1);
    const lost = rest.reduce((sum, chunk) => sum + chunk.length, 0);
    this.#queued -= lost;
    this.#dropped += lost;
    this.#release();
  }

  #release(): void {
    if (this.#stall === undefined) return;
    clearTimeout(this.#stall);
    this.#stall = undefined;
    for (const source of this.#sources) source.resume();
  }
}
