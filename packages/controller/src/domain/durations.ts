import { durationText } from "@slipway/shared";

/** What takes time in a run and is remembered, per host. */
export const durationKinds = {
  PreFlight: "the PreFlight hook",
  PreMaintenance: "the PreMaintenance hook",
  drain: "all instances move away, or are stopped",
  "services-stop": "services are stopped in order",
  Maintenance: "the Maintenance hook",
  reboot: "from the agent's yes to the next boot's report",
  "services-start": "services are started in order",
  heal: "what has members on the host becomes whole again",
  restore: "what the drain took away comes back",
  PostMaintenance: "the PostMaintenance hook",
  away: "from empty to back in service, in runs whose work is the Maintenance hook",
  "away-reboot": "the same in runs whose work is a reboot",
  migration: "one live migration, of memory only, by its source",
} as const satisfies Record<string, string>;
export type DurationKind = keyof typeof durationKinds;
/** All but migrations, which depend on size. */
export type StepKind = Exclude<DurationKind, "migration">;

/** What is taken where nothing is known yet, in milliseconds: a guess, and called one wherever it is shown. */
export const assumed: Readonly<Record<StepKind, number>> = {
  PreFlight: 30_000,
  PreMaintenance: 30_000,
  drain: 600_000,
  "services-stop": 60_000,
  Maintenance: 300_000,
  reboot: 300_000,
  "services-start": 60_000,
  heal: 120_000,
  restore: 60_000,
  PostMaintenance: 30_000,
  away: 600_000,
  "away-reboot": 420_000,
};
/** The same for a migration: 10 Gbit/s, with a second round for what was written meanwhile. */
export const assumedMigration = { fixedMs: 5_000, perGibMs: 2_000 };
/** The 95th percentile of a guess: so many times the guess. */
const GUESS_FACTOR = 2;

/** One thing that went well, and how long it took by the engine clock. */
export interface DurationSample {
  readonly host: string;
  readonly cluster: string;
  readonly kind: DurationKind;
  readonly ms: number;
  /** Of a migration: memory in MiB, and the target. */
  readonly mib?: number;
  readonly to?: string;
}

/** Newest samples that count, per host and kind, and per kind for a cluster or the whole fleet. */
export const KEPT_PER_HOST = 50;
const KEPT_PER_GROUP = 100;
/** With fewer samples than this a host's own history gives way to its cluster's, and percentiles are widened. */
export const FEW = 5;

/**
 * How long something usually takes. `p95Ms` is the nearest rank, so below 20 samples the longest; with fewer than `FEW` even that says
 * little, and it is widened by its own share of them: twice the longest for one sample, by half for two, a quarter for four.
 */
export interface Usual {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly samples: number;
  /** Whose samples they are. */
  readonly of: "host" | "cluster" | "fleet";
}

/** Expected duration of a migration: `fixedMs + perGibMs * GiB`; its 95th percentile is `p95Factor` times that. */
export interface MigrationSpeed {
  readonly fixedMs: number;
  readonly perGibMs: number;
  readonly p95Factor: number;
  readonly samples: number;
  /** Whose: between these two hosts, from this host, in its cluster, anywhere. */
  readonly of: "pair" | "host" | "cluster" | "fleet";
}

/**
 * What is known of durations. Of host, cluster and fleet the first counts that has `FEW` samples; if none has, the narrowest with as many
 * as there are. `cluster` is for hosts with no samples yet. Undefined: nothing is known.
 */
export interface Durations {
  usual(host: string, kind: StepKind, cluster?: string): Usual | undefined;
  migration(from: string, to?: string, cluster?: string): MigrationSpeed | undefined;
}

