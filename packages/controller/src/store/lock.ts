import { closeSync, existsSync, openSync } from "node:fs";
import { SlipwayError } from "@slipway/shared";
import Database from "better-sqlite3";

/**
 * Holds `file` for this process until `release` or the process's end, whatever kind of end. Node offers no file lock of its
 * own, so an empty database with an open exclusive transaction serves as one.
 * Errors: `conflict` when another process holds it.
 */
export function holdLock(file: string): { release(): void } {
  if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
  const db = new Database(file, { timeout: 0 });
  try {
    db.pragma("journal_mode = MEMORY");
    db.exec("begin exclusive");
  } catch (thrown) {
    db.close();
    const code = String((thrown as { code?: unknown }).code ?? "");
    if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED"))
      throw new SlipwayError("conflict", `${file}: another slipway-controller runs on this directory`, {
        cause: thrown,
        fix: "stop that one, or give this one another --dir",
      });
    throw SlipwayError.from(thrown);
  }
  return { release: () => db.close() };
}
