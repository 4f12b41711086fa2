import { randomBytes } from "node:crypto";
import { nearest, SlipwayError } from "@slipway/shared";
import { operatorWire } from "@slipway/shared/wire";
import type { Recorded } from "../domain/events.ts";
import type { QuorumConfig } from "../domain/quorum.ts";
import type { Run } from "../domain/run.ts";
import type { Reason, RunOptions } from "../domain/words.ts";
import type { Reading } from "../effects/quorum-gate.ts";
import type { Command } from "../engine/commands.ts";
import { describe } from "../engine/describe.ts";
import { reduce, replay } from "../engine/reduce.ts";
import { hostsOf, optionsOf, type Plan, planRun, scopeOf } from "../planner/plan.ts";
import { spareGroups } from "../quorum/index.ts";
import type { ApiPorts } from "./deps.ts";
import { readingNow, type Standing, standingsOf, withinTime } from "./health.ts";
import { findInstance } from "./instances.ts";
import { type PlanView, planView } from "./plan-views.ts";
import { lineView, optionsFrom, type ReportView, type RunView, reportView, runView } from "./views.ts";

/** How long hosts may take to tell which hooks they have now, in milliseconds. */
const HOOKS_MS = 2_000;
/** How long the systems of the pool file may take to tell which hosts could go, in milliseconds. */
const SYSTEMS_MS = 12_000;
const DEFAULT_RUNS = 20;
const MAX_RUNS = 200;

/** Methods about runs. */
export class RunsApi {
  readonly #ports: ApiPorts;
  /** Views of runs that are over, which change only when they are reopened or settled. */
  readonly #listed = new Map<string, RunView>();

