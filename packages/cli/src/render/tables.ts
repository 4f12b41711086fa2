import { durationText, naturalCompare } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import { scopeText } from "../options/scope.ts";
import { renderActions } from "./actions.ts";
import { platformRows } from "./instances.ts";
import { changeText, clearCommand, renderStages } from "./report.ts";
import { aboutText, age, clean, dateTime, elapsed, outcomeWord, type Paint, reasonText, table, wrap } from "./text.ts";
import { hostKind, stageTime, tally } from "./tree.ts";

export function renderRuns(runs: readonly operatorWire.RunView[], now: number, paint: Paint): string[] {
  if (runs.length === 0) return ["no run yet"];
  const rows = runs.map((run) => {
    const end = run.endedAtMs > 0n ? Number(run.endedAtMs) : now;
    return [
      clean(run.run),
      run.outcome || (run.paused ? "paused" : run.state),
      clean(scopeText(run.scope)),
      age(Number(run.startedAtMs), now),
      elapsed(Number(run.startedAtMs), end),
      clean(run.startedBy),
      tally(run.hosts),
    ];
  });
  return table([["RUN", "STATE", "SCOPE", "STARTED", "TOOK", "BY", "HOSTS"], ...rows], paint);
}

/** One run in full, stage by stage. */
export function renderRun(run: operatorWire.RunView, now: number, paint: Paint): string[] {
  const end = run.endedAtMs > 0n ? Number(run.endedAtMs) : now;
  const lines = [
    `${paint.bold(`run ${run.run}`)}: ${run.outcome || run.state}${run.paused ? ", paused" : ""}`,
    `scope ${clean(scopeText(run.scope))}, started ${dateTime(Number(run.startedAtMs))} by ${clean(run.startedBy)}, ${elapsed(Number(run.startedAtMs), end)}`,
  ];
  if (run.details !== "") lines.push(clean(run.details));
  if (run.paused) lines.push(`paused: ${reasonText(run.pauseReason) || "on request"}`);
  const rows = run.hosts.map((host) => {
    const waits = host.waitsFor.map(reasonText).join(", ");
    return [
      clean(host.name),
      clean(host.cluster),
      outcomeWord(host) || clean(host.state) || hostKind(host),
      host.cordoned ? "cordoned" : "-",
      stageTime(host.stages) || "-",
      clean(host.reason) || waits,
    ];
  });
  if (rows.length > 0)
    lines.push("", ...table([["HOST", "CLUSTER", "STATE", "CORDON", "TOOK", "REASON"], ...rows], paint));
  return [...lines, ...renderActions(run.hosts, paint), ...renderStages(run.hosts, paint)];
}

export function renderHosts(hosts: readonly operatorWire.FleetHost[], now: number, paint: Paint): string[] {
  if (hosts.length === 0)
    return ["no host yet; make a token with `slipway token --host NAME` and start slipway-agent with it"];
  const rows = [...hosts]
    .sort((a, b) => naturalCompare(a.name, b.name))
    .map((host) => [
      clean(host.name),
      clean(host.labels["cluster"] ?? "-"),
      host.connected ? "connected" : "away",
      age(Number(host.sinceMs), now),
      age(Number(host.lastHeartbeatMs), now),
      host.cordoned ? "cordoned" : "-",
      instanceSummary(host.platform),
      host.hooksProblem === "" ? hookSummary(host) : `problem: ${clean(host.hooksProblem)}`,
      clean(host.run) || "-",
    ]);
  return table([["HOST", "CLUSTER", "AGENT", "SINCE", "HEARD", "CORDON", "INSTANCES", "HOOKS", "RUN"], ...rows], paint);
}

/** How many run; "?" where that is not known now, "-" where there can be none. */
function instanceSummary(platform: operatorWire.HostPlatform | undefined): string {
  if (platform === undefined || platform.platform === "none") return "-";
  return platform.fresh ? String(platform.instancesRunning) : "?";
}

/** How many there are and, when all files of the directory are known, the start of their hash. */
function hookSummary({ hooks, hooksHash }: operatorWire.FleetHost): string {
  const problems = hooks.filter((hook) => hook.problem !== "");
  if (problems.length > 0) return `problem: ${problems.map((hook) => hook.stage).join(", ")}`;
  if (hooks.length === 0) return "none";
  return hooksHash === "" ? String(hooks.length) : `${hooks.length} ${clean(hooksHash.slice(0, 8))}`;
}

