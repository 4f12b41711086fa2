import { wrongUse } from "../io.ts";

/** Collects a flag that may be repeated. */
export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** Lists with commas, each perhaps repeated, as one list. */
export function namesOf(flag: string, given: readonly string[]): string[] {
  const names = given.flatMap((list) => list.split(",")).map((name) => name.trim());
  if (names.some((name) => name === ""))
    throw wrongUse(`${flag}: "${given.join(",")}" has an empty name`, "separate names by one comma");
  return [...new Set(names)];
}

/** A word as a shell takes it literally. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_.,:/@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
