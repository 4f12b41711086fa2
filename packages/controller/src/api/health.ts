import { naturalCompare, nearest, SlipwayError } from "@slipway/shared";
import type { operatorWire } from "@slipway/shared/wire";
import type { Reason } from "../domain/words.ts";
import type { Reading } from "../effects/quorum-gate.ts";
import { marginOf, votesUp } from "../quorum/margin.ts";
import type { MemberSet, System } from "../quorum/system.ts";
import type { ApiPorts } from "./deps.ts";
import { reasonView } from "./views.ts";

type HealthPorts = Pick<ApiPorts, "quorum" | "keeper" | "registry">;

/** What is known of a host by the systems that were read. */
export interface Standing {
  readonly host: string;
  readonly verdict: "ok" | "tight" | "deny" | "unknown" | "out";
  readonly reasons: readonly Reason[];
  /** A system has a member on it, or could have. */
  readonly isTouched: boolean;
}

/** The health page: everything is read now. Errors: `not-found` for a cluster, a system or a host that there is not. */
export async function checkHealth(ports: HealthPorts, request: operatorWire.CheckHealthRequest) {
  const { quorum, registry } = ports;
  const names = hostsOfQuestion(ports, request);
  const only = chosenSystem(ports, request.system);
  const reading = await quorum.read([], quorum.out(), { fromAll: true, only });
  const isNarrow = request.cluster !== "" || request.host !== "";
  const systems = isNarrow ? reading.systems.filter((s) => touches(s, names)) : reading.systems;
  const judged = { ...reading, systems };
  const standings: Standing[] = [];
  for (const host of names) standings.push(await standingOf(ports, judged, host));
  const free = standings.filter((s) => s.verdict === "ok" || s.verdict === "tight").map((s) => s.host);
  return {
    systems: systems.map((system) => systemView(ports, system, reading, request.evidence)),
    hosts: standings.filter((s) => registry.entry(s.host)).map(standingView),
    safeSet: await quorum.safeSet(free, judged),
  };
}

/** All systems, read from as many hosts as the gate would; undefined when there are none. */
export async function readingNow({ keeper, quorum }: HealthPorts): Promise<Reading | undefined> {
  const { probes, groups } = keeper.quorum;
  return probes.length + groups.length === 0 ? undefined : quorum.read([], quorum.out());
}

/** What the gate would say of these hosts now, one by one; undefined when there is nothing to ask. */
export async function standingsOf(
  ports: HealthPorts,
  hosts: readonly string[],
  known?: Reading,
): Promise<Standing[] | undefined> {
  const reading = known ?? (await readingNow(ports));
  if (reading === undefined) return undefined;
  const standings: Standing[] = [];
  for (const host of hosts) standings.push(await standingOf(ports, reading, host));
  return standings;
}

/** The end of some work, or "late" when that takes longer than so many milliseconds; then nobody waits for it any more. */
export async function withinTime<T>(ms: number, work: Promise<T>): Promise<T | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function standingOf({ quorum }: HealthPorts, reading: Reading, host: string): Promise<Standing> {
  const isTouched = reading.systems.some((s) => touches(s, [host]));
  if (quorum.out().includes(host)) return { host, isTouched, verdict: "out", reasons: [] };
  return { host, isTouched, ...(await quorum.standing(reading, host)) };
}

function hostsOfQuestion({ registry }: HealthPorts, { cluster, host }: operatorWire.CheckHealthRequest): string[] {
  if (host !== "") return [registry.required(host).name];
  const entries = registry.entries().filter((e) => cluster === "" || e.facts.labels["cluster"] === cluster);
  if (entries.length === 0 && cluster !== "") {
    const known = [...new Set(registry.entries().map((e) => e.facts.labels["cluster"] ?? ""))];
    const near = nearest(cluster, known);
    throw new SlipwayError("not-found", `cluster ${JSON.stringify(cluster)}: no host is in it`, {
      fix: near ? `did you mean ${near}?` : "see slipway host list",
    });
  }
  return entries.map((e) => e.name).sort(naturalCompare);
}

function chosenSystem({ keeper }: HealthPorts, system: string): (name: string) => boolean {
  if (system === "") return () => true;
  const { probes, groups } = keeper.quorum;
  const names = [...probes.map((p) => p.name), ...groups.map((g) => `group ${g.name}`)];
  const found = names.find((n) => n === system) ?? names.find((n) => n === `group ${system}`);
  if (found !== undefined) return (name) => name === found;
  const near = nearest(system, [...names, ...groups.map((g) => g.name)]);
  throw new SlipwayError("not-found", `system ${JSON.stringify(system)}: the pool file has none of that name`, {
    fix: near ? `did you mean ${near}?` : names.length > 0 ? `it has ${names.join(", ")}` : "see slipway pool discover",
  });
}

/** One that could not be read, and of whose members somebody is nowhere, could have one on any host. */
function touches({ state, sets }: System, hosts: readonly string[]): boolean {
  const members = sets.flatMap((set) => set.members);
  if (members.some((m) => m.host !== undefined && hosts.includes(m.host))) return true;
  return state === "unknown" && (members.length === 0 || members.some((m) => m.isUnplaced));
}

function systemView({ keeper }: HealthPorts, system: System, { views }: Reading, evidence: boolean) {
  const { name, state, reasons } = system;
  const seen = views.get(name) ?? [];
  return {
    name,
    kind: keeper.quorum.probes.find((p) => p.name === name)?.system ?? "group",
    state,
    reasons: [...reasons],
    seenFrom: seen.map((v) => v.from),
    sets: system.sets.map(setView),
    views: evidence
      ? seen.map(({ from, health }) => ({
          from,
          state: health.state,
          reasons: [...health.reasons],
          version: health.version,
          evidence: health.evidence.map((e) => ({ ...e })),
        }))
      : [],
  };
}

export function setView(set: MemberSet) {
  return {
    name: set.name,
    needed: set.needed,
    up: votesUp(set),
    margin: marginOf(set),
    repairing: set.repairing,
    members: set.members.map(({ name, host, votes, state, roles, note }) => ({
      ...{ name, host: host ?? "", votes, state, roles: [...roles], note },
    })),
  };
}

function standingView({ host, verdict, reasons }: Standing) {
  return { host, verdict, reasons: reasons.map(reasonView) };
}
