import { NAME_PATTERN, SlipwayError } from "@slipway/shared";
import { defaultPool, type InstanceRule, type MigrationLimits, type PoolConfig, policies } from "../domain/pool.ts";
import { noQuorum, type QuorumConfig } from "../domain/quorum.ts";
import { quorumOf } from "./quorum.ts";
import { duration, flag, number, oneOf, type Place, type Problem, type Read, Reader, word } from "./reader.ts";

/** Far more than a pool file of thousands of rules needs, in characters. */
export const MAX_POOL_LENGTH = 512 * 1024;
const MAX_RULES = 5_000;

/** The sections of a pool file. */
const sections = ["capacity", "migration", "instances", "probes", "quorum", "services"] as const;

const name = word(NAME_PATTERN, "write letters, digits, dots, underscores or hyphens, at most 64");
/** Names of instances, with `*`: whatever a platform takes as a name, on one line. */
const pattern = word(/^[^\p{Cc}]{1,256}$/u, "write the name of an instance, with * for any characters");
const label = word(
  /^[A-Za-z][A-Za-z0-9_.-]{0,62}(=[A-Za-z0-9][A-Za-z0-9._:/-]{0,62})?$/,
  "write a label as name, or name=value",
);

const capacity: { readonly [K in keyof PoolConfig["capacity"]]: Read<number> } = {
  cpuOvercommit: number(0.1, 64, "any"),
  memoryOvercommit: number(0.1, 8, "any"),
  spareHosts: number(0, 100),
};

/** The file's words for the limits of migrations: durations carry their unit in the value, not in the key. */
const migration: Readonly<Record<string, { field: keyof MigrationLimits; read: Read<number> | Read<boolean> }>> = {
  perHost: { field: "perHost", read: number(1, 64) },
  perTarget: { field: "perTarget", read: number(1, 64) },
  perCluster: { field: "perCluster", read: number(1, 1_000) },
  bandwidthMib: { field: "bandwidthMib", read: number(0, 1_000_000) },
  downtime: { field: "downtimeMs", read: duration(0, 60_000) },
  autoConverge: { field: "autoConverge", read: flag },
  postCopy: { field: "postCopy", read: flag },
  stuck: { field: "stuckMs", read: duration(1_000, 3_600_000) },
  timeout: { field: "timeoutMs", read: duration(1_000, 7 * 86_400_000) },
  attempts: { field: "attempts", read: number(1, 10) },
};

const rule: { readonly [K in Exclude<keyof InstanceRule, "requires">]-?: Read<NonNullable<InstanceRule[K]>> } = {
  match: pattern,
  policy: oneOf(Object.keys(policies) as (keyof typeof policies)[]),
  weight: number(0, 1_000_000_000, "any"),
  tier: number(-100, 100),
  group: name,
  apart: name,
  home: name,
};

/** Everything that a pool file says. */
export interface PoolFile {
  readonly pool: PoolConfig;
  readonly quorum: QuorumConfig;
}

export const emptyPoolFile: PoolFile = { pool: defaultPool, quorum: noQuorum };

export interface PoolReading extends PoolFile {
  /** In order of lines; with any, the rest is not to be used. */
  readonly problems: readonly Problem[];
}

/** Reads a pool file; everything that is wrong with it is in `problems`. What the file leaves out has its default. */
export function readPool(text: string): PoolReading {
  if (text.length > MAX_POOL_LENGTH) {
    const problem = {
      line: 1,
      text: `the file is larger than ${MAX_POOL_LENGTH} characters`,
      fix: "join rules with patterns",
    };
    return { ...emptyPoolFile, problems: [problem] };
  }
  const reader = new Reader(text);
  if (reader.problems.length > 0) return { ...emptyPoolFile, problems: reader.problems };
  const root = reader.map(reader.root, sections, "instances:");
  const pool: PoolConfig = {
    capacity: { ...defaultPool.capacity, ...numbersOf(reader, root.get("capacity")) },
    migration: { ...defaultPool.migration, ...limitsOf(reader, root.get("migration")) },
    instances: rulesOf(reader, root.get("instances")),
  };
  const quorum = quorumOf(reader, root);
  return { pool, quorum, problems: reader.problems.toSorted((a, b) => a.line - b.line) };
}

