import type { operatorWire } from "@slipway/shared/wire";
import { age, clean, type Paint } from "./text.ts";

/** The file as it is; on a terminal with a line about who applied it, which in a pipe would not be part of the file. */
export function renderPool(
  { text, history }: operatorWire.GetPoolResponse,
  now: number,
  paint: Paint,
  isTerminal: boolean,
): string[] {
  const [current] = history;
  if (current === undefined) return ["# no pool file was applied: everything has its default"];
  const head = `# version ${current.number}, ${clean(current.file)}, applied ${age(Number(current.atMs), now)} by ${clean(current.who)}`;
  const body = text
    .replace(/\n$/, "")
    .split("\n")
    // A file that somebody else applied must not steer this terminal; tabs may stay.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
    .map((line) => line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, ""));
  return isTerminal ? [paint.dim(head), ...body] : body;
}
