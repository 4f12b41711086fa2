import { nearest } from "@slipway/shared";
// A YAML reader that keeps line numbers, so that each complaint can name its line.
import { isMap, isScalar, isSeq, LineCounter, type Node, type ParsedNode, parseDocument } from "yaml";

/** What is wrong in a file: where, what with which value, and what would be right. */
export interface Problem {
  readonly line: number;
  readonly text: string;
  readonly fix: string;
}

/** A value of the file and the words that name it, "capacity.cpuOvercommit". */
export interface Place {
  readonly name: string;
  readonly node: ParsedNode | null;
  /** Line of the key, or of the value where there is none. */
  readonly line: number;
}

/** Reads a value; undefined when it was wrong, which is in the problems then. */
export type Read<T> = (reader: Reader, place: Place) => T | undefined;

/** Walks one YAML document and gathers everything that is wrong with it. */
export class Reader {
  readonly problems: Problem[] = [];
  readonly root: Place;
  readonly #lines = new LineCounter();

  constructor(text: string) {
    // Without aliases a small file cannot grow into a large one.
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    for (const { pos, message } of document.errors)
      this.problems.push({
        line: this.#lines.linePos(pos[0]).line,
        text: `not valid YAML: ${message.split("\n")[0]}`,
        fix: "correct that line",
      });
    this.root = { name: "", node: document.contents, line: 1 };
  }

  wrong(place: Place, text: string, fix: string): undefined {
    this.problems.push({ line: place.line, text, fix });
    return undefined;
  }

  /** The values of a map, by key; a key that `keys` does not hold is a problem. An empty value is no value. */
  map(place: Place, keys: readonly string[], what: string): Map<string, Place> {
    const found = new Map<string, Place>();
    if (place.node === null || (isScalar(place.node) && place.node.value === null)) return found;
    if (!isMap(place.node)) {
      this.wrong(place, `${place.name || "the file"}: ${shown(place.node)} is no map`, `write keys such as ${what}`);
      return found;
    }
    for (const { key: keyNode, value } of place.node.items) {
      const key = isScalar(keyNode) ? String(keyNode.value) : "";
      const name = place.name === "" ? key : `${place.name}.${key}`;
      const at: Place = { name, node: value as ParsedNode | null, line: this.line(keyNode as Node) };
      if (keys.includes(key)) {
        found.set(key, at);
        continue;
      }
      const near = nearest(key, keys);
      this.wrong(at, `key "${name}" is unknown`, near ? `did you mean "${near}"?` : `the keys are ${keys.join(", ")}`);
    }
    return found;
  }

  /** The items of a list; an empty value is an empty list. */
  list(place: Place, what: string): Place[] {
    const { node } = place;
    if (node === null || (isScalar(node) && node.value === null)) return [];
    if (!isSeq(node)) {
      this.wrong(place, `${place.name}: ${shown(node)} is no list`, `write ${what}`);
      return [];
    }
    return node.items.map((item, i) => ({
      name: `${place.name}[${i + 1}]`,
      node: item as ParsedNode,
      line: this.line(item as Node),
    }));
  }

  line(node: Node | null): number {
    return this.#lines.linePos(node?.range?.[0] ?? 0).line;
  }
}

/** A value as a message shows it. */
export function shown(node: unknown): string {
  if (node === null || node === undefined) return "nothing";
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (!isScalar(node)) return "an alias";
  return node.value === null ? "nothing" : JSON.stringify(node.value).slice(0, 80);
}

/** A number from `least` to `most`. */
export function number(least: number, most: number, kind: "whole" | "any" = "whole"): Read<number> {
  return (reader, place) => {
    const value = isScalar(place.node) ? place.node.value : undefined;
    const fits = typeof value === "number" && value >= least && value <= most;
    if (fits && (kind === "any" || Number.isInteger(value))) return value;
    const what = kind === "whole" ? "a whole number" : "a number";
    return reader.wrong(place, `${place.name}: ${shown(place.node)}`, `write ${what} from ${least} to ${most}`);
  };
}

export const flag: Read<boolean> = (reader, place) => {
  const value = isScalar(place.node) ? place.node.value : undefined;
  if (typeof value === "boolean") return value;
  return reader.wrong(place, `${place.name}: ${shown(place.node)}`, "write true or false");
};

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** "300ms", "60s", "30m", or seconds as a plain number; milliseconds. 0 is taken where `least` is 0. */
export function duration(leastMs: number, mostMs: number): Read<number> {
  return (reader, place) => {
    const value = isScalar(place.node) ? place.node.value : undefined;
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(String(value ?? ""));
    const ms = match ? Math.round(Number(match[1]) * (UNITS[match[2] ?? "s"] ?? Number.NaN)) : Number.NaN;
    if (ms >= leastMs && ms <= mostMs) return ms;
    const bounds = `from ${text(leastMs)} to ${text(mostMs)}`;
    return reader.wrong(place, `${place.name}: ${shown(place.node)}`, `write a duration ${bounds}, such as 30s or 10m`);
  };
}

function text(ms: number): string {
  for (const unit of ["h", "m", "s"]) {
    const size = UNITS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** Text of a certain form; numbers that YAML makes of it are taken as they were written. */
export function word(pattern: RegExp, right: string): Read<string> {
  return (reader, place) => {
    const { node } = place;
    const value =
      isScalar(node) && (typeof node.value === "string" || typeof node.value === "number") ? String(node.value) : "";
    if (pattern.test(value)) return value;
    return reader.wrong(place, `${place.name}: ${shown(node)}`, right);
  };
}

export function oneOf<const T extends string>(values: readonly T[]): Read<T> {
  return (reader, place) => {
    const value = isScalar(place.node) ? String(place.node.value) : "";
    const found = values.find((v) => v === value);
    if (found !== undefined) return found;
    const near = nearest(value, values);
    return reader.wrong(
      place,
      `${place.name}: ${shown(place.node)} is not known`,
      near ? `did you mean "${near}"?` : `choose ${values.join(", ")}`,
    );
  };
}
