import { naturalCompare, nearest, SlipwayError } from "@slipway/shared";
import type { Clock } from "../coordinator/ports.ts";
import { clusterOf, type KnownHost } from "../planner/plan.ts";
import type { HostFacts, HostRecord, Inventory, OperatorCordon } from "../store/hosts.ts";

/** What the registry keeps for good, and where. */
export interface HostMemory {
  all(): HostRecord[];
  save(records: Iterable<HostRecord>): void;
  setCordon(name: string, cordon: OperatorCordon | undefined): void;
}

/** A host of the fleet as it is known now. */
export interface FleetEntry {
  readonly name: string;
  readonly facts: HostFacts;
  readonly connected: boolean;
  /** Since when it is connected, or disconnected: on the engine clock, and on the wall clock for people. */
  readonly sinceT: number;
  readonly sinceMs: number;
  /** Last sign of life, wall clock; 0 when there was none. */
  readonly lastSeenMs: number;
  readonly cordon?: OperatorCordon;
}

type Entry = { -readonly [K in keyof FleetEntry]: FleetEntry[K] };

/** How old the durable "last seen" of a connected host may get, in milliseconds. */
const SEEN_SAVE_MS = 30_000;

/**
 * Who is in the fleet. Facts outlive a restart; connections do not: every host is disconnected since the restart until its
 * agent dials in again.
 */
export class Registry {
  readonly #memory: HostMemory;
  readonly #clock: Clock;
  readonly #hosts = new Map<string, Entry>();
  /** Names in the order in which people count: of all hosts, and per cluster. */
  readonly #names: string[] = [];
  readonly #clusters = new Map<string, string[]>();
  readonly #unsaved = new Set<string>();
  #savedSeenAt = 0;

  constructor(memory: HostMemory, clock: Clock) {
    this.#memory = memory;
    this.#clock = clock;
    const since = { connected: false, sinceT: clock.engineMs(), sinceMs: clock.wallMs() };
    for (const record of memory.all()) this.#put({ ...record, ...since });
  }

  host(name: string) {
    const entry = this.#hosts.get(name);
    if (!entry) return undefined;
    return {
      connected: entry.connected,
      sinceT: entry.sinceT,
      lastSeen: lastSeenText(entry.lastSeenMs),
      cordonedByOperator: entry.cordon !== undefined,
      labels: entry.facts.labels,
    };
  }

  cluster(name: string): string | undefined {
    const entry = this.#hosts.get(name);
    return entry && clusterOf(entry.facts.labels);
  }

  members(cluster: string): readonly string[] {
    return this.#clusters.get(cluster) ?? [];
  }

  entry(name: string): FleetEntry | undefined {
    return this.#hosts.get(name);
  }