/** The same for those who can only take a whole file. Errors: `bad-input` with file, line, what and what would be right. */
export function parsePool(file: string, text: string): PoolFile {
  const { pool, quorum, problems } = readPool(text);
  const [first, ...more] = problems;
  if (!first) return { pool, quorum };
  const rest = more.length === 0 ? "" : ` (and ${more.length} more, see slipway pool check)`;
  throw new SlipwayError("bad-input", `${file}:${first.line}: ${first.text}${rest}`, { fix: first.fix });
}

function numbersOf(reader: Reader, place: Place | undefined): Partial<PoolConfig["capacity"]> {
  if (!place) return {};
  const given = reader.map(place, Object.keys(capacity), "cpuOvercommit: 4");
  return values(reader, given, capacity);
}

function limitsOf(reader: Reader, place: Place | undefined): Partial<MigrationLimits> {
  if (!place) return {};
  const out: Record<string, number | boolean> = {};
  for (const [key, at] of reader.map(place, Object.keys(migration), "perHost: 2")) {
    const known = migration[key];
    const value = known?.read(reader, at);
    if (known && value !== undefined) out[known.field] = value;
  }
  return out as Partial<MigrationLimits>;
}

function rulesOf(reader: Reader, place: Place | undefined): InstanceRule[] {
  if (!place) return [];
  const shape = 'rules such as - { match: "db-*", policy: leave }';
  const items = reader.list(place, shape);
  if (items.length > MAX_RULES) reader.wrong(place, `instances: ${items.length} rules`, `write at most ${MAX_RULES}`);
  const rules: InstanceRule[] = [];
  /** Pattern -> line of the rule that has it. */
  const seen = new Map<string, number>();
  for (const item of items) {
    const given = reader.map(item, [...Object.keys(rule), "requires"], 'match: "db-*"');
    if (given.size === 0 && reader.problems.some((p) => p.text.startsWith(`${item.name}:`))) continue;
    const { requires: _, ...plain } = Object.fromEntries(given);
    const read = values(reader, new Map(Object.entries(plain)), rule) as Omit<InstanceRule, "requires">;
    const requires = given.has("requires") ? labelsOf(reader, given.get("requires") as Place) : undefined;
    if (!given.has("match")) {
      reader.wrong(item, `${item.name}: there is no match`, 'say which instances it is for, such as match: "db-*"');
      continue;
    }
    if (read.match === undefined) continue;
    // The first match wins, so a rule behind one that takes all its names would never apply.
    const earlier = seen.get(read.match) ?? seen.get("*");
    if (earlier !== undefined)
      reader.wrong(
        item,
        `${item.name}: match ${JSON.stringify(read.match)} never applies, the rule in line ${earlier} takes all of it`,
        "the first match wins: put narrower rules first",
      );
    seen.set(read.match, seen.get(read.match) ?? item.line);
    rules.push({ ...read, ...(requires === undefined ? {} : { requires }) });
  }
  return rules;
}

/** One label or a list of them. */
function labelsOf(reader: Reader, place: Place): string[] {
  const single = place.node !== null && !("items" in place.node);
  const places = single ? [place] : reader.list(place, "a list of labels, such as [ssd, zone=z1]");
  return places.map((p) => label(reader, p)).filter((l) => l !== undefined);
}

/** The values that are right, by key. */
function values<T extends Record<string, Read<unknown>>>(
  reader: Reader,
  given: ReadonlyMap<string, Place>,
  readers: T,
): { [K in keyof T]?: NonNullable<ReturnType<T[K]>> } {
  const out: Record<string, unknown> = {};
  for (const [key, place] of given) {
    const value = readers[key]?.(reader, place);
    if (value !== undefined) out[key] = value;
  }
  return out as { [K in keyof T]?: NonNullable<ReturnType<T[K]>> };
}
