// The strict way to read XML: what has to be there and is not makes the answer unreadable.
import { attribute, child, children, type Element, parseXml, text } from "../platform/libvirt/xml.ts";
import { fail } from "./answer.ts";

export { children, type Element, text };

export function readXml(source: string, what: string, root: string): Element {
  try {
    return parseXml(source, root);
  } catch (thrown) {
    return fail(`${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

export function theChild(element: Element, path: string): Element {
  return child(element, path) ?? fail(`<${path}> is missing`);
}

/** The text at a path; it may not be empty. */
export function theText(element: Element, path: string): string {
  const found = text(theChild(element, path));
  return found === "" ? fail(`<${path}> is empty`) : found;
}

/** The whole number at a path. */
export function theCount(element: Element, path: string): number {
  return digits(theText(element, path), `<${path}>`);
}

export function theAttribute(element: Element, name: string): string {
  const found = attribute(element, name);
  return found === "" ? fail(`attribute ${name} is missing`) : found;
}

/** "true" or "false". */
export function theFlag(element: Element, name: string): boolean {
  const found = theAttribute(element, name);
  return found === "true" || (found === "false" ? false : fail(`attribute ${name} is ${JSON.stringify(found)}`));
}

export function theAttributeCount(element: Element, name: string): number {
  return digits(theAttribute(element, name), `attribute ${name}`);
}

/** A whole number of plain digits; anything else is unreadable, never zero. */
export function digits(value: string, what: string): number {
  return /^\d{1,15}$/.test(value) ? Number(value) : fail(`${what} is ${JSON.stringify(value)}, no number`);
}
