import { SlipwayError } from "./errors.ts";

/** Longest single argument that Linux accepts: MAX_ARG_STRLEN (32 pages) less the closing NUL; execve(2). */
export const MAX_WORD_BYTES = 131_071;
/** Bound on all words together, well inside execve's limit on arguments plus environment. */
export const MAX_PAYLOAD_BYTES = 1_048_576;

/**
 * Splits a payload into words: white space separates, '...' and "..." group, a backslash outside single quotes takes the
 * next character literally (inside double quotes only before `"` and `\`). Nothing is expanded: `$`, `;`, `*` are text.
 * Throws `bad-input` for an open quote, a dangling backslash, a NUL, or a word that execve would refuse.
 */
export function splitPayload(payload: string): string[] {
  const words: string[] = [];
  let word = "";
  let inWord = false;
  let quote: "'" | '"' | "" = "";
  let quoteAt = 0;
  if (payload.includes("\0"))
    throw new SlipwayError("bad-input", "payload: contains a NUL character", { fix: "remove it" });
  for (let i = 0; i < payload.length; i++) {
    const c = payload.charAt(i);
    if (quote === "'") {
      if (c === "'") quote = "";
      else word += c;
    } else if (c === "\\") {
      const next = payload.charAt(i + 1);
      if (quote === '"' && next !== '"' && next !== "\\") {
        word += c;
        continue;
      }
      if (next === "")
        throw new SlipwayError("bad-input", "payload: ends in a backslash", { fix: "write \\\\ for a literal one" });
      word += next;
      inWord = true;
      i++;
    } else if (quote === '"') {
      if (c === '"') quote = "";
      else word += c;
    } else if (c === "'" || c === '"') {
      quote = c;
      quoteAt = i;
      inWord = true;
    } else if (/\s/.test(c)) {
      if (inWord) words.push(word);
      word = "";
      inWord = false;
    } else {
      word += c;
      inWord = true;
    }
  }
  if (quote !== "") {
    throw new SlipwayError("bad-input", `payload: the quote ${quote} at character ${quoteAt + 1} is never closed`, {
      fix: `close it, or write \\${quote} for a literal one`,
    });
  }
  if (inWord) words.push(word);
  let total = 0;
  for (const [index, w] of words.entries()) {
    const bytes = new TextEncoder().encode(w).length;
    total += bytes + 1;
    if (bytes > MAX_WORD_BYTES)
      throw new SlipwayError(
        "bad-input",
        `payload: word ${index + 1} has ${bytes} bytes, Linux takes at most ${MAX_WORD_BYTES}`,
        {
          fix: "hand over a file name instead",
        },
      );
  }
  if (total > MAX_PAYLOAD_BYTES)
    throw new SlipwayError("bad-input", `payload: ${total} bytes in all, at most ${MAX_PAYLOAD_BYTES} are taken`, {
      fix: "hand over a file name instead",
    });
  return words;
}
