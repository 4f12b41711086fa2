import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationText } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import type { Wait } from "../domain/fleet.ts";
import { type HostRun, hostOf, type Run, stepInHand } from "../domain/run.ts";
import type { Reason, RunOptions, Scope } from "../domain/words.ts";
import { hostState, type Line } from "../engine/describe.ts";
import { reportOf, type StageReport, stagesOf } from "../engine/report.ts";
import { pausedReason } from "../engine/result.ts";
import type { FleetEntry } from "../fleet/registry.ts";
import type { AuditRecord } from "../store/audit.ts";
import type { LedgerRow } from "../store/runs.ts";
import { actionsInHand, countsOf, type PercentOf, settledActions } from "./action-views.ts";

export type RunView = MessageInitShape<typeof operatorWire.RunViewSchema>;
export type FleetHost = MessageInitShape<typeof operatorWire.FleetHostSchema>;
export type ReportView = MessageInitShape<typeof operatorWire.ReportSchema>;
export type ReasonView = MessageInitShape<typeof operatorWire.ReasonSchema>;

/** How much of a run a view holds: lists have no stages, snapshots no output. */
export type Detail = "list" | "snapshot" | "full";

const big = (ms: number | undefined) => BigInt(Math.round(ms ?? 0));

/** The view's Reason; spread so that nothing but its four fields goes out. */
export function reasonView({ rule, subject, text, fix }: Reason): ReasonView {
  return { rule, subject, text, fix };
}

/** `percentOf` tells how far moves in hand have come. */
export function runView(
  run: Run,
  waits: readonly Wait[],
  detail: Detail,
  percentOf: PercentOf = () => undefined,
): RunView {
  const reason = pauseReason(run);
  return {
    run: run.spec.run,
    state: run.state,
    outcome: run.outcome ?? "",
    details: run.details,
    paused: reason !== undefined,
    ...(reason ? { pauseReason: reasonView(reason) } : {}),
    startedAtMs: big(run.startedAt),
    endedAtMs: big(run.endedAt),
    startedBy: run.spec.startedBy,
    options: optionsView(run.spec.options, detail !== "full"),
    scope: scopeView(run.spec.scope),
    hosts: run.hosts.map((h) => hostView(h, waits, detail, detail === "full" ? outputLimit(run) : 0, percentOf)),
    lastSeq: BigInt(run.lastSeq),
  };
}

/** Why a run starts nothing: an operator's pause, or something that is not known. */
function pauseReason(run: Run): Reason | undefined {
  if (run.held) return run.held;
  if (!run.paused) return undefined;
  const { who, reason } = run.paused;
  return { ...pausedReason(run), text: `paused by ${who}${reason ? `: ${reason}` : ""}` };
}

function hostView(host: HostRun, waits: readonly Wait[], detail: Detail, limit: number, percentOf: PercentOf) {
  const inHandNow = detail === "list" ? [] : actionsInHand(host, percentOf);
  const inHand = stepInHand(host);
  return {
    name: host.name,
    cluster: host.cluster,
    wave: host.wave,
    state: hostState(host),
    outcome: host.outcome ?? "",
    reasonCode: host.code,
    reason: host.reason,
    cordoned: host.cordoned,
    step: inHand?.step ?? "",
    attempt: inHand?.attempt ?? 0,
    stepStartedAtMs: big(inHand?.startedAt),
    stages: detail === "list" ? [] : stagesOf(host).map((s) => stageView(s, limit)),
    waitsFor: waits.filter((w) => w.host === host.name).map((w) => reasonView(w.reason)),
    instances: detail === "full" ? [...settledActions(host), ...inHandNow] : inHandNow,
    ...countsOf(host),
    notes: host.notes.map(reasonView),
  };
}

function stageView(stage: StageReport, limit: number) {
  return { ...stage, durationMs: big(stage.durationMs), output: cut(stage.output, limit) };
}

/** Bound on all outputs of a view together, in characters: a message must stay below what clients receive. */
const MAX_OUTPUT = 4_000_000;

