import { isDeepStrictEqual } from "node:util";
import {
  type AgentCommand,
  type Coordinator,
  GATE_FRESH_MS,
  type HostRun,
  type Recorded,
  type Run,
  reduce,
  replay,
} from "@slipway/controller/internals";
import { keyText, stages, type Verdict } from "@slipway/shared";
import type { Truth } from "./executor.ts";
import { GuestChecker } from "./guest-checker.ts";
import type { SimHost } from "./host.ts";
import { brokenRules } from "./log-rules.ts";
import { QuorumChecker } from "./quorum-checker.ts";
import type { Reported } from "./wire.ts";
import type { World } from "./world.ts";

/** Every how many events the costly comparisons are made. */
const SAMPLE = 64;
/** What a decision may take from its making to its being carried out, in milliseconds: the longest delay of a flush. */
const SLACK_MS = 1_000;

/** Watches a world and complains as soon as an invariant of the design is broken. */
export class Checker {
  readonly #world: World;
  #samples = 0;
  /** Wave of the latest first way out, per run. */
  readonly #wave = new Map<string, number>();
  readonly #wentOut = new Set<string>();
  readonly guests: GuestChecker;
  readonly quorum: QuorumChecker;

  constructor(world: World) {
    this.#world = world;
    this.guests = new GuestChecker(world);
    this.quorum = new QuorumChecker(world);
  }

