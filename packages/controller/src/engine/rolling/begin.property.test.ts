import { expect, test } from "vitest";
import type { RunEvent } from "../../domain/events.ts";
import type { FleetView } from "../../domain/fleet.ts";
import { defaultPool } from "../../domain/pool.ts";
import { hostOf, type Run } from "../../domain/run.ts";
import type { Schedule, ScheduledTurn } from "../../domain/schedule.ts";
import { parseWindows } from "../../domain/window.ts";
import type { StepName } from "../../domain/words.ts";
import { chance } from "../../testing/chance.ts";
import { drawRolling, drawTurns } from "../../testing/rolling.ts";
import { commandEvents } from "../commands.ts";
import { courseOf } from "../course.ts";
import { reduce } from "../reduce.ts";
import { controllerResult, endOf } from "../result.ts";
import { pendingApproval } from "./approval.ts";
import { mayBegin } from "./begin.ts";

const MINUTE = 60_000;
const WALL = Date.parse("2026-01-01T00:00:00Z");
/** Rules that end with an operator's word or with time. */
const PASSING = new Set(["approval", "bake", "window"]);

type Random = ReturnType<typeof chance>;
type Phase = "to-come" | "begun" | "out" | "back" | "over";

/** What the world knows of a host, kept apart from the run that the engine is asked about. */
interface Known {
  readonly name: string;
  readonly cluster: string;
  readonly rack: string;
  readonly turn: ScheduledTurn;
  phase: Phase;
  retried: boolean;
  cordonedElsewhere: boolean;
  endedT: number;
  updated: boolean;
}

function isAhead(a: Known, b: Known): boolean {
  return a.turn.wave < b.turn.wave && !a.retried && !b.retried;
}

