import type { Io } from "../io.ts";
import { width } from "./text.ts";

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
/** Four times a second is enough for eyes. */
const REDRAW_MS = 250;

/** Draws a block of lines in place with plain ANSI sequences, at most four times a second, and cleans up after itself. */
export class Screen {
  readonly #io: Io;
  readonly #draw: () => string[];
  #drawn: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #restore = () => this.#io.out(SHOW_CURSOR);

  constructor(io: Io, draw: () => string[]) {
    this.#io = io;
    this.#draw = draw;
  }

  /** Starts drawing; elapsed times move by themselves. */
  open(): void {
    this.#io.out(HIDE_CURSOR);
    // Whatever ends the process, the cursor comes back.
    process.once("exit", this.#restore);
    this.#timer = setInterval(() => this.#redraw(), REDRAW_MS);
    this.#redraw();
  }

  /** Removes the block and gives the terminal back. */
  close(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#io.out(this.#erase() + SHOW_CURSOR);
    this.#drawn = [];
    process.removeListener("exit", this.#restore);
  }

  #erase(): string {
    if (this.#drawn.length === 0) return "";
    // A terminal made narrower has wrapped what was drawn.
    const columns = Math.max(1, this.#io.columns());
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(width(line) / columns)), 0);
    return `\x1b[${rows}A\r\x1b[J`;
  }

  #redraw(): void {
    const lines = this.#draw();
    if (lines.length === this.#drawn.length && lines.every((line, i) => line === this.#drawn[i])) return;
    this.#io.out(`${this.#erase()}${lines.map((line) => `${line}\n`).join("")}`);
    this.#drawn = lines;
  }
}