  #complain(text: string): void {
    this.#world.violate(text);
  }

  /** An event is on the controller's disk. */
  recorded(before: Run | undefined, after: Run, recorded: Recorded): void {
    const { event } = recorded;
    this.guests.recorded(before, after, recorded);
    this.quorum.recorded(before, after, recorded);
    for (const rule of brokenRules(before, after, recorded))
      this.#complain(`run ${after.spec.run}: ${"host" in event ? `${event.host}: ` : ""}${rule}`);
    if (event.type === "run-started" || event.type === "run-reopened") this.#exclusive(after);
    if (event.type === "step-started" && event.step === "cordon") this.#goesOut(after, event.host);
    // An operator's word does not grow old.
    if (event.type === "step-overridden") this.#world.gate.allowedAt.set(event.host, Infinity);
    if (event.type === "step-ended") this.#verdict(after, event.host, event.step, event.attempt, event.result);
    if ((event.type === "step-ended" || event.type === "step-accepted") && ++this.#samples % SAMPLE === 0) {
      const fold = this.#world.variant.reduce ?? reduce;
      const other = event.type === "step-ended" ? { ...event, result: { ...event.result, reason: "again" } } : event;
      const again = fold(after, { ...recorded, t: recorded.t + 5, event: other });
      if (!isDeepStrictEqual(again, after))
        this.#complain(`run ${after.spec.run}: a repeated ${event.type} changes the state`);
    }
  }

  #exclusive(run: Run): void {
    const clusters = new Set(run.spec.hosts.map((h) => h.cluster));
    for (const other of this.#world.disk.runs.values()) {
      if (other.spec.run === run.spec.run || other.state === "ended") continue;
      if (other.spec.hosts.some((h) => clusters.has(h.cluster)))
        this.#complain(`runs ${run.spec.run} and ${other.spec.run} are active in one cluster`);
    }
  }

  /** A run has resolved to take a host out. */
  #goesOut(run: Run, name: string): void {
    const world = this.#world;
    const host = run.hosts.find((h) => h.name === name);
    if (host === undefined) return;
    const { forced, maxOut, maxOutPercent, maxFailures } = run.spec.options;
    const members = world.members(host.cluster);
    const most = maxOutPercent > 0 ? Math.max(1, Math.floor((members.length * maxOutPercent) / 100)) : maxOut;
    for (const h of run.hosts) {
      const checked = h.steps.findLast((s) => s.step === "PreFlight");
      const verdict = checked?.result?.verdict;
      const passed = verdict === "ok" || verdict === "avoid" || verdict === "no-hook";
      const settled = h.outcome !== undefined && (h.outcome !== "failed" || forced);
      // The roll had begun without this host, as `forced` allows, when an operator tried it again.
      if (forced && world.retried.has(`${run.spec.run}/${h.name}`)) continue;
      // Runs that do no maintenance run no hook.
      const { op } = run.spec.options;
      if (op !== "hooks" && op !== "reboot") continue;
      if (!passed && !settled && h.directed === undefined)
        this.#complain(`run ${run.spec.run}: ${name} goes out although ${h.name} has not passed PreFlight`);
    }
    const out = new Set<string>([name]);
    for (const member of members) {
      if (world.disk.operatorCordons.has(member)) out.add(member);
      for (const holder of world.disk.holders(member)) {
        const own = holder === run.spec.run ? run.hosts.find((h) => h.name === member) : undefined;
        if (!((forced || maxFailures > 0) && own?.outcome === "failed")) out.add(member);
      }
    }
    if (out.size > most)
      this.#complain(
        `run ${run.spec.run}: ${[...out].join(", ")} of cluster ${host.cluster} are out, at most ${most} may be`,
      );
    const age = world.now - (world.gate.allowedAt.get(name) ?? -Infinity);
    if (age === Infinity) this.#complain(`run ${run.spec.run}: ${name} goes out and the gate has not agreed`);
    else if (age > GATE_FRESH_MS + SLACK_MS)
      this.#complain(`run ${run.spec.run}: ${name} goes out on an answer of the gate that is ${age} ms old`);
    if (run.schedule) this.#wider(run, name);
    const id = `${run.spec.run}/${name}`;
    const retried =
      host.from > 0 && host.steps.slice(0, host.from).some((s) => s.step === "gate" || s.step === "PreMaintenance");
    if (this.#wentOut.has(id) || retried || world.retried.has(id)) return;
    this.#wentOut.add(id);
    const wave = this.#wave.get(run.spec.run) ?? 0;
    this.#inOrder(run, host, most);
    if (run.schedule === undefined && host.wave < wave)
      this.#complain(`run ${run.spec.run}: ${name} of wave ${host.wave} goes out after wave ${wave}`);
    this.#wave.set(run.spec.run, Math.max(wave, host.wave));
  }

  /** Nobody is overtaken; where the order is free, nobody loses a place by that. */
  #inOrder(run: Run, { name, cluster, wave }: HostRun, most: number): void {
    const { canary, order, approve } = run.spec.options;
    if (name === canary) return;
    const isFree = order === "free" && approve !== "each-wave";
    const turns = run.schedule?.turns.filter((t) => t.cluster === cluster) ?? [];
    const at = turns.findIndex((t) => t.host === name);
    const ahead = turns.filter((t, i) => (isFree ? t.wave < wave : i < at)).map((t) => t.host);
    const waiting = run.hosts.filter((h) => ahead.includes(h.name) && !h.began && h.outcome === undefined);
    const out = run.hosts.filter((h) => h.cluster === cluster && h.cordoned && h.outcome === undefined);
    if (isFree ? waiting.length + out.length <= most : waiting.length === 0) return;
    const names = waiting.map((h) => h.name).join(", ");
    this.#complain(`run ${run.spec.run}: ${name} goes out and the turn of ${names}, which comes first, has not begun`);
  }

  /** Limits that go beyond a cluster; counted by what is cordoned, not by what the engine thinks of it. */
  #wider(run: Run, name: string): void {
    const { domainLimits, maxClusters, forced, maxFailures, op } = run.spec.options;
    const own = run.hosts.filter(
      (h) => h.name === name || (h.cordoned && !(h.outcome === "failed" && (forced || maxFailures > 0))),
    );
    const clusters = new Set(own.map((h) => h.cluster));
    if (op !== "drain" && clusters.size > maxClusters)
      this.#complain(
        `run ${run.spec.run}: hosts of ${[...clusters].join(", ")} are out, of at most ${maxClusters} may be`,
      );
    for (const { label, maxHosts, percent } of domainLimits) {
      const labelOf = (host: string) => this.#world.host(host).script.labels[label];
      const value = labelOf(name);
      if (value === undefined) continue;
      const all = [...this.#world.hosts.keys()].filter((h) => labelOf(h) === value).length;
      const most = maxHosts ?? Math.max(1, Math.floor((all * (percent ?? 100)) / 100));
      const among = own.filter((h) => labelOf(h.name) === value).map((h) => h.name);
      if (among.length > most)
        this.#complain(`run ${run.spec.run}: ${among.join(", ")} of ${label} ${value} are out, at most ${most} may be`);
    }
  }

  /** A verdict in the log must be the true one. */
  #verdict(
    run: Run,
    hostName: string,
    step: string,
    attempt: number,
    result: { verdict: Verdict; output: string; bootIdBefore: string; bootIdAfter: string; requests: unknown },
  ): void {
    const host = this.#world.hosts.get(hostName);
    if (host === undefined) return;
    const id = keyText({ run: run.spec.run, host: hostName, step, attempt });
    if (step === "reboot" && result.verdict === "ok" && (result.bootIdBefore === result.bootIdAfter || host.boots < 2))
      this.#complain(`${id}: a reboot is reported that did not happen`);
    if (!(stages as readonly string[]).includes(step)) return;
    const truth = host.executor.truth.get(id);
    const possible = verdictsOf(step, truth);
    if (!possible.includes(result.verdict))
      this.#complain(`${id}: the log says ${result.verdict}, the truth is ${JSON.stringify(truth ?? "never started")}`);
    const real = host.executor.results.get(id);
    if (
      real !== undefined &&
      (real.output !== result.output || !isDeepStrictEqual({ ...real.requests }, result.requests))
    )
      this.#complain(`${id}: output or requests in the log are not the hook's`);
  }

  hookStarted(host: SimHost, id: string): void {
    const world = this.#world;
    if ((host.executor.starts.get(id) ?? 0) > 1) this.#complain(`${id}: the hook runs a second time`);
    const others = host.executor.running().filter((other) => other !== id);
    if (others.length > 0) this.#complain(`${id}: starts while ${others.join(", ")} runs`);
    const [run = "", name = "", step = "", attempt = ""] = id.split("/");
    const key = { run, host: name, step, attempt: Number(attempt) };
    if (host.journal.get(key)?.state !== "accepted")
      this.#complain(`${id}: starts without being in the agent's journal`);
    const record = world.disk.step(run, name, step, key.attempt);
    if (record === undefined) this.#complain(`${id}: starts and the controller's log does not know of it`);
    else if (record.result !== undefined) this.#complain(`${id}: starts after its verdict`);
    const state = world.disk.runs.get(run)?.hosts.find((h) => h.name === name);
    if (step === "Maintenance" && record?.abandoned === undefined && state?.directed === undefined) {
      if (world.disk.holders(name).length === 0 || (world.guests.has(name) && host.mark() === ""))
        this.#complain(`${id}: starts on a host that is in service`);
      this.guests.goesDown(name, id);
    }
  }

  /** The controller tells an agent whether its host takes instances. */
  marked(host: string, mark: string): void {
    const holders = this.#world.disk.holders(host);
    for (const holder of mark.split(",").filter((h) => h !== "" && h !== "operator"))
      if (!holders.includes(holder)) this.#complain(`${host} is cordoned by ${holder} without an open ledger entry`);
  }

  /** The controller tells an agent to do something. */
  sent(command: AgentCommand): void {
    if (this.#world.disk.record(command.ref) === undefined)
      this.#complain(`${keyText(command.ref)}: ${command.kind} is sent before it is in the log`);
  }

  /** The controller tells an agent that a report is durable. */
  acknowledged(report: Reported): void {
    const record = this.#world.disk.record(report.ref);
    if (record === undefined) return;
    if (report.state === "ended" && record.result === undefined)
      this.#complain(`${keyText(report.ref)}: its end is acknowledged and not in the log`);
    if (report.state === "accepted" && record.result === undefined && record.acceptedT === undefined)
      this.#complain(`${keyText(report.ref)}: its acceptance is acknowledged and not in the log`);
  }

  flushed(coordinator: Coordinator): void {
    if (coordinator.hasWork) return;
    this.#samples++;
    for (const run of coordinator.active()) this.#same(run, this.#samples % SAMPLE === 0);
  }

  controllerDied(coordinator: Coordinator): void {
    if (coordinator.hasWork) return;
    for (const run of coordinator.active()) this.#same(run, true);
  }

  /** What the controller has in mind is what is on its disk. */
  #same(run: Run, whole: boolean): void {
    const durable = this.#world.disk.runs.get(run.spec.run);
    if (durable?.lastSeq !== run.lastSeq || durable.state !== run.state || (whole && !isDeepStrictEqual(durable, run)))
      this.#complain(`run ${run.spec.run}: the state in memory is not that of the log`);
  }

  /** When faults have stopped and the world is quiet. */
  final(): void {
    const world = this.#world;
    for (const [id, run] of world.disk.runs)
      if (!isDeepStrictEqual(replay(world.disk.store.log(id)), run)) this.#complain(`run ${id}: replay differs`);
    for (const host of world.hosts.values()) {
      for (const left of host.undelivered()) this.#complain(`${left}: never acknowledged`);
      for (const id of host.executor.starts.keys()) {
        const [run = "", name = "", step = "", attempt = ""] = id.split("/");
        if (world.disk.step(run, name, step, Number(attempt))?.result === undefined)
          this.#complain(`${id}: the hook ran and the log has no verdict`);
      }
      const [mark, holders] = [host.mark(), world.cordonersOf(host.name)];
      if (host.process !== undefined && mark !== holders)
        this.#complain(`${host.name} keeps the mark of ${mark || "nobody"} and is cordoned by ${holders || "nobody"}`);
    }
    this.guests.final();
    this.quorum.final();
  }
}

function verdictsOf(step: string, truth: Truth | undefined): readonly Verdict[] {
  switch (truth?.kind) {
    case undefined:
      return ["no-hook", "failed"];
    case "running":
      return [];
    case "exit":
      if (truth.code === 0) return ["ok"];
      if (truth.code !== 70) return ["failed"];
      return step === "PreFlight" || step === "PreMaintenance" ? ["avoid"] : ["ok"];
    case "signal":
      return ["failed"];
    case "timed-out":
      return ["timed-out"];
    case "cancelled":
      return ["cancelled"];
    case "sealed":
      return ["cancelled", "failed"];
    case "lost":
      return ["interrupted"];
  }
}
