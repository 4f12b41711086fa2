/** What a command or a request brought back. */
export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit status, or HTTP status; absent when it did not end by itself. */
  readonly exitCode?: number;
  readonly timedOut: boolean;
  /** Why there is no whole answer: not installed, cut at the cap, connection refused; empty when there is one. */
  readonly problem: string;
}

/** What cannot be read as what it should be. A parser throws it and `reading` makes it the reason of an unknown state. */
export class Unreadable extends Error {}

export function fail(reason: string): never {
  throw new Unreadable(reason);
}

/** One line for people out of what was printed, stderr first. */
export function said({ stdout, stderr }: Answer): string {
  const text = stderr.trim() === "" ? stdout : stderr;
  return oneLine(text);
}

export function oneLine(text: string, limit = 300): string {
  const line = text
    .replace(/\s+/g, " ")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is to be kept off terminals and pages
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, "?")
    .trim();
  return line.length > limit ? `${line.slice(0, limit)}...` : line;
}

/**
 * The output of an answer that ended by itself with one of these statuses; otherwise unreadable. Text that no such program writes
 * (control characters, broken UTF-8) is damaged, whatever else it seems to say.
 */
export function whole(answer: Answer, what: string, statuses: readonly number[] = [0]): string {
  if (answer.timedOut) fail(`${what}: no answer in time`);
  if (answer.problem !== "") fail(`${what}: ${answer.problem}`);
  if (answer.exitCode === undefined || !statuses.includes(answer.exitCode))
    fail(`${what}: ended with ${answer.exitCode ?? "a signal"}${said(answer) === "" ? "" : ` (${said(answer)})`}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: see above
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffd]/.test(answer.stdout))
    fail(`${what}: the answer is damaged (control characters or broken UTF-8)`);
  return answer.stdout;
}