  /** The entry of a host. Errors: `not-found` with the nearest name. */
  required(name: string): FleetEntry {
    const entry = this.#hosts.get(name);
    if (entry) return entry;
    const near = nearest(name, this.#hosts.keys());
    throw new SlipwayError("not-found", `host ${JSON.stringify(name)}: there is none of that name`, {
      fix: near
        ? `did you mean ${near}?`
        : this.#hosts.size === 0
          ? "no host has ever connected"
          : "see slipway host list",
    });
  }

  /** All hosts, in the order in which people count. */
  entries(): FleetEntry[] {
    return this.#names.map((name) => this.#hosts.get(name)).filter((e) => e !== undefined);
  }

  /** Names of all hosts, in the same order. */
  names(): readonly string[] {
    return this.#names;
  }

  /** The fleet as the planner wants it. */
  known(cordonHolders: (host: string) => readonly string[]): KnownHost[] {
    return this.entries().map(({ name, facts, connected, lastSeenMs }) => ({
      name,
      labels: facts.labels,
      connected,
      lastSeen: lastSeenText(lastSeenMs),
      hooksDir: facts.hooks.dir,
      hooksProblem: facts.hooks.problem,
      hooks: facts.hooks.hooks,
      cordonedBy: cordonHolders(name),
    }));
  }

  connected(name: string, facts: HostFacts): void {
    const before = this.#hosts.get(name);
    const nowMs = this.#clock.wallMs();
    const since = before?.connected
      ? { sinceT: before.sinceT, sinceMs: before.sinceMs }
      : { sinceT: this.#clock.engineMs(), sinceMs: nowMs };
    const cordon = before?.cordon ? { cordon: before.cordon } : {};
    this.#put({ name, facts, connected: true, ...since, lastSeenMs: nowMs, ...cordon });
    this.#unsaved.add(name);
  }

  disconnected(name: string): void {
    const entry = this.#hosts.get(name);
    if (!entry?.connected) return;
    this.#put({ ...entry, connected: false, sinceT: this.#clock.engineMs(), sinceMs: this.#clock.wallMs() });
    this.#unsaved.add(name);
  }

  /** A sign of life. */
  seen(name: string): void {
    const entry = this.#hosts.get(name);
    if (entry) entry.lastSeenMs = this.#clock.wallMs();
  }

  hooks(name: string, hooks: Inventory): void {
    const entry = this.#hosts.get(name);
    if (!entry) return;
    entry.facts = { ...entry.facts, hooks };
    this.#unsaved.add(name);
  }

  /** Durable when it returns. Errors: `out-of-space`. */
  setCordon(name: string, cordon: OperatorCordon | undefined): void {
    const { cordon: _, ...entry } = this.required(name);
    // It may have connected a moment ago: there must be a row to write to.
    this.#memory.save([entry]);
    this.#memory.setCordon(name, cordon);
    this.#put(cordon ? { ...entry, cordon } : entry);
  }

  /** Drops a host that its memory has forgotten already. */
  forget(name: string): void {
    const entry = this.#hosts.get(name);
    if (!entry) return;
    this.#hosts.delete(name);
    this.#unsaved.delete(name);
    this.#names.splice(this.#names.indexOf(name), 1);
    const members = this.#clusters.get(clusterOf(entry.facts.labels));
    members?.splice(members.indexOf(name), 1);
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.size > 0;
  }

  /** Makes what changed durable. Throws `out-of-space`; it is kept for the next time then. */
  save(): void {
    const records = [...this.#unsaved].map((name) => this.#hosts.get(name)).filter((e) => e !== undefined);
    if (records.length > 0) this.#memory.save(records);
    this.#unsaved.clear();
  }

  /** Now and then: the signs of life since the last time become durable too. */
  saveSeen(nowMs: number, everyMs = SEEN_SAVE_MS): void {
    if (nowMs - this.#savedSeenAt < everyMs) return;
    this.#savedSeenAt = nowMs;
    for (const entry of this.#hosts.values()) if (entry.connected) this.#unsaved.add(entry.name);
  }

  /** Takes an entry in, new or changed, and keeps the orders. */
  #put(entry: Entry): void {
    const before = this.#hosts.get(entry.name);
    this.#hosts.set(entry.name, entry);
    if (!before) insert(this.#names, entry.name);
    const cluster = clusterOf(entry.facts.labels);
    const earlier = before && clusterOf(before.facts.labels);
    if (cluster === earlier) return;
    const left = earlier === undefined ? undefined : this.#clusters.get(earlier);
    if (left) left.splice(left.indexOf(entry.name), 1);
    const members = this.#clusters.get(cluster) ?? [];
    insert(members, entry.name);
    this.#clusters.set(cluster, members);
  }
}

/** Inserts into a sorted list: thousands of agents come at once after a restart, and none may cost a sort. */
function insert(sorted: string[], name: string): void {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (naturalCompare(sorted[middle] ?? "", name) < 0) low = middle + 1;
    else high = middle;
  }
  sorted.splice(low, 0, name);
}

/** "last seen 2026-01-02T03:04:05Z" or "never seen". */
export function lastSeenText(ms: number): string {
  return ms <= 0 ? "never seen" : `last seen ${new Date(ms).toISOString().replace(/\.\d+Z$/, "Z")}`;
}
