import type { Instance, Inventory, StoragePool } from "@slipway/shared";
import { type Definition, parseDomain, parseMetadata } from "./domain.ts";
import { Emulator, tried, Unreadable } from "./emulator.ts";
import { parsePool } from "./host-xml.ts";
import type { Local, LocalFacts } from "./local.ts";
import { type KnownPool, placeDisk, type SharedPath, storagePools } from "./storage.ts";
import type { Virsh } from "./virsh.ts";
import { type DomainState, type JobInfo, jobWord, parseJob, parseNames, parseState, parseUuids } from "./words.ts";

export interface ReaderOptions {
  readonly virsh: Virsh;
  readonly local: Local;
  /** MiB of the host's memory that instances are not given. */
  readonly reserveMib: number;
  readonly sharedPaths: readonly SharedPath[];
  /** "qemu+tls://hv2/system". */
  readonly migrationUri: string;
  /** "tcp://10.1.0.2"; empty: the platform chooses. */
  readonly migrationAddress: string;
}

/** A reading: the inventory without its number and what the core fills in. */
export type Reading = Omit<Inventory, "seq" | "cordonedBy">;

/** Sizes of disks are asked again after so long although no definition has changed. */
const SIZES_FOR_MS = 600_000;
const SIZES_DEADLINE_MS = 10_000;

