import { naturalCompare } from "@slipway/shared";
import type { GateVerdict, Reason } from "../domain/words.ts";
import type { Member, MemberSet, System } from "./system.ts";

export interface GateQuestion {
  /** Hosts that would go out now, together. */
  readonly going: readonly string[];
  /** Hosts that are out already, or on their way. */
  readonly out: readonly string[];
}

export interface GateAnswer {
  readonly verdict: GateVerdict;
  /** For deny and unknown: why. For tight: what has no margin left. Worst first. */
  readonly reasons: readonly Reason[];
}

const order: Record<GateVerdict, number> = { ok: 0, tight: 1, unknown: 2, deny: 3 };

/**
 * May these hosts go out now, together with those already out? Over all systems; the worst answer counts.
 *
 *   deny      a set would fall below what it needs, or a member that is no part of this work is down already
 *   unknown   something cannot be read; it is a no
 *   tight     it holds, but without a margin: one more loss and it does not
 *
 * A system is asked only if the question touches it: one that has no member on these hosts cannot be hurt by their going.
 * That somebody else is down already forbids planned work even where the arithmetic would allow it.
 */
export function mayGoOut(systems: readonly System[], question: GateQuestion): GateAnswer {
  const reasons: { verdict: GateVerdict; reason: Reason }[] = [];
  for (const system of systems) {
    if (!touches(system, question)) continue;
    for (const { verdict, text, fix, subject } of judge(system, question))
      reasons.push({ verdict, reason: { rule: `quorum-${verdict}`, subject, text, fix } });
  }
  reasons.sort((a, b) => order[b.verdict] - order[a.verdict]);
  return { verdict: reasons[0]?.verdict ?? "ok", reasons: reasons.map((r) => r.reason) };
}

interface Finding {
  readonly verdict: GateVerdict;
  readonly subject: string;
  readonly text: string;
  readonly fix: string;
}

/** A system whose members are not known, or of which nobody can tell where they run, could have one anywhere. */
function touches(system: System, { going, out }: GateQuestion): boolean {
  if (system.own && system.own.going.length > 0) return true;
  if (system.sets.length === 0) return true;
  const leaving = [...going, ...out];
  return system.sets.some((set) => set.members.some((m) => m.isUnplaced || isOn(m, leaving)));
}

function judge(system: System, question: GateQuestion): Finding[] {
  const { name: subject } = system;
  const away = [...question.out, ...question.going];
  const findings: Finding[] = [];
  if (system.state === "unknown")
    findings.push({
      verdict: "unknown",
      subject,
      text: `${subject} cannot be read: ${system.reasons.join("; ") || "no reason given"}`,
      fix: `see slipway check; it goes on once ${subject} answers`,
    });
  for (const set of system.sets)
    if (set.members.some((m) => isOn(m, away))) findings.push(...judgeSet(system, set, question, away));
  // A member that is out with its host makes the system degraded, and that is no news; repairs with every member up are.
  const members = system.sets.flatMap((set) => set.members);
  const explained =
    members.some((m) => m.state !== "up" && isOn(m, question.out)) ||
    (members.length > 0 && !members.some((m) => m.state === "up" && isOn(m, question.going)));
  if (system.state === "degraded" && !explained && !findings.some((f) => f.verdict === "deny"))
    findings.push({
      verdict: "deny",
      subject,
      text: `${subject} is not whole: ${system.reasons.join("; ") || "no reason given"}`,
      fix: `it goes on once ${subject} has healed`,
    });
  const own = system.own;
  if (own && own.verdict !== "ok")
    findings.push({
      verdict: own.verdict,
      subject,
      text: `${subject} itself says ${own.verdict === "deny" ? "no" : "that it does not know"}: ${own.reasons.join("; ") || "no reason given"}`,
      fix: `see slipway check --system ${JSON.stringify(subject)}`,
    });
  if (own && !sameHosts(own.going, question.going))
    findings.push({
      verdict: "unknown",
      subject,
      text: `${subject} was asked about ${own.going.join(", ") || "no host"}, not about ${question.going.join(", ")}`,
      fix: "it is asked again",
    });
  return findings;
}

function isOn(member: Member, hosts: readonly string[]): boolean {
  return member.host !== undefined && hosts.includes(member.host);
}

function judgeSet(system: System, set: MemberSet, question: GateQuestion, away: readonly string[]): Finding[] {
  const subject = system.name;
  const where = set.name === "" || set.name === "members" ? subject : `${subject}, ${set.name}`;
  const stays = set.members.filter((m) => !isOn(m, away));
  const findings: Finding[] = [];
  // Not up, and not because its host is out: then a whole member may not go as well, whatever the arithmetic says.
  const missing = set.members.filter((m) => m.state !== "up" && !isOn(m, question.out));
  const wholeOnesGo = set.members.some((m) => m.state === "up" && isOn(m, question.going));
  const down = missing.filter((m) => m.state === "down");
  const unclear = missing.filter((m) => m.state === "unknown");
  const up = stays.filter((m) => m.state === "up");
  const votes = up.reduce((sum, m) => sum + m.votes, 0);
  const list = (members: typeof stays) =>
    members
      .map((m) => m.name)
      .sort(naturalCompare)
      .join(", ");
  const leaving = list(set.members.filter((m) => isOn(m, away)));
  if (votes < set.needed)
    findings.push({
      verdict: "deny",
      subject,
      text: `${where}: without ${leaving} ${votes} of ${set.needed} needed ${set.needed === 1 ? "vote is" : "votes are"} left${down.length > 0 ? ` (${list(down)} down)` : ""}`,
      fix: down.length > 0 ? `bring ${list(down)} back first` : "take fewer hosts out at once",
    });
  else if (down.length > 0 && wholeOnesGo)
    findings.push({
      verdict: "deny",
      subject,
      text: `${where}: ${list(down)} ${down.length === 1 ? "is" : "are"} down already`,
      fix: `bring ${list(down)} back first`,
    });
  if (set.repairing !== "" && wholeOnesGo)
    findings.push({
      verdict: "deny",
      subject,
      text: `${where}: ${set.repairing}`,
      fix: "it goes on once that is repaired",
    });
  if (set.oneOf.length > 0 && !up.some((m) => set.oneOf.includes(m.name)))
    findings.push({
      verdict: stays.some((m) => m.state === "unknown" && set.oneOf.includes(m.name)) ? "unknown" : "deny",
      subject,
      text: `${where}: none of ${set.oneOf.join(", ")} would be left, and one of them must`,
      fix: "take them out one after another",
    });
  if (unclear.length > 0 && wholeOnesGo)
    findings.push({
      verdict: "unknown",
      subject,
      text: `${where}: it is not known whether ${list(unclear)} ${unclear.length === 1 ? "is" : "are"} up`,
      fix: "see slipway check",
    });
  const weakest = Math.min(...up.map((m) => m.votes));
  if (findings.length === 0 && up.length > 0 && votes - weakest < set.needed)
    findings.push({
      verdict: "tight",
      subject,
      text: `${where}: without ${leaving} there is no margin left (${votes} of ${set.needed} needed)`,
      fix: "",
    });
  return findings;
}

function sameHosts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((host) => b.includes(host));
}