export function renderHost(host: operatorWire.FleetHost, now: number, paint: Paint): string[] {
  const labels = Object.entries(host.labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${clean(key)}=${clean(value)}`)
    .join(",");
  const rows = [
    ["host", clean(host.name)],
    ["labels", labels || "-"],
    ["agent", `${host.connected ? "connected" : "away"}, since ${age(Number(host.sinceMs), now)}`],
    ["heard", age(Number(host.lastHeartbeatMs), now)],
    ["cordon", host.cordoned ? `cordoned: ${clean(host.cordonReason) || "no reason given"}` : "-"],
    ["run", clean(host.run) || "-"],
    ["boot id", clean(host.bootId) || "-"],
    ["kernel", clean(host.kernel) || "-"],
    ["version", `agent ${clean(host.agentVersion) || "?"}, node ${clean(host.nodeVersion) || "?"}`],
    ["executor", clean(host.executor) || "-"],
    ["hooks in", `${clean(host.hooksDir) || "-"}${host.hooksProblem === "" ? "" : `: ${clean(host.hooksProblem)}`}`],
    ["hooks hash", clean(host.hooksHash) || "-"],
    ["hooks push", host.hooksPush ? "allowed" : "not allowed (slipway.hooks.push)"],
    ...(host.platform ? platformRows(host.platform, now) : []),
  ];
  const lines = table([["", ""], ...rows]).slice(1);
  if (host.hooks.length > 0)
    lines.push(
      "",
      ...table(
        [
          ["STAGE", "HOOK", "SHA-256", "PROBLEM"],
          ...host.hooks.map((h) => [h.stage, clean(h.file), h.sha256.slice(0, 12) || "-", clean(h.problem) || "-"]),
        ],
        paint,
      ),
    );
  lines.push(...renderDurations(host, paint));
  return lines;
}

/** How long what runs do with a host usually takes; nothing where nothing is known yet. */
function renderDurations({ durations, migrations }: operatorWire.FleetHost, paint: Paint): string[] {
  const span = (ms: number | bigint) => durationText(Number(ms));
  const outOf = ({ samples, of }: { readonly samples: number; readonly of: string }) =>
    `${samples} ${{ host: "on this host", cluster: "in its cluster" }[of] ?? "in the fleet"}`;
  const rows = durations.map((d) => [clean(d.kind), span(d.p50Ms), span(d.p95Ms), outOf(d)]);
  if (migrations) {
    const typical = Number(migrations.fixedMs) + 4 * Number(migrations.perGibMs);
    rows.push(["migration of 4 GiB", span(typical), span(typical * migrations.p95Factor), outOf(migrations)]);
  }
  return rows.length === 0 ? [] : ["", ...table([["STEP", "USUAL", "95 OF 100 WITHIN", "OUT OF"], ...rows], paint)];
}

export function renderWhy(
  host: string,
  reasons: readonly operatorWire.Reason[],
  columns = Number.POSITIVE_INFINITY,
): string[] {
  if (reasons.length === 0) return [`${host}: in service, nothing holds it`];
  return reasons.flatMap((reason) =>
    wrap(aboutText(reason).split(" "), columns - 2).map((line, n) => (n === 0 ? line : `  ${line}`)),
  );
}

export function renderLedger(entries: readonly operatorWire.LedgerEntry[], now: number, paint: Paint): string[] {
  if (entries.length === 0) return ["nothing stands: every change was undone"];
  const rows = entries.map((entry) => [
    clean(entry.host),
    changeText(entry),
    clean(entry.run) || "-",
    age(Number(entry.openedAtMs), now),
    entry.closedAtMs === 0n ? "stands" : `undone ${age(Number(entry.closedAtMs), now)}`,
    entry.closedAtMs === 0n ? clearCommand(entry) : "-",
    clean(entry.note),
  ]);
  return table([["HOST", "CHANGE", "RUN", "MADE", "STATE", "CLEAR WITH", "NOTE"], ...rows], paint);
}

export function renderAudit(entries: readonly operatorWire.AuditEntry[], paint: Paint): string[] {
  if (entries.length === 0) return ["nothing was done yet"];
  const rows = entries.map((e) => [
    dateTime(Number(e.atMs)),
    clean(e.who),
    clean(e.role),
    clean(e.method),
    clean(e.result),
    clean(e.what),
  ]);
  return table([["WHEN", "WHO", "ROLE", "CALL", "RESULT", "WHAT"], ...rows], paint);
}

export function renderPings(pings: readonly operatorWire.HostPing[], paint: Paint): string[] {
  if (pings.length === 0) return ["no host yet"];
  const rows = [...pings]
    .sort((a, b) => naturalCompare(a.host, b.host))
    .map((p) => [
      clean(p.host),
      p.ok ? "ok" : "no answer",
      p.ok ? `${p.milliseconds.toFixed(1)} ms` : "-",
      clean(p.problem),
    ]);
  return table([["HOST", "PING", "TOOK", "PROBLEM"], ...rows], paint);
}