/** Reads everything that libvirt knows of this host, in a few calls however many guests there are. */
export class Reader {
  readonly #options: ReaderOptions;
  /** By the text it came from: definitions seldom change, and parsing is what costs. */
  #definitions = new Map<string, Definition>();
  #metadata = new Map<string, Record<string, string>>();
  #sizes = new Map<string, Sizes>();
  readonly #emulator: Emulator;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#emulator = new Emulator(options.virsh);
  }

  /** One reading. Never throws: what cannot be read is its `problem`, and then there are no instances. */
  async read(): Promise<Reading> {
    try {
      return await this.#read();
    } catch (thrown) {
      if (!(thrown instanceof Error)) throw thrown;
      this.#emulator.forget();
      return { platform: "libvirt", problem: thrown.message, instances: [] };
    }
  }

  async #read(): Promise<Reading> {
    const { virsh, local, reserveMib, migrationUri, migrationAddress } = this.#options;
    const [lists, places, facts] = await Promise.all([
      virsh.batch([
        "list --all --uuid",
        "list --all --uuid --autostart",
        "list --all --uuid --persistent",
        "list --all --uuid --with-managed-save",
      ]),
      // A host may well have neither driver.
      virsh.batch(["pool-list --all --uuid", "pool-list --uuid", "net-list --name"]),
      local.facts(),
    ]);
    // A batch whose connection broke ends well and prints nothing, so a complaint counts as no answer at all.
    const [all, autostart, persistent, saved] = lists.sections.slice(0, 4).map(parseUuids);
    if (lists.state !== "ok" || lists.text !== "") throw new Unreadable(`libvirt: ${lists.text}`);
    if (all === undefined || autostart === undefined || persistent === undefined || saved === undefined)
      throw new Unreadable("libvirt: virsh list printed something else than UUIDs");
    const [allPools = [], activePools = []] = places.sections.slice(0, 2).map((one) => parseUuids(one) ?? []);
    const pools = await this.#pools(allPools, new Set(activePools), facts);
    const known = {
      all,
      autostart: new Set(autostart),
      persistent: new Set(persistent),
      saved: new Set(saved),
    };
    const emulator = await this.#emulator.facts();
    return {
      platform: "libvirt",
      problem: "",
      capacity: {
        ...emulator,
        memoryMib: Math.max(0, facts.memoryMib - reserveMib),
        memoryFreeMib: facts.memoryFreeMib,
        hugepages: facts.hugepages,
        bridges: [...facts.bridges],
        networks: parseNames(places.sections[2] ?? ""),
        pools,
        migrationUri,
        migrationAddress,
      },
      instances: await this.#instances(known, pools, facts),
    };
  }

  async #instances(known: Known, pools: readonly StoragePool[], facts: LocalFacts): Promise<Instance[]> {
    const { all, persistent } = known;
    const commands = all.flatMap((uuid) => [
      `dumpxml ${uuid}`,
      // The operator edits the stored definition; a running guest shows the one that it was started with.
      persistent.has(uuid) ? `dumpxml --inactive ${uuid}` : "echo",
      `domstats --state --raw --nowait ${uuid}`,
      `domjobinfo --rawstats ${uuid}`,
    ]);
    const answer = await this.#options.virsh.batch(commands);
    if (answer.state !== "ok") throw new Unreadable(`libvirt: ${answer.text}`);
    // Gone since it was listed, or hidden by a broken connection: the list is asked again, alone, so that its status counts.
    const isComplete = all.every((_, at) => answer.sections[at * 4]?.trim() !== "");
    const still = isComplete ? all : await this.#listed();
    const definitions = new Map<string, Definition>();
    const metadata = new Map<string, Record<string, string>>();
    const found: { readonly xml: string; readonly instance: Instance }[] = [];
    for (const [at, uuid] of all.entries()) {
      const [live = "", stored = "", state = "", job = ""] = answer.sections.slice(at * 4, at * 4 + 4);
      if (live.trim() === "" && !still.includes(uuid)) continue;
      const definition = remember(definitions, this.#definitions, live, () => parseDomain(live));
      const words = remember(metadata, this.#metadata, stored, () =>
        stored.trim() === "" ? {} : parseMetadata(stored),
      );
      const instance =
        definition?.uuid !== uuid
          ? unreadable(uuid)
          : instanceOf(
              definition,
              { ...definition.metadata, ...words },
              parseState(state),
              await this.#job(uuid, state, job),
            );
      found.push({
        xml: live,
        instance: {
          ...instance,
          autostart: known.autostart.has(uuid),
          persistent: persistent.has(uuid),
          saved: known.saved.has(uuid),
          startedAtMs: isActive(instance.state) ? BigInt(this.#options.local.startedAtMs(instance.name)) : 0n,
        },
      });
    }
    this.#definitions = definitions;
    this.#metadata = metadata;
    const sizes = await this.#diskSizes(found.map(({ xml, instance }) => ({ xml, uuid: instance.uuid })));
    return found.map(({ instance }) => ({
      ...instance,
      disks: instance.disks.map((disk) => ({
        ...placeDisk(disk, pools, facts.mounts),
        sizeMib: sizes.get(instance.uuid)?.get(disk.target) ?? 0,
      })),
    }));
  }

  /** A guest that arrives has no statistics of its migration; libvirt says so in words only, and not in a batch. */
  async #job(uuid: string, state: string, section: string): Promise<JobInfo> {
    const info = parseJob(section);
    const { state: word, reason } = parseState(state);
    if (info.type !== "unknown" || word !== "paused" || reason !== "migrating") return info;
    return await readJob(this.#options.virsh, uuid);
  }

  async #listed(): Promise<readonly string[]> {
    const answer = await this.#options.virsh.run(["list", "--all", "--uuid"]);
    const found = answer.state === "ok" ? parseUuids(answer.stdout) : undefined;
    if (found === undefined) throw new Unreadable(`libvirt: ${answer.text || "virsh list: no UUIDs"}`);
    return found;
  }

  /** Sizes by UUID and target, best effort: storage that hangs must not hide what is known without it. */
  async #diskSizes(
    wanted: readonly { readonly xml: string; readonly uuid: string }[],
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
    const nowMs = performance.now();
    const stale = wanted.filter(({ uuid, xml }) => {
      const last = this.#sizes.get(uuid);
      return last === undefined || last.xml !== xml || nowMs - last.atMs > SIZES_FOR_MS;
    });
    const commands = stale.map(({ uuid }) => `domblkinfo --all ${uuid}`);
    const answer =
      commands.length === 0 ? undefined : await this.#options.virsh.batch(commands, { timeoutMs: SIZES_DEADLINE_MS });
    const next = new Map<string, Sizes>();
    for (const { uuid } of wanted) {
      const last = this.#sizes.get(uuid);
      if (last !== undefined) next.set(uuid, last);
    }
    for (const [at, { uuid, xml }] of stale.entries())
      next.set(uuid, { xml, atMs: nowMs, sizes: parseSizes(answer?.sections[at] ?? "") });
    this.#sizes = next;
    return new Map([...next].map(([uuid, { sizes }]) => [uuid, sizes]));
  }

  async #pools(all: readonly string[], active: ReadonlySet<string>, facts: LocalFacts): Promise<StoragePool[]> {
    const answer = await this.#options.virsh.batch(all.map((uuid) => `pool-dumpxml ${uuid}`));
    if (answer.state !== "ok") throw new Unreadable(`libvirt: pools: ${answer.text}`);
    const pools: KnownPool[] = [];
    for (const [at, uuid] of all.entries()) {
      const pool = tried(() => parsePool(answer.sections[at] ?? ""));
      // Undefined meanwhile, or in words nobody knows: then it holds no disk that anybody could rely on.
      if (pool !== undefined) pools.push({ ...pool, active: active.has(uuid) });
    }
    return storagePools(pools, facts.mounts, this.#options.sharedPaths);
  }
}