/** One random life of a run, of which only the beginnings of turns are the engine's. Tells how often which rule kept a host back. */
class Life {
  readonly #r: Random;
  readonly #hosts: readonly Known[];
  readonly #schedule: Schedule;
  readonly #approvals: {
    readonly wave: number;
    readonly consents: readonly string[];
    readonly over: ReadonlySet<string>;
  }[] = [];
  readonly seen = new Map<string, number>();
  readonly #isFree: boolean;
  #run: Run;
  #t = 0;
  #seq = 1;

  constructor(seed: number) {
    const r = chance(seed);
    this.#r = r;
    const drawn = drawTurns(r);
    const options = drawRolling(r, drawn);
    this.#isFree = options.order === "free" && options.approve !== "each-wave";
    // Where the order is free, turns stand as they are expected to begin, and not by wave.
    const turns = this.#isFree ? [...drawn].sort((a, b) => a.p95Ms - b.p95Ms) : drawn;
    this.#hosts = turns.map((turn) => ({
      ...{ name: turn.host, cluster: turn.cluster, rack: `r${r.int(1, 3)}`, turn, phase: "to-come" },
      ...{ retried: false, cordonedElsewhere: false, endedT: 0, updated: false },
    }));
    this.#schedule = {
      ...{ turns, moves: [], floorMoves: 0, floorMs: 0, expectedMs: 0, p95Ms: 0 },
      maxOut: { c1: r.int(1, 3), c2: r.int(1, 3), c3: r.int(1, 3) },
      domains: r.one(50) ? ["r1", "r2"].map((value) => ({ label: "rack", value, maxHosts: r.int(1, 2) })) : [],
      maxClusters: r.int(1, 3),
      consentsNeeded: turns.flatMap((t) => t.consentsNeeded ?? []),
    };
    const spec = {
      ...({ run: "r1", scope: { kind: "zones", names: ["z1"] }, startedBy: "alice", requestId: "q1" } as const),
      options,
      hosts: turns.map(({ host, cluster, wave }) => ({ name: host, cluster, wave })),
      schedule: this.#schedule,
    };
    this.#run = reduce(undefined, { seq: 1, t: 0, at: WALL, event: { type: "run-started", spec } });
    for (const { name } of this.#hosts) this.#log({ type: "host-checked", host: name });
    this.#log({ type: "run-state", to: "rolling", reason: "" });
  }

  live(): void {
    for (let i = 0; i < 2_000 && this.#hosts.some((h) => h.phase !== "over"); i++) {
      for (const event of courseOf(this.#run)) this.#log(event);
      if (!this.#run.paused) this.#begin();
      this.#something();
      if (this.#run.paused && this.#r.one(20)) this.#operator("resume");
    }
    expect(this.#hosts.filter((h) => h.phase !== "over").map((h) => h.name)).toEqual([]);
  }

  /** The engine's part: all that may, or the first one, begin; and if nothing is going on, something must be able to. */
  #begin(): void {
    let begun = 0;
    const waits: string[] = [];
    for (const host of this.#hosts) {
      if (host.phase !== "to-come" || (begun > 0 && this.#r.one(50))) continue;
      const waiting = mayBegin(this.#run, this.#own(host.name), this.#fleet(), this.#t);
      if (waiting) {
        waits.push(waiting.reason.rule);
        this.seen.set(waiting.reason.rule, (this.seen.get(waiting.reason.rule) ?? 0) + 1);
        if (PASSING.has(waiting.reason.rule)) expect(waiting.reason.fix).not.toBe("");
        continue;
      }
      this.#check(host);
      this.#step(host.name, "inspect");
      host.phase = "begun";
      begun++;
    }
    const isIdle = this.#hosts.every((h) => !this.#isGoing(h) && !h.cordonedElsewhere);
    if (begun > 0 || !isIdle || waits.length === 0) return;
    expect(
      waits.filter((rule) => PASSING.has(rule)),
      `nothing is out, and: ${waits.join(", ")}`,
    ).not.toEqual([]);
  }

  /** What must hold of a host that begins, worked out from what the world knows. */
  #check(host: Known): void {
    const { maxOut, domains, maxClusters } = this.#schedule;
    const { options } = this.#run.spec;
    const taken = this.#hosts.filter((h) => h !== host && (this.#isGoing(h) || h.cordonedElsewhere));
    const ahead = this.#hosts.filter((h) => h.cluster === host.cluster && h.phase === "to-come" && isAhead(h, host));
    if (ahead.length > 0 && host.name !== options.canary) {
      this.#count("overtakes");
      expect(this.#isFree).toBe(true);
      // It never takes the place of those whom it overtakes.
      const places = ahead.length + taken.filter((h) => h.cluster === host.cluster).length + 1;
      expect(places, "with those ahead").toBeLessThanOrEqual(maxOut[host.cluster] ?? 0);
    }
    const near = taken.filter((h) => h.cluster === host.cluster).length + 1;
    expect(near, `out in ${host.cluster}`).toBeLessThanOrEqual(maxOut[host.cluster] ?? 0);
    for (const { value, maxHosts } of domains)
      if (host.rack === value)
        expect(taken.filter((h) => h.rack === value).length + 1, `out of ${value}`).toBeLessThanOrEqual(maxHosts);
    const going = this.#hosts.filter((h) => this.#isGoing(h));
    const clusters = new Set([...going.map((h) => h.cluster), host.cluster]).size;
    if (going.every((h) => h.cluster !== host.cluster) && going.length > 0) this.#count("side by side");
    if (going.some((h) => h.cluster === host.cluster)) this.#count("together");
    expect(clusters, "clusters").toBeLessThanOrEqual(maxClusters);
    for (const name of host.turn.after)
      expect(["back", "over"], `${name} before ${host.name}`).toContain(this.#known(name).phase);
    const isCanary = host.name === options.canary;
    const before = this.#hosts.slice(0, this.#hosts.indexOf(host)).filter((h) => h.cluster === host.cluster);
    if (!isCanary && !this.#isFree)
      expect(before.filter((h) => h.phase === "to-come" && !h.retried).map((h) => h.name)).toEqual([]);
    if (options.canary !== "" && !isCanary) {
      const canary = this.#known(options.canary);
      expect(canary.phase, "the canary").toBe("over");
      if (canary.updated) expect(this.#t - canary.endedT, "bake").toBeGreaterThanOrEqual(options.bakeMs);
      if (options.approve === "after-canary")
        expect(
          this.#approvals.some((a) => a.over.has(canary.name)),
          "approved after the canary",
        ).toBe(true);
    }
    if (options.approve === "each-wave" && host.turn.wave > 1) {
      const earlier = this.#hosts.filter((h) => h.turn.wave < host.turn.wave);
      const isGiven = this.#approvals.some((a) => a.wave >= host.turn.wave && earlier.every((h) => a.over.has(h.name)));
      expect(isGiven, `approved for wave ${host.turn.wave}`).toBe(true);
    }
    const consents = [...(this.#run.spec.options.consentStop ?? []), ...this.#approvals.flatMap((a) => a.consents)];
    for (const vm of host.turn.consentsNeeded ?? []) expect(consents).toContain(vm);
    if (options.window !== "") {
      const state = parseWindows(options.window).at(WALL + this.#t);
      expect(state.isOpen, "window").toBe(true);
      expect(WALL + this.#t + host.turn.p95Ms, "fits").toBeLessThanOrEqual(state.closesMs ?? Infinity);
    }
    this.#count("begun");
  }

  /** The world's part: time, hosts in hand, operators. */
  #something(): void {
    const r = this.#r;
    this.#t += r.one(30) ? r.int(1, 60) * MINUTE : r.int(1, 60) * 1_000;
    const going = this.#hosts.filter((h) => this.#isGoing(h));
    const host = going[r.int(0, Math.max(0, going.length - 1))];
    if (host) this.#advance(host);
    const other = this.#hosts[r.int(0, this.#hosts.length - 1)];
    if (other && r.one(other.cordonedElsewhere ? 50 : 3)) other.cordonedElsewhere = !other.cordonedElsewhere;
    if (r.one(30) && pendingApproval(this.#run)) this.#operator("approve");
    if (r.one(5)) this.#replan();
    const failed = this.#run.hosts.find((h) => h.outcome === "failed");
    if (failed && r.one(5)) {
      const known = this.#known(failed.name);
      known.phase = failed.cordoned ? "out" : "to-come";
      known.retried = true;
      this.#log({ type: "host-command", host: failed.name, action: "retry", who: "alice", reason: "" });
    }
  }

  /** The rest as it was: a schedule that knows nothing of hosts whose turns have begun. */
  #replan(): void {
    const turns = this.#schedule.turns.filter((t) => this.#known(t.host).phase === "to-come");
    const difference = { movesAdded: [], movesDropped: [], hostsShifted: [], consentsAdded: [], consentsDropped: [] };
    if (turns.length > 0)
      this.#log({ type: "run-replanned", schedule: { ...this.#schedule, turns }, difference, reason: "so" });
  }

  #advance(host: Known): void {
    const { name } = host;
    const ends = (outcome: "updated" | "failed" | "skipped"): void => {
      Object.assign(host, { phase: "over", endedT: this.#t, updated: outcome === "updated" });
      this.#log({ type: "host-ended", host: name, outcome, code: "", reason: "so" });
    };
    const chosen = this.#r.int(1, 10);
    if (chosen === 1) ends("failed");
    else if (chosen === 2 && host.phase === "begun") ends("skipped");
    else if (host.phase === "begun") {
      host.phase = "out";
      const id = `r1:${name}:${this.#seq}`;
      this.#log({ type: "ledger-opened", id, host: name, change: "cordon", undo: "uncordon" });
      this.#step(name, "cordon");
    } else if (host.phase === "out") {
      host.phase = "back";
      this.#step(name, "uncordon");
      for (const { id, host: of, closedAt } of this.#run.ledger)
        if (of === name && closedAt === undefined) this.#log({ type: "ledger-closed", id, host: name, note: "" });
    } else ends("updated");
  }

  #isGoing({ phase }: Known): boolean {
    return phase === "begun" || phase === "out" || phase === "back";
  }

  #operator(kind: "approve" | "resume"): void {
    const events = commandEvents(this.#run, { kind, reason: "" }, "alice");
    const over = new Set(this.#hosts.filter((h) => h.phase === "over").map((h) => h.name));
    for (const event of events) {
      if (event.type === "run-approved") this.#approvals.push({ ...event, over });
      this.#log(event);
    }
  }

  #step(host: string, step: StepName): void {
    const attempt = this.#own(host).steps.filter((s) => s.step === step).length + 1;
    this.#log({ type: "step-started", host, step, attempt });
    this.#log(endOf({ host, step, attempt }, controllerResult("ok", "", WALL, 0)));
  }

  #log(event: RunEvent): void {
    this.#seq++;
    this.#run = reduce(this.#run, { seq: this.#seq, t: this.#t, at: WALL + this.#t, event });
  }

  #fleet(): FleetView {
    const fact = ({ name, rack, cluster, phase, cordonedElsewhere }: Known) => ({
      ...{ name, connected: true, sinceT: 0, lastSeen: "", labels: { rack, cluster } },
      cordonedBy: [...(cordonedElsewhere ? ["operator"] : []), ...(phase === "out" ? ["r1"] : [])],
    });
    return {
      wallT: WALL + this.#t,
      host: (name) => fact(this.#known(name)),
      cordonedIn: (cluster) =>
        this.#hosts
          .filter((h) => h.cluster === cluster)
          .map(fact)
          .filter((f) => f.cordonedBy.length > 0),
      inventoriesOf: () => [],
      pool: defaultPool,
      ledgerOf: () => [],
    };
  }

  #known(name: string): Known {
    const found = this.#hosts.find((h) => h.name === name);
    if (!found) throw new Error(`no host ${name}`);
    return found;
  }

  #own(name: string) {
    const found = hostOf(this.#run, name);
    if (!found) throw new Error(`no host ${name}`);
    return found;
  }

  #count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }
}

test("a turn begins within every limit and never too early, and something always can", () => {
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= 200; seed++) {
    const life = new Life(seed);
    try {
      life.live();
    } catch (thrown) {
      throw new Error(`seed ${seed}: ${(thrown as Error).message}`);
    }
    for (const [what, n] of life.seen) seen.set(what, (seen.get(what) ?? 0) + n);
  }
  const needed = ["begun", "together", "side by side", "not-its-turn", "after", "canary", "bake", "wave", "approval"];
  for (const what of [...needed, "max-out", "max-clusters", "window", "overtakes"])
    expect(seen.get(what) ?? 0, what).toBeGreaterThan(30);
});
