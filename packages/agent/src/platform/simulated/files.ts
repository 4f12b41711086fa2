import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { instanceVerbs, NAME_PATTERN, SlipwayError, UUID_PATTERN } from "@slipway/shared";
import { syncDirectory, writeFileDurably } from "@slipway/shared/node";
// Files that people write: every wrong field is named.
import { z } from "zod";
import {
  plainHost,
  plainInstance,
  type SimulatedHost,
  type SimulatedInstance,
  type SimulatedWorld,
  type Work,
} from "./world.ts";

const text = z.string();
const count = z.int().min(0);
const texts = z.array(text);
const verb = z.enum(Object.keys(instanceVerbs) as (keyof typeof instanceVerbs)[]);
const flag = z.boolean();

const work: z.ZodType<Work> = z.strictObject({
  id: text,
  verb,
  to: text,
  toBoot: text,
  beganMs: z.number(),
  takesMs: z.number(),
  deadlineMs: z.number(),
  stuckMs: z.number(),
});

const disk = z.strictObject({
  target: text,
  kind: text.default("file"),
  device: text.default("disk"),
  source: text,
  pool: text.default(""),
  sharedAs: text.default(""),
  sizeMib: count.default(0),
  readonly: flag.default(false),
  shareable: flag.default(false),
});

/** What is left out is that of a plain instance. */
const instanceFile = z
  .strictObject({
    name: text.min(1),
    state: z.enum(["running", "paused", "shutoff", "crashed", "suspended", "unknown"]),
    stateReason: text,
    vcpus: count,
    memoryMib: count,
    memoryMaxMib: count,
    hugepageKib: count,
    disks: z.array(disk),
    devices: z.array(z.strictObject({ kind: text, name: text })),
    cpuMode: text,
    cpuModel: text,
    cpuFeatures: texts,
    cpuDisabled: texts,
    machineType: text,
    virtType: text,
    nics: z.array(z.strictObject({ kind: text, source: text })),
    autostart: flag,
    persistent: flag,
    guestAgent: flag,
    metadata: z.record(text, text),
    saved: flag,
    numaNodes: z.array(count),
    pinned: text,
    startedAtMs: count,
    fail: z.array(verb),
    stuck: z.array(verb),
    slow: z.number().positive(),
    work: work.optional(),
  })
  .partial()
  .required({ name: true });

const hostFile = z
  .strictObject({
    memoryMib: count,
    cpus: count,
    cpuArch: text,
    cpuModel: text,
    cpuVendor: text,
    cpuFeatures: texts,
    cpuModels: texts,
    machineTypes: texts,
    virtTypes: texts,
    bridges: texts,
    networks: texts,
    hugepages: z.array(z.strictObject({ sizeKib: count, total: count, free: count })),
    numa: z.array(z.strictObject({ id: count, memoryMib: count, cpus: count })),
    pools: z.array(
      z.strictObject({ name: text, type: text, path: text, active: flag, sharedAs: text, freeMib: count }),
    ),
    perGibMs: z.number().positive(),
    downtimeMs: count,
    stopMs: count,
    startMs: count,
  })
  .partial();

/**
 * The world as files, shared by the agents of an embedded pool: `HOST/UUID.json` for each instance, `HOST/host.json` for what
 * its host offers (optional), `HOST/boot` for the boot it is in. All of them may be edited while the pool runs.
 */