interface Sizes {
  readonly xml: string;
  readonly atMs: number;
  readonly sizes: ReadonlyMap<string, number>;
}

interface Known {
  readonly all: readonly string[];
  readonly autostart: ReadonlySet<string>;
  readonly persistent: ReadonlySet<string>;
  readonly saved: ReadonlySet<string>;
}

function instanceOf(
  definition: Definition,
  metadata: Record<string, string>,
  { state, reason }: DomainState,
  info: JobInfo,
): Instance {
  const job = isActive(state) || state === "unknown" ? jobWord(info) : "";
  return {
    ...definition,
    metadata,
    state: job === "migrating-in" && state === "paused" ? "incoming" : state,
    stateReason: reason,
    job,
    autostart: false,
    persistent: false,
    saved: false,
    generation: 0,
    pinned: "",
    startedAtMs: 0n,
  };
}

/** There is one, and nothing can be said of it: it must not be taken for gone, nor for one that can be moved. */
function unreadable(uuid: string): Instance {
  const nothing = {
    uuid,
    name: uuid,
    vcpus: 0,
    memoryMib: 0,
    memoryMaxMib: 0,
    hugepageKib: 0,
    disks: [],
    devices: [],
    cpuMode: "",
    cpuModel: "",
    cpuFeatures: [],
    cpuDisabled: [],
    machineType: "",
    virtType: "",
    nics: [],
    guestAgent: false,
    metadata: {},
    numaNodes: [],
  };
  const state = { state: "unknown", reason: "its definition cannot be read" } as const;
  return instanceOf(nothing, {}, state, { type: "unknown", operation: "" });
}

/** What is under way with one instance. */
export async function readJob(virsh: Virsh, uuid: string): Promise<JobInfo> {
  const answer = await virsh.run(["domjobinfo", "--rawstats", uuid]);
  if (answer.state === "failed" && answer.text.includes("migration statistics are available only on the source host"))
    return { type: "running", operation: "migrating-in" };
  return parseJob(answer.state === "ok" ? answer.stdout : "");
}

/** It has a process here. */
export function isActive(state: string): boolean {
  return state === "running" || state === "paused" || state === "incoming" || state === "suspended";
}

/** Sizes in MiB by target, of `domblkinfo --all`; drives without a medium are left out. */
export function parseSizes(text: string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^\s*(\S+)\s+(\d{1,18})\s+\S+\s+\S+\s*$/.exec(line);
    if (match?.[1] !== undefined) sizes.set(match[1], Math.ceil(Number(match[2]) / 1024 ** 2));
  }
  return sizes;
}

function remember<T>(next: Map<string, T>, last: ReadonlyMap<string, T>, text: string, make: () => T): T | undefined {
  const value = last.get(text) ?? tried(make);
  if (value !== undefined) next.set(text, value);
  return value;
}
