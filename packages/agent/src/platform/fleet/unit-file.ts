import { createHash } from "node:crypto";
import { type Answer, fail, whole } from "../../probes/answer.ts";
import type { Machine } from "./tables.ts";

/** What the section [X-Fleet] of a unit says of where it may run; values as they are written. */
export interface Requirements {
  /** Units, with * ? [..], that it shares no machine with; it counts in both directions. */
  readonly conflicts: readonly string[];
  /** Units that it drives off the machine that it is started on. */
  readonly replaces: readonly string[];
  /** Units that have to be on its machine already. */
  readonly machineOf: readonly string[];
  /** Id of the only machine, in full or its first eight digits; empty: any. */
  readonly machineId: string;
  /** By key the values of which a machine must carry one. */
  readonly metadata: ReadonlyMap<string, readonly string[]>;
  /** What a site's builds of fleet add for people; upstream warns of it and keeps it. Empty: not given. */
  readonly weight: string;
}

const SECTION = /^\[([^\]]*)\]\s*$/;
const DEPRECATED = /^X-(?:Condition)?/;

/** Reads what `fleetctl cat` printed of a unit. Throws what does not have the hash by which fleet lists it: it is not the whole text. */
export function readRequirements(answer: Answer, unit: string, hash: string): Requirements {
  const text = whole(answer, `fleetctl cat ${unit}`);
  if (createHash("sha1").update(text).digest("hex") !== hash)
    fail(`fleetctl cat ${unit}: the answer is not what fleet lists`);
  let section: string | undefined;
  const found = new Map<string, string[]>();
  // A line that ends in a backslash goes on in the next one.
  for (const line of text.replace(/\\\n/g, " ").split("\n")) {
    section = SECTION.exec(line)?.[1] ?? section;
    const at = line.indexOf("=");
    if (section !== "X-Fleet" || at < 1 || /^\s*[#;]/.test(line)) continue;
    const key = line.slice(0, at).trim().replace(DEPRECATED, "");
    const values = valuesOf(line.slice(at + 1).trim()).map((value) => expand(value, unit));
    found.set(key, [...(found.get(key) ?? []), ...values]);
  }
  const all = (key: string) => found.get(key) ?? [];
  const metadata = new Map<string, string[]>();
  for (const pair of all("MachineMetadata")) {
    const [key = "", value = "", more] = pair.split("=");
    // fleet passes over what is no pair.
    if (key !== "" && value !== "" && more === undefined) metadata.set(key, [...(metadata.get(key) ?? []), value]);
  }
  return {
    conflicts: all("Conflicts")
      .flatMap((one) => one.split(/\s+/))
      .filter((one) => one !== ""),
    replaces: all("Replaces"),
    machineOf: all("MachineOf"),
    machineId: all("MachineID")[0] ?? all("MachineBootID")[0] ?? "",
    metadata,
    weight: all("Weight").at(-1) ?? "",
  };
}

/** Several values in quotes with spaces between, or one as it stands. */
function valuesOf(text: string): string[] {
  if (!/^".*"$/.test(text)) return [text];
  return [...text.matchAll(/"([^"]*)"/g)].map(([, value = ""]) => value);
}

/** %n the unit, %N without its type, %p before and %i behind the @. */
function expand(text: string, unit: string): string {
  const name = unit.replace(/\.[^.]*$/, "");
  const at = name.indexOf("@");
  const [prefix, instance] = at < 0 ? [name, ""] : [name.slice(0, at), name.slice(at + 1)];
  const words: Readonly<Record<string, string>> = { n: unit, N: name, p: prefix, i: instance };
  return text.replace(/%([nNpi])/g, (all, letter: string) => words[letter] ?? all);
}

/** May it run there, other units apart? */
export function mayRunOn({ machineId, metadata }: Requirements, machine: Machine): boolean {
  if (machineId !== "" && machineId !== machine.id && machineId !== machine.id.slice(0, 8)) return false;
  return [...metadata].every(([key, values]) => {
    const own = Object.hasOwn(machine.metadata, key) ? machine.metadata[key] : undefined;
    return own !== undefined && values.includes(own);
  });
}

/** What keeps it to machines of its choice, in the words of its unit file; empty: nothing. */
export function requirementText({ machineId, metadata }: Requirements): string {
  const pairs = [...metadata].flatMap(([key, values]) => values.map((value) => `MachineMetadata=${key}=${value}`));
  return [...(machineId === "" ? [] : [`MachineID=${machineId}`]), ...pairs].join(" ");
}