/** The samples in memory, in the order in which they came. */
export class DurationBook implements Durations {
  readonly #series: Record<Usual["of"], Map<DurationKind, Map<string, Series>>> = {
    host: new Map(),
    cluster: new Map(),
    fleet: new Map(),
  };
  readonly #clusterOf = new Map<string, string>();

  constructor(samples: Iterable<DurationSample> = []) {
    for (const sample of samples) this.add(sample);
  }

  add(sample: DurationSample): void {
    const { host, cluster, kind } = sample;
    this.#clusterOf.set(host, cluster);
    this.#forMore("host", host, kind).add(sample);
    this.#forMore("cluster", cluster, kind).add(sample);
    this.#forMore("fleet", "", kind).add(sample);
  }

  usual(host: string, kind: StepKind, cluster?: string): Usual | undefined {
    const [of, series] = firstWithEnough(this.#levels(host, kind, cluster)) ?? [];
    return of && series && { ...series.usual, of };
  }

  migration(from: string, to?: string, cluster?: string): MigrationSpeed | undefined {
    const levels: (readonly [MigrationSpeed["of"], Series])[] = this.#levels(from, "migration", cluster);
    if (to !== undefined) levels.unshift(["pair", this.#pair(from, to)]);
    const [of, series] = firstWithEnough(levels) ?? [];
    return of && series && { ...series.speed, of };
  }

  #levels(host: string, kind: DurationKind, cluster: string | undefined): (readonly [Usual["of"], Series])[] {
    const own = cluster ?? this.#clusterOf.get(host);
    return [
      ["host", this.#of("host", host, kind)],
      ...(own === undefined ? [] : [["cluster", this.#of("cluster", own, kind)] as const]),
      ["fleet", this.#of("fleet", "", kind)],
    ];
  }

  /** Both ways: it is the same wire. */
  #pair(from: string, to: string): Series {
    const pair = new Series(KEPT_PER_HOST);
    for (const s of this.#of("host", from, "migration").samples) if (s.to === to) pair.add(s);
    for (const s of this.#of("host", to, "migration").samples) if (s.to === from) pair.add(s);
    return pair;
  }

  #of(level: Usual["of"], name: string, kind: DurationKind): Series {
    return this.#series[level].get(kind)?.get(name) ?? nothing;
  }

  #forMore(level: Usual["of"], name: string, kind: DurationKind): Series {
    const known = this.#of(level, name, kind);
    if (known !== nothing) return known;
    const fresh = new Series(level === "host" ? KEPT_PER_HOST : KEPT_PER_GROUP);
    const ofKind = this.#series[level].get(kind) ?? new Map<string, Series>();
    this.#series[level].set(kind, ofKind.set(name, fresh));
    return fresh;
  }
}

function firstWithEnough<Of>(levels: readonly (readonly [Of, Series])[]): readonly [Of, Series] | undefined {
  const most = Math.max(...levels.map(([, { samples }]) => samples.length));
  return most === 0 ? undefined : levels.find(([, { samples }]) => samples.length >= Math.min(FEW, most));
}

/** The newest samples of one kind, and what they come to. */
class Series {
  readonly samples: DurationSample[] = [];
  readonly #keep: number;
  #usual: Omit<Usual, "of"> | undefined;
  #speed: Omit<MigrationSpeed, "of"> | undefined;

  constructor(keep: number) {
    this.#keep = keep;
  }

  add(sample: DurationSample): void {
    this.samples.push(sample);
    if (this.samples.length > this.#keep) this.samples.shift();
    this.#usual = undefined;
    this.#speed = undefined;
  }

  get usual(): Omit<Usual, "of"> {
    this.#usual ??= usualOf(this.samples.map((s) => s.ms));
    return this.#usual;
  }

  get speed(): Omit<MigrationSpeed, "of"> {
    this.#speed ??= speedOf(this.samples.map(({ ms, mib = 0 }) => ({ ms, gib: Math.max(mib, 1) / 1024 })));
    return this.#speed;
  }
}

/** Of what there are no samples of. */
const nothing = new Series(0);

function usualOf(durations: readonly number[]): Omit<Usual, "of"> {
  const n = durations.length;
  const p95Ms = Math.round(rank(durations, 0.95) * widening(n));
  return { p50Ms: rank(durations, 0.5), p95Ms, samples: n };
}

/** By how much the longest of a few samples has to be stretched to stand for the 95th percentile. */
function widening(n: number): number {
  return n < FEW ? 1 + 1 / n : 1;
}

/** Nearest rank. */
function rank(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** A line through the samples that a few odd ones do not bend: the median of all slopes (Theil and Sen), none of its parts below zero. */
function speedOf(samples: readonly { ms: number; gib: number }[]): Omit<MigrationSpeed, "of"> {
  const slopes = samples.flatMap((a, i) =>
    samples.slice(i + 1).flatMap((b) => (a.gib === b.gib ? [] : [(b.ms - a.ms) / (b.gib - a.gib)])),
  );
  const typical = rank(
    samples.map((s) => s.ms),
    0.5,
  );
  let fixedMs = Math.min(assumedMigration.fixedMs, typical / 2);
  let perGibMs = rank(
    samples.map((s) => (s.ms - fixedMs) / s.gib),
    0.5,
  );
  if (slopes.length > 0) {
    perGibMs = Math.max(0, rank(slopes, 0.5));
    fixedMs = rank(
      samples.map((s) => s.ms - perGibMs * s.gib),
      0.5,
    );
  }
  if (fixedMs < 0) {
    fixedMs = 0;
    perGibMs = rank(
      samples.map((s) => s.ms / s.gib),
      0.5,
    );
  }
  // Nothing can be a multiple of no time at all.
  fixedMs = Math.max(1, fixedMs);
  const excess = samples.map((s) => s.ms / (fixedMs + perGibMs * s.gib));
  const p95Factor = Math.max(1, rank(excess, 0.95)) * widening(samples.length);
  return { fixedMs, perGibMs, p95Factor, samples: samples.length };
}

/** An expected duration and its 95th percentile, with what they rest on, for people. */
export interface Estimate {
  readonly expectedMs: number;
  readonly p95Ms: number;
  /** "usual of 14 on this host", "no history; assumed 10m 00s". */
  readonly basis: string;
}

export function estimateOf(
  durations: Durations | undefined,
  host: string,
  kind: StepKind,
  cluster?: string,
): Estimate & { readonly isAssumed: boolean } {
  const usual = durations?.usual(host, kind, cluster);
  if (usual)
    return { expectedMs: usual.p50Ms, p95Ms: usual.p95Ms, basis: `usual of ${samplesText(usual)}`, isAssumed: false };
  const expectedMs = assumed[kind];
  const basis = `no history; assumed ${durationText(expectedMs)}`;
  return { expectedMs, p95Ms: expectedMs * GUESS_FACTOR, basis, isAssumed: true };
}

/** Speed of migrations where nothing is known: a guess. */
export const guessedSpeed = { ...assumedMigration, p95Factor: GUESS_FACTOR };

/** Expected duration of one migration, in milliseconds. */
export function migrationMs(speed: Pick<MigrationSpeed, "fixedMs" | "perGibMs">, memoryMib: number): number {
  return Math.round(speed.fixedMs + (speed.perGibMs * memoryMib) / 1024);
}

/** "usual is 4m 00s, 95 of 100 end within 6m 00s (of 14 on this host)". */
export function usualText(usual: Usual): string {
  const { p50Ms, p95Ms } = usual;
  return `usual is ${durationText(p50Ms)}, 95 of 100 end within ${durationText(p95Ms)} (of ${samplesText(usual)})`;
}

const whose = {
  pair: "between these hosts",
  host: "on this host",
  cluster: "in its cluster",
  fleet: "in the fleet",
} as const;

/** "14 on this host"; of a few: "3 in its cluster, few". */
export function samplesText({ samples, of }: Pick<MigrationSpeed, "samples" | "of">): string {
  return `${samples} ${whose[of]}${samples < FEW ? ", few" : ""}`;
}
