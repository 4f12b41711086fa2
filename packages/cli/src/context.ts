import { OperatorClient } from "./client.ts";
import { loadConfig } from "./config.ts";
import type { Io } from "./io.ts";
import { quote } from "./options/run.ts";
import { ansiPaint, type Paint, plainPaint } from "./render/text.ts";

/** Options that every command takes, wherever they stand on the line. */
export interface GlobalFlags {
  readonly config?: string;
  readonly json?: boolean;
  /** commander's reading of --no-color. */
  readonly color?: boolean;
}

/** Exit status of the command: 0 done, 1 failed, 2 wrong use, 3 nothing was done, 130 detached by Ctrl-C. */
export type ExitStatus = 0 | 1 | 2 | 3 | 130;

/** What a command works with. */
export class Context {
  readonly io: Io;
  readonly json: boolean;
  readonly paint: Paint;
  /** How this command was called, for commands that it suggests: they must reach the same controller. */
  readonly self: string;
  readonly #config: string | undefined;
  #client: OperatorClient | undefined;

  constructor(io: Io, flags: GlobalFlags) {
    this.io = io;
    this.json = flags.json === true;
    // https://no-color.org: any non-empty value.
    const coloured = io.isTerminal && flags.color !== false && !io.env["NO_COLOR"] && io.env["TERM"] !== "dumb";
    this.paint = coloured ? ansiPaint : plainPaint;
    this.#config = flags.config;
    this.self = flags.config === undefined ? "slipway" : `slipway --config ${quote(flags.config)}`;
  }

  /** Reads the configuration on first use, so that `completion` and `dev` need none. */
  get client(): OperatorClient {
    this.#client ??= new OperatorClient(loadConfig(this.#config, this.io.env));
    return this.#client;
  }

  /** Where text may wrap: at the terminal's width, at most 100; in a pipe never, for whoever searches it line by line. */
  get columns(): number {
    return this.io.isTerminal ? Math.min(this.io.columns(), 100) : Number.POSITIVE_INFINITY;
  }

  close(): void {
    this.#client?.close();
  }

  lines(lines: readonly string[]): void {
    this.io.out(lines.map((line) => `${line}\n`).join(""));
  }

  /** One object on stdout: indented for eyes, on one line for tools. */
  object(value: unknown): void {
    this.io.out(`${JSON.stringify(value, null, this.io.isTerminal ? 2 : 0)}\n`);
  }

  /** The one answer of a command, as object or as text. */
  answer(value: () => unknown, text: () => readonly string[]): void {
    if (this.json) this.object(value());
    else this.lines(text());
  }
}
