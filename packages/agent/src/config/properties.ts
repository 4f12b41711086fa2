/** One entry of a Java properties file, with the line it begins on. */
export interface Property {
  readonly key: string;
  readonly value: string;
  readonly line: number;
}

/**
 * Reads the syntax of java.util.Properties, in which CloudStack's agent.properties is written: `key=value`, `key: value`
 * or `key value`, comments after `#` or `!`, a backslash continues a line and escapes a character, `\uXXXX`.
 */
export function parseProperties(text: string): Property[] {
  const properties: Property[] = [];
  const lines = text.split(/\r\n|\n|\r/);
  for (let i = 0; i < lines.length; i++) {
    const line = i + 1;
    let logical = (lines[i] ?? "").replace(/^[ \t\f]+/, "");
    if (logical === "" || /^[#!]/.test(logical)) continue;
    while (/(?:^|[^\\])(?:\\\\)*\\$/.test(logical) && i + 1 < lines.length) {
      i++;
      logical = logical.slice(0, -1) + (lines[i] ?? "").replace(/^[ \t\f]+/, "");
    }
    const separator = /^((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*/s.exec(logical);
    const key = separator?.[1] ?? "";
    properties.push({ key: unescaped(key), value: unescaped(logical.slice(separator?.[0].length ?? 0)), line });
  }
  return properties;
}

function unescaped(text: string): string {
  const named: Record<string, string> = { t: "\t", n: "\n", r: "\r", f: "\f" };
  return text.replace(
    /\\(?:u([0-9A-Fa-f]{4})|(.?))/gs,
    (_all, hex: string | undefined, character: string | undefined) =>
      hex !== undefined ? String.fromCharCode(Number.parseInt(hex, 16)) : (named[character ?? ""] ?? character ?? ""),
  );
}
