import { SlipwayError } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { hostOf, type Run, stepInHand } from "../domain/run.ts";
import type { Reason } from "../domain/words.ts";
import { hostState } from "../engine/describe.ts";
import { lastSeenText } from "../fleet/registry.ts";
import { pictureProblem } from "../placement/index.ts";
import type { LedgerRow } from "../store/runs.ts";
import { actionsInHand, countsOf, type InstanceActionView } from "./action-views.ts";
import type { ApiPorts } from "./deps.ts";
import { durationsView } from "./duration-views.ts";
import { standingsOf, withinTime } from "./health.ts";
import { platformView } from "./inventory-views.ts";
import { hostsOfScopeOrAll } from "./scope.ts";
import { type FleetHost, fleetView, ledgerView, type ReasonView, reasonView } from "./views.ts";

const DEFAULT_PING_MS = 5_000;
const MAX_PING_MS = 60_000;
/** How long hosts may take to tell which hooks they have now, in milliseconds. */
const HOOKS_MS = 2_000;

/** How long the systems of the pool file may take to tell whether the host could go, in milliseconds; callers wait 10 s. */
const SYSTEMS_MS = 7_000;

/** Methods about hosts and what still stands on them. */
export class HostsApi {
  readonly #ports: ApiPorts;

  constructor(ports: ApiPorts) {
    this.#ports = ports;
  }

