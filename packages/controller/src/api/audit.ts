import type { Logger } from "@slipway/shared/log";
import type { AuditRecord } from "../store/audit.ts";

/** Refusals of one caller and method within this time are audited once, so that nobody can fill the disk with them. */
const QUIET_MS = 10_000;
const MAX_TEXT = 1_000;
const MAX_REMEMBERED = 1_000;

/** Writes down who did what. A full disk must not hide an action: then it is in the log of the process at least. */
export class Auditor {
  readonly #append: (record: AuditRecord) => void;
  readonly #log: Logger;
  readonly #quietUntil = new Map<string, number>();

  constructor(append: (record: AuditRecord) => void, log: Logger) {
    this.#append = append;
    this.#log = log;
  }

  write(record: Omit<AuditRecord, "atMs">): void {
    const entry = { ...record, what: oneLine(record.what), result: oneLine(record.result), atMs: Date.now() };
    this.#log.info({ who: entry.who, role: entry.role, method: entry.method, result: entry.result }, entry.what);
    try {
      this.#append(entry);
    } catch (thrown) {
      this.#log.error({ ...entry }, `the audit log cannot be written: ${(thrown as Error).message}`);
    }
  }

  /** Of somebody who may not do this at all. */
  intruder(record: Omit<AuditRecord, "atMs">): void {
    const key = `${record.who} ${record.method}`;
    const now = performance.now();
    if ((this.#quietUntil.get(key) ?? 0) > now) return;
    if (this.#quietUntil.size >= MAX_REMEMBERED) this.#quietUntil.clear();
    this.#quietUntil.set(key, now + QUIET_MS);
    this.write(record);
  }
}

/** Operators' text ends in logs and terminals: one line, bounded. */
function oneLine(text: string): string {
  const line = text.replace(/\p{Cc}+/gu, " ").toWellFormed();
  return line.length > MAX_TEXT ? `${line.slice(0, MAX_TEXT)} ...` : line;
}
