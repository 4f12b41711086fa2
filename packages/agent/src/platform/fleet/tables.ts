import { type Answer, fail, whole } from "../../probes/answer.ts";

/** A machine that fleet counts as being there. */
export interface Machine {
  /** 32 hexadecimal digits, the host's /etc/machine-id. */
  readonly id: string;
  readonly ip: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What fleet wants of a unit, and what it has made of that. */
export interface UnitFile {
  readonly unit: string;
  /** SHA-1 of the text of the unit, in hexadecimal digits. */
  readonly hash: string;
  readonly wanted: FleetState;
  /** Empty for a global unit, which has one on each machine. */
  readonly state: FleetState | "";
  /** Id of the machine that it is scheduled to; empty: none. */
  readonly machine: string;
  /** It runs on every machine that it may run on. */
  readonly global: boolean;
}

export type FleetState = "inactive" | "loaded" | "launched";

/** What the systemd of a machine says of a unit, as fleet heard it last. */
export interface UnitState {
  readonly unit: string;
  readonly machine: string;
  readonly active: string;
  readonly sub: string;
}

/** Names of units, as fleet takes them, and none that a program would take for an option. */
export const UNIT_PATTERN = /^[A-Za-z0-9_:.@\\][A-Za-z0-9_:.@\\-]{0,250}\.[a-z]{4,9}$/;

const HASH = /^[0-9a-f]{40}$/;
const MACHINE = /^[0-9a-f]{32}$/;
/** With `--full`: the id, and behind it an address, or a name in builds that print one. */
const PLACE = /^([0-9a-f]{32})(?:\/\S+)?$/;
const STATES = ["inactive", "loaded", "launched"] as const;
/** systemd's words, and "-" for what fleet has not heard yet. */
const WORD = /^(?:[a-z-]{1,32})$/;

/**
 * The lists that are asked for. Only fields that every build has: `hostname` is one that upstream does not know. With headings, since
 * nothing at all would else look like an empty list.
 */
export const listings = {
  machines: ["list-machines", ["machine", "ip", "metadata"]],
  files: ["list-unit-files", ["unit", "hash", "dstate", "state", "target", "global"]],
  states: ["list-units", ["unit", "machine", "active", "sub"]],
} as const;

export function listingArgs([command, fields]: (typeof listings)[keyof typeof listings]): readonly string[] {
  return [command, "--full", "--fields", fields.join(",")];
}

/** Rows of a list; headings and numbers of fields have to be those that were asked for. Throws what cannot be read. */
function rows(answer: Answer, [command, fields]: (typeof listings)[keyof typeof listings]): string[][] {
  const what = `fleetctl ${command}`;
  const lines = whole(answer, what).split("\n");
  if (answer.stdout === "") fail(`${what}: nothing was answered`);
  if (lines.pop() !== "") fail(`${what}: the answer is cut off`);
  const [head, ...rest] = lines.map((line) => line.split(/\t+/));
  const headings = fields.join().toUpperCase();
  if (String(head) !== headings) fail(`${what}: unknown headings ${JSON.stringify(String(head))}`);
  const bad = rest.find((row) => row.length !== fields.length);
  if (bad) fail(`${what}: unknown line ${JSON.stringify(bad.join(" "))}`);
  return rest;
}

export function readMachines(answer: Answer): Machine[] {
  const found = rows(answer, listings.machines).map(([id = "", ip = "", metadata = ""]) => {
    if (!MACHINE.test(id)) fail(`fleetctl list-machines: unknown machine ${JSON.stringify(id)}`);
    return { id, ip: ip === "-" ? "" : ip, metadata: metadataOf(metadata) };
  });
  return once(found, "list-machines", ({ id }) => id);
}

function metadataOf(text: string): Record<string, string> {
  if (text === "-") return {};
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const at = pair.indexOf("=");
      return at < 1
        ? fail(`fleetctl list-machines: unknown metadata ${JSON.stringify(text)}`)
        : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

export function readUnitFiles(answer: Answer): UnitFile[] {
  const what = "fleetctl list-unit-files";
  const found = rows(answer, listings.files).map(
    ([unit = "", hash = "", dstate = "", state = "", target = "", global = ""]): UnitFile => {
      if (!UNIT_PATTERN.test(unit) || !HASH.test(hash))
        fail(`${what}: unknown unit ${JSON.stringify(`${unit} ${hash}`)}`);
      if (global !== "true" && global !== "false") fail(`${what}: ${unit} has ${JSON.stringify(global)} for global`);
      const isGlobal = global === "true";
      return {
        unit,
        hash,
        wanted: stateOf(dstate) ?? fail(`${what}: ${unit} shall be ${JSON.stringify(dstate)}`),
        state: isGlobal ? "" : (stateOf(state) ?? fail(`${what}: ${unit} is ${JSON.stringify(state)}`)),
        machine: isGlobal ? "" : placeOf(target, what),
        global: isGlobal,
      };
    },
  );
  return once(found, "list-unit-files", ({ unit }) => unit);
}

export function readUnitStates(answer: Answer): UnitState[] {
  const what = "fleetctl list-units";
  return rows(answer, listings.states).map(([unit = "", place = "", active = "", sub = ""]) => {
    if (!UNIT_PATTERN.test(unit)) fail(`${what}: unknown unit ${JSON.stringify(unit)}`);
    if (!WORD.test(active) || !WORD.test(sub)) fail(`${what}: ${unit} is ${JSON.stringify(`${active} ${sub}`)}`);
    return { unit, machine: placeOf(place, what), active, sub };
  });
}

function stateOf(word: string): FleetState | undefined {
  // Of a unit that nobody has wanted anything of yet fleet says nothing.
  return word === "-" ? "inactive" : STATES.find((one) => one === word);
}

function placeOf(text: string, what: string): string {
  if (text === "-") return "";
  return PLACE.exec(text)?.[1] ?? fail(`${what}: unknown machine ${JSON.stringify(text)}`);
}

function once<T>(list: T[], command: string, keyOf: (one: T) => string): T[] {
  const seen = new Set<string>();
  for (const key of list.map(keyOf)) {
    if (seen.has(key)) fail(`fleetctl ${command}: ${key} is there twice`);
    seen.add(key);
  }
  return list;
}