export class FileWorld implements SimulatedWorld {
  readonly #dir: string;
  /** Parsed files by path; read again when the file is another one. */
  readonly #files = new Map<string, { readonly mark: string; readonly value: unknown }>();
  readonly #lists = new Map<string, readonly SimulatedInstance[]>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Makes sure that the host has a place in the world. */
  join(host: string): void {
    mkdirSync(this.#path(host), { recursive: true, mode: 0o700 });
  }

  host(name: string): SimulatedHost {
    return this.#parsed(this.#path(name, "host.json"), (content) => hostOf(name, content)) ?? plainHost(name);
  }

  bootOf(host: string): string {
    return read(this.#path(host, "boot"))?.trim() ?? "";
  }

  setBoot(host: string, bootId: string): void {
    writeFileDurably(this.#path(host, "boot"), `${bootId}\n`, 0o644);
  }

  instances(host: string): readonly SimulatedInstance[] {
    const list = this.#uuids(host).flatMap((uuid) => {
      const path = this.#path(host, `${uuid}.json`);
      return this.#parsed(path, (content) => instanceOf(uuid, content)) ?? [];
    });
    const before = this.#lists.get(host);
    if (before?.length === list.length && list.every((one, i) => one === before[i])) return before;
    this.#lists.set(host, list);
    return list;
  }

  put(host: string, { uuid, ...instance }: SimulatedInstance): void {
    writeFileDurably(this.#path(host, `${uuid}.json`), `${JSON.stringify(instance, undefined, 2)}\n`, 0o644);
  }

  remove(host: string, uuid: string): void {
    rmSync(this.#path(host, `${uuid}.json`), { force: true });
    syncDirectory(this.#path(host));
  }

  hand(from: string, to: string, uuid: string): void {
    renameSync(this.#path(from, `${uuid}.json`), this.#path(to, `${uuid}.json`));
    syncDirectory(this.#path(to));
    syncDirectory(this.#path(from));
  }

  reaches(_from: string, to: string): boolean {
    return NAME_PATTERN.test(to) && this.bootOf(to) !== "";
  }

  #path(host: string, file = ""): string {
    // Names of hosts come over the wire.
    if (!NAME_PATTERN.test(host)) throw new SlipwayError("bad-input", `${JSON.stringify(host)} is no host name`);
    return join(this.#dir, host, file);
  }

  #uuids(host: string): string[] {
    let names: string[];
    try {
      names = readdirSync(this.#path(host));
    } catch (cause) {
      throw unreadable(this.#path(host), cause);
    }
    return names
      .flatMap((name) => (name.endsWith(".json") ? [name.slice(0, -".json".length)] : []))
      .filter((name) => UUID_PATTERN.test(name))
      .sort();
  }

  #parsed<T>(path: string, parse: (content: unknown) => z.ZodSafeParseResult<T>): T | undefined {
    const mark = markOf(statSync(path, { throwIfNoEntry: false }));
    const before = this.#files.get(path);
    if (mark !== "" && before?.mark === mark) return before.value as T;
    const content = mark === "" ? undefined : read(path);
    if (content === undefined) {
      this.#files.delete(path);
      return undefined;
    }
    let json: unknown;
    try {
      json = JSON.parse(content);
    } catch (cause) {
      throw unreadable(path, cause);
    }
    const { data, error } = parse(json);
    if (error !== undefined) {
      const [issue] = error.issues;
      throw new SlipwayError("bad-input", `${path}: ${issue?.path.join(".") || "it"}: ${issue?.message}`, {
        cause: error,
        fix: "correct the file",
      });
    }
    this.#files.set(path, { mark, value: data });
    return data;
  }
}

function instanceOf(uuid: string, content: unknown) {
  return instanceFile
    .transform((own): SimulatedInstance => ({ ...plainInstance(uuid, own.name), ...defined(own) }))
    .safeParse(content);
}

function hostOf(name: string, content: unknown) {
  const plain = plainHost(name);
  return hostFile
    .transform(
      ({ perGibMs, downtimeMs, stopMs, startMs, ...capacity }): SimulatedHost => ({
        capacity: { ...plain.capacity, ...defined(capacity) },
        timing: { ...plain.timing, ...defined({ perGibMs, downtimeMs, stopMs, startMs }) },
      }),
    )
    .safeParse(content);
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function defined<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;
}

/** Changes whenever the file is replaced or written; empty when there is none. */
function markOf(stats: Stats | undefined): string {
  return stats === undefined ? "" : `${stats.ino} ${stats.mtimeMs} ${stats.ctimeMs} ${stats.size}`;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): SlipwayError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new SlipwayError("bad-input", `${path}: cannot be read (${message})`, { cause, fix: "correct the file" });
}
