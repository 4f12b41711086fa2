import type { SystemHealth } from "@slipway/shared";
import type { HostInventory } from "../domain/inventory.ts";
import type { PoolConfig } from "../domain/pool.ts";
import type { GroupConfig, MemberCheck, ProbeConfig } from "../domain/quorum.ts";
import type { Run } from "../domain/run.ts";
import { settle } from "../placement/index.ts";
import type { CheckAnswer } from "./groups.ts";
import { mergeViews } from "./merge.ts";
import type { System, View } from "./system.ts";

/** What a reading is for. */
export interface Purpose {
  /** Hosts that would go. */
  readonly going: readonly string[];
  /** Hosts that are out already; they are not asked. */
  readonly out: readonly string[];
  /** From every host that can, not only as many as needed: repairs show differently from host to host. */
  readonly fromAll?: boolean;
}

/** The hosts that a system is read from. */
export interface Viewpoints {
  readonly chosen: readonly string[];
  /** Those of the pool file that cannot be asked. */
  readonly missing: readonly string[];
}

/** Those who stay see what will be left; a host that goes is asked only where there are too few others. */
export function viewpointsOf(
  probe: ProbeConfig,
  hosts: readonly HostInventory[],
  { going, out, fromAll = false }: Purpose,
): Viewpoints {
  const isThere = (name: string) => hosts.some((h) => h.host === name && h.connected);
  const able = probe.from.filter((name) => isThere(name) && !out.includes(name));
  const ordered = [...able.filter((n) => !going.includes(n)), ...able.filter((n) => going.includes(n))];
  return {
    chosen: ordered.slice(0, fromAll ? probe.from.length : probe.views),
    missing: probe.from.filter((name) => !able.includes(name)),
  };
}

/** The system as it was seen from these hosts, each of which has answered. */
export function systemSeen(
  probe: ProbeConfig,
  { chosen, missing }: Viewpoints,
  seen: readonly View[],
  names: ReadonlySet<string>,
  going: readonly string[],
): System {
  const hostOf = (address: string) => hostNamed(address, names, probe.aliases);
  const merged = mergeViews(probe.name, seen, { hostOf, outside: probe.outside });
  if (chosen.length < probe.views) {
    const reason = `it can be read from ${chosen.length} of ${probe.views} hosts only; ${missing.join(", ") || "no other"} cannot be asked`;
    return { ...merged, state: "unknown", reasons: [reason, ...merged.reasons] };
  }
  const own = ownAnswer(seen, going);
  return own ? { ...merged, own } : merged;
}

/** Who is asked whether a member is well; undefined when nobody can be. */
export function checkedFrom(
  check: MemberCheck,
  hosts: readonly HostInventory[],
  out: readonly string[],
): string | undefined {
  return check.from ?? hosts.find((h) => h.connected && !out.includes(h.host))?.host;
}

export function checkAnswer(health: SystemHealth): CheckAnswer {
  const note = health.reasons.join("; ");
  return { state: health.state === "healthy" ? "up" : health.state === "degraded" ? "down" : "unknown", note };
}

/**
 * The systems that a host's healing is about. Instances that were stopped for its turn start after it has healed; of their groups only
 * what runs here is waited for.
 */
export function systemsToHeal(
  systems: readonly System[],
  groups: readonly GroupConfig[],
  host: string,
): readonly System[] {
  const ofInstances = groups.filter((g) => g.members.some((m) => m.kind === "instance"));
  const later = new Set(ofInstances.map((g) => `group ${g.name}`));
  const isLate = ({ sets }: System) => sets.every((s) => s.members.every((m) => m.host !== host || m.state === "up"));
  return systems.filter((s) => !later.has(s.name) || !isLate(s));
}

/** Does this instance stop when its host goes out? What stays where it is runs on only for as long as its host does. */
export function stopsWithHost(
  hosts: readonly HostInventory[],
  pool: PoolConfig,
  active: readonly Run[],
): (host: string, uuid: string) => boolean {
  return (host, uuid) => {
    const instance = hosts.find((h) => h.host === host)?.inventory.instances.find((i) => i.uuid === uuid);
    if (!instance || !settle(instance, pool).policy.startsWith("migrate")) return true;
    return active.some((r) => r.spec.options.consentStop.includes(instance.name));
  };
}

/** The host that a member's address means: its name, its name before the first dot, or what the pool file says. */
export function hostNamed(
  address: string,
  names: ReadonlySet<string>,
  aliases: Readonly<Record<string, string>>,
): string | undefined {
  const alias = Object.hasOwn(aliases, address) ? aliases[address] : undefined;
  if (alias !== undefined) return alias;
  if (names.has(address)) return address;
  // Addresses have dots too, but no host is named by the first number of one.
  const short = /^[0-9.]+$|:/.test(address) ? "" : (address.split(".")[0] ?? "");
  return names.has(short) ? short : undefined;
}

/** Systems that answer for themselves were asked about exactly these hosts; the worst of their answers counts. */
function ownAnswer(seen: readonly View[], going: readonly string[]): System["own"] {
  const answers = seen.map((v) => v.health).filter((h) => h.goingVerdict !== "");
  if (answers.length === 0 || going.length === 0) return undefined;
  const verdict = answers.some((h) => h.goingVerdict === "deny")
    ? "deny"
    : answers.every((h) => h.goingVerdict === "ok")
      ? "ok"
      : "unknown";
  return { going, verdict, reasons: [...new Set(answers.flatMap((h) => h.goingReasons))] };
}
