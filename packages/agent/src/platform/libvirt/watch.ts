import type { ChildProcess } from "node:child_process";
import type { Inventory } from "@slipway/shared";
import type { Log } from "../../steps/ports.ts";
import type { Reading } from "./reader.ts";

export interface WatchOptions {
  readonly read: () => Promise<Reading>;
  /** `virsh event --all --loop`. */
  readonly events: () => ChildProcess;
  /** What the events said, as it comes. */
  readonly hear?: (text: string) => void;
  /** A reading that events ask for begins this long after the last one ended, at the earliest, in milliseconds. Default 1000. */
  readonly pauseMs?: () => number;
  readonly monotonicMs: () => number;
  readonly log: Log;
  /** The inventory changed. */
  readonly changed?: (inventory: Inventory) => void;
}

/** Read again at least this often: an event may be lost, and storage and bridges send none. */
const REREAD_MS = 30_000;
/** While libvirt cannot be read. */
const RETRY_MS = 5_000;
/** A start of a guest is half a dozen events. */
const COALESCE_MS = 200;
const PAUSE_MS = 1_000;
/** Events after which the inventory is what it was before: clocks, memory given and taken, passes of a migration but the first. */
const IDLE_EVENT =
  /event '(?:rtc-change|balloon-change|graphics|block-threshold|block-job-2|memory-failure|migration-iteration)'/;
const BACKOFF_MS = [1_000, 2_000, 5_000, 10_000, 30_000] as const;

/** Keeps the picture of the host fresh: libvirt's events say when, a full reading says what. */
export class Watch {
  readonly #options: WatchOptions;
  #inventory: Inventory | undefined;
  #readAtMs = 0;
  #text = "";
  #reading: Promise<void> | undefined;
  #isDirty = false;
  #readEndedMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #events: ChildProcess | undefined;
  #eventTimer: NodeJS.Timeout | undefined;
  #eventFailures = 0;
  #isClosed = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  get inventory(): Inventory | undefined {
    return this.#inventory;
  }
  get readAtMs(): number {
    return this.#readAtMs;
  }

  start(): void {
    this.#listen();
    this.#schedule(0);
  }

  /** Reads now; returns when a reading that began after this call is in. */
  async refresh(): Promise<void> {
    if (this.#reading !== undefined) await this.#reading;
    await this.#read();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#eventTimer);
    this.#events?.kill("SIGKILL");
  }

  /** Reads in `ms`, or earlier where that is due already. */
  #schedule(ms: number): void {
    const due = performance.now() + ms;
    if (this.#isClosed || due >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = due;
    this.#timer = setTimeout(() => {
      this.#dueMs = Number.POSITIVE_INFINITY;
      void this.#read();
    }, ms);
  }

  #read(): Promise<void> {
    if (this.#reading !== undefined) {
      this.#isDirty = true;
      return this.#reading;
    }
    this.#isDirty = false;
    // What happens while it is read may or may not be in it.
    const beganMs = this.#options.monotonicMs();
    this.#reading = this.#options
      .read()
      .then((reading) => this.#take(reading, beganMs))
      .catch((thrown: unknown) => this.#options.log("error", `libvirt: reading it failed (${String(thrown)})`))
      .finally(() => {
        this.#reading = undefined;
        this.#readEndedMs = performance.now();
        this.#schedule(this.#isDirty ? this.#pauseMs() : this.#inventory?.problem === "" ? REREAD_MS : RETRY_MS);
      });
    return this.#reading;
  }

  #pauseMs(): number {
    return this.#options.pauseMs?.() ?? PAUSE_MS;
  }

  #take(reading: Reading, beganMs: number): void {
    if (this.#isClosed) return;
    const { log, changed } = this.#options;
    const before = this.#inventory?.problem ?? "";
    this.#readAtMs = beganMs;
    if (reading.problem !== before)
      log(
        reading.problem === "" ? "info" : "warn",
        reading.problem === "" ? "libvirt: answers again" : `libvirt: cannot be read (${reading.problem})`,
      );
    const text = comparable(reading);
    if (text === this.#text && this.#inventory !== undefined) {
      this.#inventory = { ...this.#inventory, ...reading };
      return;
    }
    this.#text = text;
    this.#inventory = { ...reading, seq: (this.#inventory?.seq ?? 0) + 1, cordonedBy: "" };
    changed?.(this.#inventory);
  }

  #listen(): void {
    if (this.#isClosed) return;
    const events = this.#options.events();
    this.#events = events;
    events.stdout?.on("data", (chunk: Buffer) => {
      this.#eventFailures = 0;
      const text = chunk.toString("utf8");
      this.#options.hear?.(text);
      if (!isNews(text)) return;
      this.#schedule(Math.max(COALESCE_MS, this.#readEndedMs + this.#pauseMs() - performance.now()));
      if (this.#reading !== undefined) this.#isDirty = true;
    });
    // Drained; what it means shows in the reading.
    events.stderr?.resume();
    events.on("error", () => {});
    events.once("close", () => {
      if (this.#isClosed) return;
      // Nobody told what happened while nobody listened.
      this.#schedule(0);
      const wait = BACKOFF_MS[Math.min(this.#eventFailures++, BACKOFF_MS.length - 1)] ?? 30_000;
      this.#eventTimer = setTimeout(() => {
        this.#listen();
        this.#schedule(COALESCE_MS);
      }, wait);
    });
  }
}

/** Whether any of these events can have changed the inventory; a line that goes on from an event before it cannot. */
function isNews(lines: string): boolean {
  return lines
    .split("\n")
    .some((line) => /\bevent '/.test(line) && (!IDLE_EVENT.test(line) || /iteration: '1'/.test(line)));
}

/** What makes an inventory another one: everything but what is free at the moment, which moves all the time. */
function comparable(reading: Reading): string {
  return JSON.stringify(reading, (key, value) => {
    if (key === "memoryFreeMib" || key === "freeMib" || key === "free") return undefined;
    return typeof value === "bigint" ? String(value) : value;
  });
}
