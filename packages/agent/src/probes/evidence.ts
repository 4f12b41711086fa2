import type { Plain } from "@slipway/shared";
import type { Answer } from "./answer.ts";
import type { HttpRequest } from "./probe.ts";

export type Evidence = Plain<{ asked: string; exitCode?: number; answer: string }>;

/** For each answer, head and tail; and for all of one probe, in characters. */
const MAX_ANSWER = 4_000;
const MAX_ALL = 48_000;
/** Questions that are kept; of more, those in the middle are left out. */
const MAX_ENTRIES = 100;

/** RabbitMQ's tools print a hash of the secret that its nodes share when they cannot reach one. */
const COOKIE = /^.*cookie hash.*$/gim;

/** What was asked and what came back, for people. Secrets are named by their files and never come here. */
export class EvidenceLog {
  readonly #entries: Evidence[] = [];
  #size = 0;

  command(argv: readonly string[], answer: Answer): void {
    const { exitCode } = answer;
    this.#add(argv.map(quoted).join(" "), [answer.stdout, answer.stderr, ending(answer)], exitCode);
  }

  request({ method, url, body }: HttpRequest, answer: Answer): void {
    const status = answer.exitCode === undefined ? "" : `HTTP ${answer.exitCode}`;
    this.#add([method, url, body ?? ""].join(" ").trim(), [status, answer.stdout, ending(answer)], undefined);
  }

  get entries(): readonly Evidence[] {
    return this.#entries;
  }

  /** As it would look on a terminal. */
  text(): string {
    return this.#entries
      .map(({ asked, exitCode, answer }) =>
        [`$ ${asked}`, answer, ...(exitCode ? [`(exit ${exitCode})`] : [])].filter(Boolean).join("\n"),
      )
      .join("\n");
  }

  #add(asked: string, parts: readonly string[], exitCode: number | undefined): void {
    const room = Math.max(200, Math.min(MAX_ANSWER, MAX_ALL - this.#size));
    const answer = headAndTail(
      parts
        .map((part) => part.replace(COOKIE, "").trim())
        .filter((part) => part !== "")
        .join("\n"),
      room,
    );
    this.#size += answer.length;
    this.#entries.push({ asked, ...(exitCode === undefined ? {} : { exitCode }), answer });
    if (this.#entries.length > MAX_ENTRIES) this.#entries.splice(MAX_ENTRIES / 2, 1);
  }
}

function ending({ timedOut, problem }: Answer): string {
  return timedOut ? "(no answer in time)" : problem === "" ? "" : `(${problem})`;
}

function headAndTail(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const half = Math.floor(limit / 2);
  return `${text.slice(0, half)}\n... ${text.length - 2 * half} characters left out ...\n${text.slice(-half)}`;
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_./:=@,+%-]+$/.test(word) ? word : JSON.stringify(word);
}