  constructor(ports: ApiPorts) {
    this.#ports = ports;
    ports.coordinator.onUpdate(({ run }) => this.#listed.delete(run.spec.run));
  }

  async plan(request: operatorWire.PlanRequest): Promise<{ plan: PlanView }> {
    return { plan: planView(await this.#plan(request.scope, request.options), this.#ports.roster, request.withPool) };
  }

  async start(request: operatorWire.StartRunRequest, who: string): Promise<{ run: string; plan: PlanView }> {
    const { coordinator, store } = this.#ports;
    const requestId = request.requestId || randomBytes(12).toString("hex");
    const earlier = store.runs.runOfRequest(requestId);
    if (earlier !== undefined) return { run: earlier, plan: this.#planOf(earlier) };
    const plan = await this.#plan(request.scope, request.options);
    const { scope, options, hosts, schedule } = plan;
    const run = coordinator.start({
      ...{ run: this.#newId(), scope, options, hosts, startedBy: who, requestId },
      ...(schedule ? { schedule } : {}),
    });
    return { run, plan: planView(plan, this.#ports.roster) };
  }

  list(request: operatorWire.ListRunsRequest): { runs: RunView[] } {
    const { coordinator, store } = this.#ports;
    const active = new Map(coordinator.active().map((r) => [r.spec.run, r]));
    const limit = Math.min(request.limit || DEFAULT_RUNS, MAX_RUNS);
    const runs = store.runs.recent(limit).map(({ id }) => {
      const run = active.get(id);
      if (run) return runView(run, coordinator.waits(id), "list");
      const view = this.#listed.get(id) ?? runView(replay(store.runs.logWithoutOutput(id)), [], "list");
      if (this.#listed.size < MAX_RUNS) this.#listed.set(id, view);
      return view;
    });
    return { runs };
  }

  get(request: operatorWire.GetRunRequest): { run: RunView } {
    return { run: this.#view(this.#required(request.run)) };
  }

  report(request: operatorWire.GetReportRequest): { report: ReportView; log: ReturnType<typeof lineView>[] } {
    const { run, lines } = foldLines(this.#log(request.run));
    return { report: reportView(run), log: lines };
  }

  control(request: operatorWire.ControlRunRequest, who: string): { run: RunView } {
    const command = runCommand(request);
    this.#required(request.run);
    return { run: this.#view(this.#ports.coordinator.command(request.run, command, who)) };
  }

  controlHost(request: operatorWire.ControlHostRequest, who: string): { run: RunView } {
    const command = hostCommand(request);
    this.#required(request.run);
    return { run: this.#view(this.#ports.coordinator.command(request.run, command, who)) };
  }

  async #plan(
    wireScope: operatorWire.Scope | undefined,
    wireOptions: operatorWire.RunOptions | undefined,
  ): Promise<Plan> {
    const { registry, coordinator, sessions, roster, store, clock } = this.#ports;
    const scope = scopeOf(wireScope ?? { hosts: [], clusters: [], pods: [], zones: [] });
    const options = this.#withNames(optionsOf(optionsFrom(wireOptions), scope));
    const fleet = () => registry.known((h) => coordinator.cordonHolders(h));
    // Moves alone take no host out, and a restored one comes back.
    const isGated = options.op !== "move" && options.op !== "restore";
    // A plan goes by what hosts say their hooks are now, and by how many members systems have.
    const [silent, reading] = await Promise.all([
      sessions.refreshHooks(hostsOf(fleet(), scope), HOOKS_MS),
      isGated ? withinTime(SYSTEMS_MS, readingNow(this.#ports)) : undefined,
    ]);
    const stopped = store.runs.ledger(false).filter((row) => row.kind === "instance");
    const plan = planRun(fleet(), scope, options, {
      inventories: (cluster) => roster.inventories(cluster),
      pool: roster.pool(),
      nowT: clock.engineMs(),
      wallMs: clock.wallMs(),
      durations: coordinator.durations,
      comingBack: new Set(stopped.map((row) => row.subject)),
      quorum: this.#quorumFor(reading),
    });
    const stale = silent.map((host) => ({
      rule: "hooks-not-fresh",
      subject: host,
      text: `${host}: did not tell its hooks within ${HOOKS_MS} ms; the plan goes by what it told last`,
      fix: "",
    }));
    const skipped = new Set(plan.skipped.map((s) => s.subject));
    const going = plan.hosts.map((h) => h.name).filter((name) => !skipped.has(name));
    const gate = isGated ? await this.#gateNow(going, reading) : [];
    return { ...plan, warnings: [...plan.warnings, ...stale, ...gate] };
  }

  /** The pool file's groups, and as groups what the systems that could be read can spare. */
  #quorumFor(reading: Reading | "late" | undefined): QuorumConfig {
    const { keeper, quorum } = this.#ports;
    const file = keeper.quorum;
    if (reading === "late" || reading === undefined) return file;
    const probes = new Set(file.probes.map((p) => p.name));
    const probed = reading.systems.filter((s) => probes.has(s.name));
    return { ...file, groups: [...file.groups, ...spareGroups(probed, quorum.out())] };
  }

  /** What the gate would say of these hosts now: for people to see beforehand, each is asked again at its turn. */
  async #gateNow(hosts: readonly string[], reading: Reading | "late" | undefined): Promise<Reason[]> {
    if (reading === undefined) return [];
    const standings =
      reading === "late" ? reading : await withinTime(SYSTEMS_MS, standingsOf(this.#ports, hosts, reading));
    if (standings === "late") {
      const text = `the systems of the pool file did not all answer within ${SYSTEMS_MS / 1000} s; each host is asked about at its turn`;
      return [{ rule: "gate-late", subject: "gate", text, fix: "see slipway check" }];
    }
    const told = (standings ?? []).filter((s) => gateWords[s.verdict] !== undefined && s.reasons.length > 0);
    // One system that cannot be read concerns many hosts and is one piece of news.
    const alike = Map.groupBy(told, ({ verdict, reasons }) => `${verdict} ${reasons[0]?.text}`);
    return [...alike.values()].map((those) => {
      const [{ verdict, reasons }] = those as [Standing, ...Standing[]];
      const [first] = reasons;
      const hosts = those.map((s) => s.host).join(", ");
      const text = `${hosts} ${gateWords[verdict]}: ${first?.text}`;
      return { rule: `gate-${verdict}`, subject: hosts, text, fix: first?.fix ?? "" };
    });
  }

  /** Consents by name, whether they were given by name or uuid. Errors: `not-found`, `bad-input` when a name is not enough. */
  #withNames(options: RunOptions): RunOptions {
    const names = options.consentStop.map((text) => findInstance(this.#ports, text, "consent-stop").instance.name);
    for (const name of names) findInstance(this.#ports, name, "consent-stop");
    return { ...options, consentStop: [...new Set(names)] };
  }

  /** The plan of a run that a repeated request made, as far as the run still tells it. */
  #planOf(id: string): PlanView {
    const { spec } = this.#required(id);
    const { scope, options, hosts, schedule } = spec;
    const plan = {
      ...{ scope, options, hosts, steps: {}, skipped: [], blockers: [], relaxations: [], warnings: [] },
      ...(schedule ? { schedule } : {}),
      evacuation: { hosts: [], makeRoom: [], moves: schedule?.moves.length ?? 0, floor: schedule?.floorMoves ?? 0 },
    };
    return planView(plan, this.#ports.roster);
  }

  #view(run: Run): RunView {
    const { coordinator, progress } = this.#ports;
    const { run: id } = run.spec;
    return runView(run, coordinator.waits(id), "full", (on, step) => progress.percentOf(id, on, step));
  }

  #required(id: string): Run {
    const run = this.#ports.coordinator.run(id);
    if (run === undefined) throw unknownRun(id, this.#ports.store.runs.ids());
    return run;
  }

  #log(id: string): Recorded[] {
    const log = this.#ports.store.runs.log(id);
    if (log.length === 0) throw unknownRun(id, this.#ports.store.runs.ids());
    return log;
  }

  /** Short, readable, in order of time, and free. */
  #newId(): string {
    for (;;) {
      const time = Math.floor(Date.now() / 1000).toString(36);
      const id = `r${time}-${randomBytes(2).readUInt16BE().toString(36).padStart(4, "0")}`;
      if (!this.#ports.store.runs.has(id)) return id;
    }
  }
}

/** In front of the reason; one that is well now is no news, and one that is out was told already. */
const gateWords: Readonly<Record<string, string>> = {
  tight: "could go now, but nothing more after it",
  deny: "could not go now (may be fine by its turn)",
  unknown: "could not go now (may be fine by its turn)",
};

/** A run and the lines of its whole log. */
export function foldLines(log: readonly Recorded[]): { run: Run; lines: ReturnType<typeof lineView>[] } {
  let run: Run | undefined;
  const lines: ReturnType<typeof lineView>[] = [];
  for (const recorded of log) {
    const before: Run | undefined = run;
    run = reduce(before, recorded);
    for (const line of describe(before, run, recorded)) lines.push(lineView(recorded.seq, recorded.at, line));
  }
  if (run === undefined) throw new Error("empty log");
  return { run, lines };
}

export function unknownRun(id: string, known: readonly string[]): SlipwayError {
  const near = nearest(id, known);
  return new SlipwayError("not-found", `run ${JSON.stringify(id)}: there is none of that name`, {
    fix: near ? `did you mean ${near}?` : known.length === 0 ? "no run was ever started" : "see slipway list",
  });
}

export function runCommand({ action, reason }: operatorWire.ControlRunRequest): Command {
  switch (action) {
    case operatorWire.RunAction.PAUSE:
      return { kind: "pause", reason };
    case operatorWire.RunAction.RESUME:
      return { kind: "resume", reason };
    case operatorWire.RunAction.APPROVE:
      return { kind: "approve", reason };
    case operatorWire.RunAction.ABORT:
      return { kind: "abort", now: false, reason };
    case operatorWire.RunAction.ABORT_NOW:
      return { kind: "abort", now: true, reason };
    default:
      throw new SlipwayError("bad-input", `action ${action}: not known`, {
        fix: "choose pause, resume, approve, abort or abort now",
      });
  }
}

export function hostCommand({ action, host, reason }: operatorWire.ControlHostRequest): Command {
  switch (action) {
    case operatorWire.HostAction.RETRY:
      return { kind: "retry", host, reason };
    case operatorWire.HostAction.SKIP:
      return { kind: "skip", host, reason };
    case operatorWire.HostAction.MARK_DONE:
      return { kind: "mark-done", host, reason };
    case operatorWire.HostAction.OVERRIDE:
      return { kind: "override", host, reason };
    default:
      throw new SlipwayError("bad-input", `action ${action}: not known`, {
        fix: "choose retry, skip, mark-done or override",
      });
  }
}