/** How much of each output fits when all of them go into one message, some of them twice. */
function outputLimit(run: Run): number {
  const outputs = run.hosts.flatMap((h) => h.steps.map((s) => (s.result?.output ?? "").length)).filter((n) => n > 0);
  const total = outputs.reduce((a, b) => a + b, 0);
  return 2 * total > MAX_OUTPUT ? Math.floor(MAX_OUTPUT / 2 / outputs.length) : Number.POSITIVE_INFINITY;
}

/** Head and tail, the cut marked. */
function cut(output: string, limit: number): string {
  if (limit === 0 || output.length <= limit) return limit === 0 ? "" : output;
  const half = Math.floor(limit / 2);
  const left = output.length - 2 * half;
  return `${output.slice(0, half)}\n[... ${left} characters left out: all outputs of this run are too much for one message ...]\n${output.slice(output.length - half)}`;
}

/** `lean` leaves out a long payload: it is the same in every snapshot. */
export function optionsView(options: RunOptions, lean = false) {
  const {
    args: _,
    timeoutMs,
    pingIntervalMs,
    maintenanceWaitMs,
    agentWaitMs,
    rebootWaitMs,
    graceMs,
    consentStop,
    moves,
    domainLimits,
    exclude,
    bakeMs,
    ...rest
  } = options;
  const payload = lean && rest.payload.length > 1_000 ? `${rest.payload.slice(0, 1_000)} ...` : rest.payload;
  return {
    ...rest,
    payload,
    consentStop: [...consentStop],
    moves: moves.map((m) => ({ ...m })),
    domainLimits: domainLimits.map((l) => ({ ...l })),
    exclude: [...exclude],
    bakeMs: big(bakeMs),
    timeoutMs: big(timeoutMs),
    pingIntervalMs: big(pingIntervalMs),
    maintenanceWaitMs: big(maintenanceWaitMs),
    agentWaitMs: big(agentWaitMs),
    rebootWaitMs: big(rebootWaitMs),
    graceMs: big(graceMs),
  };
}

export function scopeView(scope: Scope) {
  return { [scope.kind]: [...scope.names] };
}

/** The options of a request; what is 0 or empty is left to the defaults. */
export function optionsFrom(wire: operatorWire.RunOptions | undefined): Partial<Omit<RunOptions, "args">> {
  if (!wire) return {};
  const out: Record<string, unknown> = { forced: wire.forced, payload: wire.payload };
  for (const name of [
    "timeoutMs",
    "pingIntervalMs",
    "maintenanceWaitMs",
    "agentWaitMs",
    "rebootWaitMs",
    "graceMs",
    "maxOut",
    "maxOutPercent",
    "maxClusters",
    "bakeMs",
  ] as const)
    if (Number(wire[name]) !== 0) out[name] = Number(wire[name]);
  if (wire.maxFailures !== undefined) out["maxFailures"] = wire.maxFailures;
  for (const name of [
    ...(["onFailure", "op", "reboot", "return", "onDrainFailure"] as const),
    ...(["order", "canary", "approve", "window"] as const),
  ])
    if (wire[name] !== "") out[name] = wire[name];
  if (wire.exclude.length > 0) out["exclude"] = [...new Set(wire.exclude)];
  if (wire.domainLimits.length > 0)
    out["domainLimits"] = wire.domainLimits.map(({ label, maxHosts, percent }) => ({
      label,
      ...(maxHosts > 0 ? { maxHosts } : {}),
      ...(percent > 0 ? { percent } : {}),
    }));
  if (wire.consentStop.length > 0) out["consentStop"] = [...wire.consentStop];
  if (wire.moves.length > 0) out["moves"] = wire.moves.map(({ uuid, name, to }) => ({ uuid, name, to }));
  return out as Partial<Omit<RunOptions, "args">>;
}

/** A scope in words, for the audit log. */
export function scopeText(scope: operatorWire.Scope | undefined): string {
  const given = (["hosts", "clusters", "pods", "zones"] as const).filter((k) => (scope?.[k].length ?? 0) > 0);
  return given.map((k) => `${k} ${scope?.[k].join(",")}`).join(" and ") || "everything";
}

