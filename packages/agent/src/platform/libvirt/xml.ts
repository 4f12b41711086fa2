// libvirt speaks XML where it knows more than a table holds. The parser reads names and nesting; entities are ours, below, so
// that a document has no way to make text grow.
import { XMLParser, XMLValidator } from "fast-xml-parser";

/** An element: attributes as "@name", children as lists by name, its text as "#text". Read it with the functions below. */
export interface Element {
  readonly [name: string]: readonly Element[] | string;
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseAttributeValue: false,
  parseTagValue: false,
  processEntities: false,
  alwaysCreateTextNode: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  // One of a kind and several of a kind read the same.
  isArray: (_name, _path, _isLeaf, isAttribute) => !isAttribute,
});

/** Parses a whole document whose outermost element is `root`. Throws an Error that says what is wrong with it. */
export function parseXml(text: string, root: string): Element {
  // libvirt never writes one, and it is where entities are defined.
  if (text.includes("<!DOCTYPE") || text.includes("<!ENTITY")) throw new Error("XML with a document type");
  const valid = XMLValidator.validate(text);
  if (valid !== true) throw new Error(`XML: ${valid.err.msg} (line ${valid.err.line})`);
  const document = parser.parse(text) as Element;
  const element = children(document, root)[0];
  if (element === undefined) throw new Error(`XML without <${root}>`);
  return element;
}

export function children(element: Element | undefined, name: string): readonly Element[] {
  const found = element !== undefined && Object.hasOwn(element, name) ? element[name] : undefined;
  return Array.isArray(found) ? (found as readonly Element[]) : [];
}

/** The first element at a path of names, "os/type". */
export function child(element: Element | undefined, path: string): Element | undefined {
  let at = element;
  for (const name of path.split("/")) at = children(at, name)[0];
  return at;
}

/** An attribute's value; empty when there is none. */
export function attribute(element: Element | undefined, name: string): string {
  const key = `@${name}`;
  const found = element !== undefined && Object.hasOwn(element, key) ? element[key] : undefined;
  return typeof found === "string" ? decode(found) : "";
}

/** The text of the first element at a path; empty when there is none. */
export function text(element: Element | undefined, path?: string): string {
  const found = (path === undefined ? element : child(element, path))?.["#text"];
  return typeof found === "string" ? decode(found).trim() : "";
}

/** All attributes but the declarations of namespaces. */
export function attributes(element: Element): Record<string, string> {
  const out: Record<string, string> = {};
  for (const key of Object.keys(element))
    if (key.startsWith("@") && !/^@xmlns(?::|$)/.test(key)) out[key.slice(1)] = attribute(element, key.slice(1));
  return out;
}

/** The first child with this local name in this namespace, whatever its prefix is. */
export function inNamespace(element: Element | undefined, namespace: string, local: string): Element | undefined {
  for (const name of Object.keys(element ?? {})) {
    const [prefix, rest] = name.includes(":") ? name.split(":", 2) : ["", name];
    if (rest !== local) continue;
    const declared = prefix === "" ? "xmlns" : `xmlns:${prefix}`;
    const found = children(element, name).find((one) => attribute(one, declared) === namespace);
    if (found !== undefined) return found;
  }
  return undefined;
}

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** The five entities of XML and character references; anything else stays as it is written. */
function decode(text: string): string {
  return text.replace(/&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(amp|lt|gt|quot|apos));/g, (all, hex, decimal, name) => {
    if (name !== undefined) return named[name] ?? all;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : all;
  });
}

/** A size with its unit as libvirt writes it, in KiB; undefined when it is none. */
export function kibibytes(element: Element | undefined): number | undefined {
  const value = text(element);
  const unit = attribute(element, "unit") || "KiB";
  const factor = units[unit];
  if (!/^\d{1,18}$/.test(value) || factor === undefined) return undefined;
  return Math.ceil(Number(value) * factor);
}

const units: Readonly<Record<string, number>> = {
  b: 1 / 1024,
  bytes: 1 / 1024,
  KB: 1000 / 1024,
  k: 1,
  KiB: 1,
  MB: 1e6 / 1024,
  M: 1024,
  MiB: 1024,
  GB: 1e9 / 1024,
  G: 1024 ** 2,
  GiB: 1024 ** 2,
  TB: 1e12 / 1024,
  T: 1024 ** 3,
  TiB: 1024 ** 3,
};