  async list(request: operatorWire.ListHostsRequest): Promise<{ hosts: FleetHost[] }> {
    const { registry, sessions } = this.#ports;
    const names = hostsOfScopeOrAll(this.#ports, request.scope);
    if (request.refresh) await sessions.refreshHooks(names, HOOKS_MS);
    // A host may have been removed meanwhile.
    return { hosts: names.filter((name) => registry.entry(name)).map((name) => this.#view(name)) };
  }

  get(request: operatorWire.GetHostRequest): { host: FleetHost } {
    const { coordinator, registry } = this.#ports;
    const entry = registry.required(request.host);
    return { host: { ...this.#view(entry.name), ...durationsView(coordinator.durations, entry) } as FleetHost };
  }

  async ping(request: operatorWire.PingHostsRequest) {
    const timeoutMs = Math.min(Number(request.timeoutMs) || DEFAULT_PING_MS, MAX_PING_MS);
    const hosts = hostsOfScopeOrAll(this.#ports, request.scope);
    return { hosts: await this.#ports.pings.ping(hosts, timeoutMs) };
  }

  setCordon(request: operatorWire.SetCordonRequest, who: string): { host: FleetHost } {
    const { registry, coordinator, cordons } = this.#ports;
    const { name } = registry.required(request.host);
    if (request.cordoned) {
      registry.setCordon(name, { who, reason: request.reason, atMs: Date.now() });
    } else {
      const run = this.#runOf(name);
      if (run && hostOf(run, name)?.began)
        throw new SlipwayError("refused", `${name} is in the hands of run ${run.spec.run}`, {
          fix: `wait for it, or abort it first: slipway run abort ${run.spec.run}`,
        });
      coordinator.settle(name, `uncordoned by ${who}${request.reason ? `: ${request.reason}` : ""}`);
      registry.setCordon(name, undefined);
    }
    coordinator.worldChanged();
    // An agent that is away now is told when it is back.
    cordons.look(name);
    return { host: this.#view(name) };
  }

  ledger(request: operatorWire.ListLedgerRequest) {
    return { entries: this.#ports.store.runs.ledger(request.all).map((row) => ledgerView(row, this.#note(row))) };
  }

  /** Everything that explains the state of a host, most pressing first. */
  async why(request: operatorWire.WhyHostRequest): Promise<{ host: string; reasons: ReasonView[] }> {
    const reasons = this.#reasons(request.host);
    const { name } = this.#ports.registry.required(request.host);
    const gate = await withinTime(SYSTEMS_MS, standingsOf(this.#ports, [name]));
    const add = (rule: string, text: string, fix = "") => reasons.push({ rule, subject: name, text, fix });
    if (gate === "late")
      add(
        "gate-late",
        `the systems of the pool file did not all answer within ${SYSTEMS_MS} ms`,
        `slipway check --host ${name}`,
      );
    const standing = gate === "late" ? undefined : gate?.[0];
    if (standing?.verdict === "ok" && standing.isTouched)
      add("gate-ok", `${name} could go down now: every system would hold`);
    const words = standing && gateWords[standing.verdict];
    if (words !== undefined)
      // Beside a no it does not matter that there is no margin; what a run waits for has been said already.
      for (const reason of standing?.reasons ?? [])
        if (
          (standing?.verdict === "tight" || reason.rule !== "quorum-tight") &&
          !reasons.some((r) => r.text === reason.text)
        )
          add(reason.rule, `${name} ${words}: ${reason.text}`, reason.fix);
    return { host: name, reasons: reasons.map(reasonView) };
  }

  /** What is known without asking anybody. */
  #reasons(host: string): Reason[] {
    const { registry, coordinator, store, progress, book, clock } = this.#ports;
    const entry = registry.required(host);
    const { name } = entry;
    const reasons: Reason[] = [];
    const add = (rule: string, text: string, fix = "") => reasons.push({ rule, subject: name, text, fix });
    const run = this.#runOf(name);
    const inRun = run && hostOf(run, name);
    if (run && inRun) {
      const step = stepInHand(inRun);
      const since = step ? `, since ${time(step.startedAt)}` : "";
      add("in-run", `${name} is in run ${run.spec.run}, started by ${run.spec.startedBy}: ${hostState(inRun)}${since}`);
      const waits = coordinator.waits(run.spec.run).filter((w) => w.host === name);
      for (const { reason } of waits) reasons.push(reason);
      if (run.held && !waits.some((w) => w.reason.rule === run.held?.rule)) reasons.push(run.held);
      else if (!step && waits.length === 0 && !run.paused)
        add("not-its-turn", `wave ${inRun.wave}: earlier hosts come first`);
      const { instancesDone, instancesLeft } = countsOf(inRun);
      if (step?.step === "drain" && instancesDone + instancesLeft > 0)
        add("instances-left", `${instancesDone} of its instances are dealt with, ${instancesLeft} are left`);
      const percentOf = (on: string, name: string) => progress.percentOf(run.spec.run, on, name);
      for (const action of actionsInHand(inRun, percentOf)) add("instance-in-hand", inHandText(action));
    }
    if (!entry.connected)
      add(
        "unreachable",
        `its agent is not connected since ${time(entry.sinceMs)} (${lastSeenText(entry.lastSeenMs)})`,
        `start slipway-agent on ${name}`,
      );
    if (entry.cordon)
      add(
        "cordoned-by-operator",
        `cordoned by ${entry.cordon.who} at ${time(entry.cordon.atMs)}${entry.cordon.reason ? `: ${entry.cordon.reason}` : ""}`,
        `slipway uncordon ${name}`,
      );
    for (const row of store.runs.ledger(false).filter((r) => r.host === name && r.run !== run?.spec.run))
      if (row.kind === "instance")
        add(
          "instance-stopped",
          `instance ${row.name} was stopped by run ${row.run} at ${time(row.openedAt)} and was not started since`,
          `slipway restore ${name}`,
        );
      else
        add(
          "cordoned-by-run",
          `cordoned by run ${row.run} since ${time(row.openedAt)}: ${this.#note(row)}`,
          `repair it, then slipway run retry ${row.run} ${name}, or slipway uncordon ${name}`,
        );
    const picture = book.of(entry);
    const problem = picture && entry.connected ? pictureProblem(picture, clock.engineMs()) : undefined;
    if (problem) reasons.push(problem);
    const { hooks } = entry.facts;
    if (hooks.problem) add("hooks-dir", hooks.problem, "set rolling.maintenance.hooks.dir");
    for (const hook of hooks.hooks)
      if (hook.problem) add("invalid-hook", `${hook.stage} hook ${hook.file}: ${hook.problem}`);
    if (!hooks.problem && !hooks.hooks.some((h) => h.stage === "Maintenance"))
      add(
        "no-maintenance-hook",
        "there is no Maintenance hook on the host: a run skips it",
        `put one into ${hooks.dir}`,
      );
    if (reasons.length === 0)
      add("in-service", `${name} is in service: connected since ${time(entry.sinceMs)}, not cordoned, in no run`);
    return reasons;
  }

  #view(name: string): FleetHost {
    const { registry, coordinator, book, roster, clock } = this.#ports;
    const run = this.#runOf(name);
    const entry = registry.required(name);
    const view = fleetView(entry, coordinator.cordonHolders(name), run?.spec.run ?? "");
    const host = book.of(entry);
    const readMs = book.picture(name)?.readMs ?? 0;
    return host
      ? ({ ...view, platform: platformView(host, roster.pool(), clock.engineMs(), readMs) } as FleetHost)
      : view;
  }

  /** The active run that the host is in and not yet through with. */
  #runOf(name: string): Run | undefined {
    return this.#ports.coordinator.active().find((run) => {
      const host = hostOf(run, name);
      return host !== undefined && host.outcome === undefined;
    });
  }

  /** Why an entry still stands; how it was closed, if it was. */
  #note(row: LedgerRow): string {
    if (row.closedAt !== 0) return row.note;
    const run = this.#ports.coordinator.run(row.run);
    const host = run && hostOf(run, row.host);
    if (!run || !host) return row.note;
    if (host.outcome === undefined) return `run ${row.run} has it in hand: ${hostState(host)}`;
    return `${row.host} ${host.outcome}: ${host.reason || host.code}`;
  }
}

/** What the gate's verdict means for the host if its turn came now. */
const gateWords: Readonly<Record<string, string>> = {
  tight: "could go down now, and nothing more after it",
  deny: "could not go down now",
  unknown: "could not go down now",
};

const doing: Readonly<Record<string, string>> = {
  stop: "is shut down",
  save: "is saved",
  start: "is started",
  resume: "is resumed",
};

/** "web-1 moves to hv2 since 2026-01-02T03:04:05Z, 41 %, attempt 2". */
function inHandText({ name, verb, to, startedAtMs, percent, attempt }: InstanceActionView): string {
  const parts = [
    `${name} ${verb === "move" ? `moves to ${to}` : (doing[verb ?? ""] ?? verb)} since ${time(Number(startedAtMs))}`,
    ...(percent === undefined ? [] : [`${percent} %`]),
    ...((attempt ?? 0) > 1 ? [`attempt ${attempt}`] : []),
  ];
  return parts.join(", ");
}

const time = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