/** Options that were chosen, in words, for the audit log. */
export function optionsText(wire: operatorWire.RunOptions | undefined): string {
  const chosen = Object.entries(optionsFrom(wire)).filter(([, v]) => v !== false && v !== "");
  return chosen
    .map(([k, v]) => {
      if (k === "payload") return `payload ${JSON.stringify(String(v).slice(0, 200))}`;
      if (typeof v === "number" && k.endsWith("Ms")) return `${k.slice(0, -2)} ${durationText(v)}`;
      if (k === "consentStop") return `consent to stop ${(v as string[]).join(", ")}`;
      if (k === "exclude") return `without ${(v as string[]).join(", ")}`;
      if (k === "domainLimits")
        return (v as RunOptions["domainLimits"])
          .map((l) => `at most ${l.maxHosts ?? `${l.percent}%`} out per ${l.label}`)
          .join(", ");
      if (k === "moves") return (v as RunOptions["moves"]).map((m) => `${m.name} to ${m.to}`).join(", ");
      return v === true ? k : `${k} ${v}`;
    })
    .join(", ");
}

export function lineView(seq: number, at: number, line: Line) {
  return { seq: BigInt(seq), atMs: big(at), subject: line.subject, text: line.text };
}

export function reportView(run: Run): ReportView {
  const report = reportOf(run);
  const limit = outputLimit(run);
  const { ledger, ...rest } = report;
  return {
    ...rest,
    hostsupdated: report.hostsupdated.map((h) => ({ ...h, output: cut(h.output, limit) })),
    hostsskipped: report.hostsskipped.map((h) => ({ ...h })),
    hosts: report.hosts.map((h) => {
      const host = hostOf(run, h.name);
      return {
        ...h,
        stages: h.stages.map((s) => stageView(s, limit)),
        ...{ outMs: big(h.outMs), expectedMs: big(h.expectedMs), p95Ms: big(h.p95Ms) },
        instances: host ? settledActions(host) : [],
        notes: host ? host.notes.map(reasonView) : [],
      };
    }),
    ledger: ledger.map((l) => ({
      id: l.id,
      run: report.run,
      host: l.host,
      change: l.change,
      undo: l.undo,
      openedAtMs: big(l.openedAt),
      closedAtMs: 0n,
      note: l.note,
      kind: l.kind,
      instance: l.name,
      uuid: l.subject,
    })),
  };
}

export function fleetView(entry: FleetEntry, holders: readonly string[], run: string): FleetHost {
  const { name, facts, connected, sinceMs, lastSeenMs, cordon } = entry;
  const reasons = holders.map((holder) =>
    holder === "operator" && cordon
      ? `by ${cordon.who}${cordon.reason ? `: ${cordon.reason}` : ""}`
      : `by run ${holder}`,
  );
  return {
    name,
    labels: { ...facts.labels },
    connected,
    sinceMs: big(sinceMs),
    lastHeartbeatMs: big(lastSeenMs),
    bootId: facts.bootId,
    agentVersion: facts.agentVersion,
    kernel: facts.kernel,
    nodeVersion: facts.nodeVersion,
    executor: facts.executor,
    cordoned: holders.length > 0,
    cordonReason: reasons.join(", "),
    hooks: facts.hooks.hooks.map((h) => ({ ...h })),
    hooksDir: facts.hooks.dir,
    hooksProblem: facts.hooks.problem,
    run,
    hooksHash: facts.hooks.hash ?? "",
    hooksPush: facts.hooks.push ?? false,
  };
}

export function ledgerView(row: LedgerRow, note: string) {
  const { openedAt, closedAt, subject, name, ...rest } = row;
  return { ...rest, instance: name, uuid: subject, note, openedAtMs: big(openedAt), closedAtMs: big(closedAt) };
}

export function auditView({ atMs, ...rest }: AuditRecord) {
  return { ...rest, atMs: big(atMs) };
}
