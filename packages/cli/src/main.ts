import { processIo } from "./io.ts";
import { run } from "./program.ts";

/** Entry of bin/slipway.mjs; `argv` as node gives it. Ends the process with the status of the command. */
export async function main(argv: readonly string[]): Promise<void> {
  const io = processIo();
  const status = await run(argv.slice(2), io);
  // What was printed reaches the pipe first; connections and timers left over must not keep the process.
  process.stdout.write("", () => process.stderr.write("", () => process.exit(status)));
}
