import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { SlipwayError } from "@slipway/shared";

/** Asks on the terminal, by stderr, so that stdout stays the command's answer. Errors: `refused` when the terminal is closed. */
export function askAtTerminal(question: string, hidden: boolean): Promise<string> {
  // Readline echoes what is typed to its output; a hidden answer gets one that shows nothing.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  process.stderr.write(question);
  const lines = createInterface({ input: process.stdin, output: hidden ? silent : process.stderr, terminal: true });
  return new Promise((resolve, reject) => {
    let isAnswered = false;
    lines.on("SIGINT", () => lines.close());
    lines.on("close", () => {
      if (!isAnswered) reject(new SlipwayError("refused", "the question was not answered"));
    });
    lines.once("line", (line) => {
      isAnswered = true;
      lines.close();
      if (hidden) process.stderr.write("\n");
      resolve(line);
    });
  });
}
