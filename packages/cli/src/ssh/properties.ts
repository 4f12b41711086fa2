/** One logical line of a Java properties file: where it begins and ends, and what it sets. */
interface Entry {
  readonly first: number;
  /** Line after the last. */
  readonly end: number;
  readonly key: string;
  readonly value: string;
}

/** Value of each key, the last one counts. */
export function readProperties(text: string): Map<string, string> {
  return new Map(entriesOf(text.split(/\r?\n/)).map(({ key, value }) => [key, value]));
}

/**
 * Sets keys in the text of an agent.properties file and leaves everything else as it is. A new key goes below the comment that
 * shows it (`#key=...`), else to the end. Returns the same text when nothing is to be changed.
 */
export function mergeProperties(text: string, wanted: Readonly<Record<string, string>>): string {
  let lines = text === "" ? [] : text.replace(/\r?\n$/, "").split(/\r?\n/);
  let isChanged = false;
  for (const [key, value] of Object.entries(wanted)) {
    const mine = entriesOf(lines).filter((entry) => entry.key === key);
    const last = mine.at(-1);
    if (last?.value === value) continue;
    isChanged = true;
    const line = `${key}=${escaped(value)}`;
    if (last !== undefined) lines = [...lines.slice(0, last.first), line, ...lines.slice(last.end)];
    else {
      const shown = lines.findIndex((one) => one.replace(/^#[ \t]*/, "").startsWith(`${key}=`) && one.startsWith("#"));
      const at = shown < 0 ? lines.length : shown + 1;
      lines = [...lines.slice(0, at), line, ...lines.slice(at)];
    }
  }
  return isChanged ? `${lines.join("\n")}\n` : text;
}

/** As java.util.Properties reads it: continued lines, comments, `=`, `:` or blanks between key and value. */
function entriesOf(lines: readonly string[]): Entry[] {
  const out: Entry[] = [];
  for (let i = 0; i < lines.length; i++) {
    const first = i;
    let logical = (lines[i] ?? "").trimStart();
    if (logical === "" || /^[#!]/.test(logical)) continue;
    while (/(?:^|[^\\])(?:\\\\)*\\$/.test(logical) && i + 1 < lines.length) {
      i++;
      logical = logical.slice(0, -1) + (lines[i] ?? "").trimStart();
    }
    const split = /^((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)$/s.exec(logical);
    out.push({ first, end: i + 1, key: unescaped(split?.[1] ?? ""), value: unescaped(split?.[2] ?? "").trim() });
  }
  return out;
}

function unescaped(text: string): string {
  return text.replace(/\\u([0-9A-Fa-f]{4})|\\(.)/gs, (_all, hex: string | undefined, character: string | undefined) =>
    hex === undefined ? (character ?? "") : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\");
}
